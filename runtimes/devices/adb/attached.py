"""The devices that an adb server knows: listed, connected over the network, opened."""

from __future__ import annotations

import time

from edgevit.errors import DeviceError
from edgevit.shell import quoted
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.adb.server import UNAUTHORIZED_HINT, connect_client, is_listening, server_address, translated
from runtimes.devices.attached import USABLE, AttachedDevice, choices

SETTLE_S = 3.0  # chosen, because a server that was just started finds its USB devices within this time

_STATE_HINTS = {
    "unauthorized": UNAUTHORIZED_HINT,
    "authorizing": "wait a moment, and look at the device's screen",
    "offline": "plug it in again; over the network: adb disconnect SERIAL, then adb connect SERIAL",
    "no permissions": "install the udev rules (apt install android-sdk-platform-tools-common) and join group plugdev",
    "recovery": "boot it into Android: adb -s SERIAL reboot",
    "sideload": "boot it into Android: adb -s SERIAL reboot",
    "bootloader": "boot it into Android: fastboot reboot",
}


def attached(adb_server: str | None) -> tuple[AttachedDevice, ...]:
    """Every device that the server knows, in whatever state.

    Raises:
        MissingDependencyError: No adb, or no adbutils.
        DeviceError: A server that was asked for does not answer.
        UsageError: An address that cannot be read.
    """
    address = server_address(adb_server)
    is_new = not is_listening(address)
    client = connect_client(address)
    deadline = time.monotonic() + (SETTLE_S if is_new else 0.0)
    with translated(f"the adb server at {address}", "listing devices"):
        while True:
            found = tuple(
                _entry(each.serial, "no permissions" if each.state == "no" else each.state, each.tags.get("model"))
                for each in client.list(extended=True)
            )
            # A server that has just been started knows its USB devices as offline or authorizing for a moment.
            if time.monotonic() > deadline or (found and all(each.is_usable for each in found)):
                return found
            time.sleep(0.1)


def _entry(serial: str, state: str, model: str | None) -> AttachedDevice:
    hint = None if state == USABLE else _STATE_HINTS.get(state, "plug it in again").replace("SERIAL", quoted(serial))
    return AttachedDevice(
        serial=serial, kind="adb", state=state, model=model.replace("_", " ") if model else None, hint=hint
    )


def open_device(serial: str, adb_server: str | None, remote_dir: str | None) -> AdbDevice:
    """Open a device; one of the network is connected first if it is not.

    Raises:
        DeviceError: Not attached, unauthorised, offline: with the next step.
        MissingDependencyError: No adb, or no adbutils.
    """
    address = server_address(adb_server)
    found = attached(adb_server)
    entry = next((each for each in found if each.serial == serial), None)
    if ":" in serial and (entry is None or entry.state == "offline"):
        entry = _connect(serial, adb_server)
    if entry is None:
        raise DeviceError(
            f"device '{serial}' is not attached to the adb server at {address}; attached: {choices(found)}",
            hint="edgevit-export devices",
        )
    if not entry.is_usable:
        raise DeviceError(f"device '{serial}' cannot be used: it is {entry.state}", hint=entry.hint)
    return AdbDevice(serial, address, scratch=remote_dir)


def _connect(serial: str, adb_server: str | None) -> AttachedDevice:
    """Connect a network device; one that is still known as offline must be disconnected first."""
    client = connect_client(server_address(adb_server))
    with translated(serial, "connecting"):
        client.disconnect(serial)
        said = client.connect(serial, timeout=10.0)
    deadline = time.monotonic() + SETTLE_S
    while True:
        entry = next((each for each in attached(adb_server) if each.serial == serial), None)
        if entry is not None and (entry.is_usable or time.monotonic() > deadline):
            return entry
        if time.monotonic() > deadline:
            raise DeviceError(
                f"{serial} cannot be connected: {said}", hint="is adb over the network switched on there?"
            )
        time.sleep(0.1)
