"""Which devices are there, and which one is meant."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from edgevit.errors import DeviceError, EdgevitExportError, MissingDependencyError, UsageError
from edgevit.records import Record
from runtimes.devices.adb.adb_device import AdbDevice, is_network_serial
from runtimes.devices.adb.server import UNAUTHORIZED_HINT, connect_client, is_listening, server_address, translated
from runtimes.devices.device import Device, Kind
from runtimes.devices.host import HostDevice

HOST = "host"
USABLE = "device"
SETTLE_S = 3.0

_STATE_HINTS = {
    "unauthorized": UNAUTHORIZED_HINT,
    "authorizing": "wait a moment, and look at the device's screen",
    "offline": "plug it in again; over the network: adb disconnect SERIAL, then adb connect SERIAL",
    "no permissions": "install the udev rules (apt install android-sdk-platform-tools-common) and join group plugdev",
    "recovery": "boot it into Android: adb -s SERIAL reboot",
    "sideload": "boot it into Android: adb -s SERIAL reboot",
    "bootloader": "boot it into Android: fastboot reboot",
}


class AttachedDevice(Record):
    """A device in a listing.

    Attributes:
        serial: What ``--device`` takes.
        kind: The transport.
        state: adb's word for the connection; ``device`` is the usable one.
        model: Model as adb knows it, without asking the device.
        hint: What to do when it cannot be used.
    """

    serial: str
    kind: Kind
    state: str
    model: str | None
    hint: str | None

    @property
    def is_usable(self) -> bool:
        """Whether commands can be run on it."""
        return self.state == USABLE


class DeviceListing(Record):
    """All that can be measured on; ``note`` says why there may be more than was found."""

    devices: tuple[AttachedDevice, ...]
    note: str | None = None

    def usable_adb(self) -> tuple[AttachedDevice, ...]:
        """Usable devices behind adb."""
        return tuple(each for each in self.devices if each.kind == "adb" and each.is_usable)


def list_devices(adb_server: str | None = None) -> DeviceListing:
    """Every attached device in whatever state, and this host last.

    No adb and no adbutils is not an error: this host can still be measured; ``note`` says what to install.

    Args:
        adb_server: ``HOST:PORT``; None for the environment's.

    Raises:
        DeviceError: A server that was asked for does not answer.
        UsageError: An address that cannot be read.
    """
    host = AttachedDevice(serial=HOST, kind="host", state=USABLE, model=None, hint=None)
    try:
        attached = _attached(adb_server)
    except MissingDependencyError as error:
        if adb_server is not None:
            raise
        return DeviceListing(devices=(host,), note=f"{error.message}: {error.hint}")
    return DeviceListing(devices=(*attached, host))


def _attached(adb_server: str | None) -> tuple[AttachedDevice, ...]:
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
    hint = None if state == USABLE else _STATE_HINTS.get(state, "plug it in again").replace("SERIAL", serial)
    return AttachedDevice(
        serial=serial, kind="adb", state=state, model=model.replace("_", " ") if model else None, hint=hint
    )


def select_device(
    requested: str | None = None,
    *,
    adb_server: str | None = None,
    remote_dir: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Device:
    """Open the device that is meant.

    Args:
        requested: ``--device``: a serial, ``HOST:PORT`` of a network device (connected if it is not), or ``host``.
            None: ``$ANDROID_SERIAL``, else the only attached device, else this host.
        adb_server: ``--adb-server HOST:PORT``; None for the environment's.
        remote_dir: This program's directory on the device; None to look for one.
        environ: Where ``ANDROID_SERIAL`` is looked up.

    Raises:
        UsageError: Several devices and no request; the message has the choices.
        DeviceError: Not attached, unauthorised, offline: with the next step.
        MissingDependencyError: A device was asked for, and adb or adbutils is missing.
    """
    wanted = requested or environ.get("ANDROID_SERIAL") or None
    if wanted == HOST:
        return _host(remote_dir)
    if wanted is not None:
        return _named(wanted, adb_server, remote_dir)
    listing = list_devices(adb_server)
    attached = [each for each in listing.devices if each.kind == "adb"]
    if not attached and adb_server is not None:
        raise DeviceError(f"no device is attached to the adb server at {adb_server}", hint="edgevit-export devices")
    if not attached:
        return _host(remote_dir)
    if len(attached) > 1:
        raise UsageError(
            f"{len(attached)} devices are attached: choose one with --device: {_choices(listing)}",
            hint=f"--device {attached[0].serial}",
        )
    return _named(attached[0].serial, adb_server, remote_dir)


def select_devices(
    requested: tuple[str, ...], *, adb_server: str | None = None, remote_dir: str | None = None
) -> tuple[Device, ...]:
    """Open several devices; with the single request ``all``, every usable one behind adb.

    Raises:
        UsageError: A device named twice.
        DeviceError: As ``select_device``; what was opened is closed again.
    """
    if requested == ("all",):
        requested = tuple(each.serial for each in list_devices(adb_server).usable_adb())
        if not requested:
            raise DeviceError("no usable device is attached", hint="edgevit-export devices")
    if len(set(requested)) != len(requested):
        raise UsageError(f"a device is named twice: {', '.join(requested)}")
    opened: list[Device] = []
    try:
        for serial in requested:
            opened.append(select_device(serial, adb_server=adb_server, remote_dir=remote_dir))
    except EdgevitExportError:
        for device in opened:
            device.close()
        raise
    return tuple(opened)


def _named(serial: str, adb_server: str | None, remote_dir: str | None) -> Device:
    address = server_address(adb_server)
    listing = DeviceListing(devices=_attached(adb_server))
    entry = next((each for each in listing.devices if each.serial == serial), None)
    if is_network_serial(serial) and ":" in serial and (entry is None or entry.state == "offline"):
        entry = _connect(serial, adb_server)
    if entry is None:
        raise DeviceError(
            f"device '{serial}' is not attached to the adb server at {address}: {_choices(listing)}",
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
        entry = next((each for each in _attached(adb_server) if each.serial == serial), None)
        if entry is not None and (entry.is_usable or time.monotonic() > deadline):
            return entry
        if time.monotonic() > deadline:
            raise DeviceError(
                f"{serial} cannot be connected: {said}", hint="is adb over the network switched on there?"
            )
        time.sleep(0.1)


def _choices(listing: DeviceListing) -> str:
    names = [f"{each.serial} ({each.model or each.state})" for each in listing.devices if each.kind == "adb"]
    return ", ".join([*names, HOST])


def _host(remote_dir: str | None) -> HostDevice:
    from pathlib import Path

    return HostDevice(Path(remote_dir) if remote_dir else None)
