"""Which devices are there, and which one is meant.

A new kind of device costs a row in ``DEVICE_KINDS`` and the file of its ``Device``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from edgevit.errors import DeviceError, MissingDependencyError, UsageError
from edgevit.shell import quoted
from runtimes.devices import host
from runtimes.devices.adb import attached as adb
from runtimes.devices.attached import HOST, AttachedDevice, DeviceListing, choices
from runtimes.devices.device import Device, Kind


@dataclass(frozen=True)
class DeviceKind:
    """How devices of one kind are found and opened.

    Attributes:
        noun: What one is called in messages.
        is_named: Whether a serial, as ``--device`` takes it, is of this kind.
        attached: Given ``--adb-server``, every device of this kind.
        open: Given a serial, ``--adb-server`` and ``--remote-dir``, the device.
    """

    noun: str
    is_named: Callable[[str], bool]
    attached: Callable[[str | None], tuple[AttachedDevice, ...]]
    open: Callable[[str, str | None, str | None], Device]


# The first kind whose name a serial is opens it; adb is the last, since any word can be a serial there.
DEVICE_KINDS: dict[Kind, DeviceKind] = {
    HOST: DeviceKind("host", lambda serial: serial == HOST, host.attached, host.open_device),
    "adb": DeviceKind("Android device", lambda serial: True, adb.attached, adb.open_device),
}


def list_devices(adb_server: str | None = None) -> DeviceListing:
    """Every attached device in whatever state, and this host last.

    What is not installed is no error: this host can still be measured; ``note`` says what to install.

    Args:
        adb_server: ``HOST:PORT``; None for the environment's.

    Raises:
        DeviceError: A server that was asked for does not answer.
        UsageError: An address that cannot be read.
    """
    found: list[AttachedDevice] = []
    note: str | None = None
    for kind in reversed(DEVICE_KINDS.values()):
        try:
            found += kind.attached(adb_server)
        except MissingDependencyError as error:
            if adb_server is not None:
                raise
            note = f"{error.message}: {error.hint}"
    return DeviceListing(devices=tuple(found), note=note)


def select_device(
    requested: str | None = None,
    *,
    adb_server: str | None = None,
    remote_dir: str | None = None,
) -> Device:
    """Open the device that is meant.

    Args:
        requested: ``--device``: a serial, ``HOST:PORT`` of a network device (connected if it is not), or ``host``.
            None: ``$ANDROID_SERIAL``, else the only attached device, else this host.
        adb_server: ``--adb-server HOST:PORT``; None for the environment's.
        remote_dir: This program's directory on the device; None to look for one.

    Raises:
        UsageError: Several devices and no request; the message has the choices.
        DeviceError: Not attached, unauthorised, offline: with the next step.
        MissingDependencyError: A device was asked for, and adb or adbutils is missing.
    """
    wanted = requested or os.environ.get("ANDROID_SERIAL") or None
    if wanted is None:
        wanted = _only_device(adb_server)
    kind = next(kind for kind in DEVICE_KINDS.values() if kind.is_named(wanted))
    return kind.open(wanted, adb_server, remote_dir)


def _only_device(adb_server: str | None) -> str:
    """The serial that is meant when none is named: the only attached device, else this host."""
    attached = list_devices(adb_server).beside_host
    if not attached and adb_server is not None:
        raise DeviceError(f"no device is attached to the adb server at {adb_server}", hint="edgevit-export devices")
    if len(attached) > 1:
        usable = next((each for each in attached if each.is_usable), None)
        raise UsageError(
            f"{len(attached)} devices are attached: choose one with --device: {choices(attached)}",
            hint=f"--device {quoted(usable.serial)}" if usable else f"{attached[0].serial}: {attached[0].hint}",
        )
    return attached[0].serial if attached else HOST


def select_devices(
    requested: tuple[str, ...], *, adb_server: str | None = None, remote_dir: str | None = None
) -> tuple[Device, ...]:
    """Open several devices; with the single request ``all``, every usable one but this host.

    Raises:
        UsageError: A device named twice.
        DeviceError: As ``select_device``; what was opened is closed again.
    """
    if requested == ("all",):
        requested = tuple(each.serial for each in list_devices(adb_server).beside_host if each.is_usable)
        if not requested:
            raise DeviceError("no usable device is attached", hint="edgevit-export devices")
    if len(set(requested)) != len(requested):
        raise UsageError(f"a device is named twice: {', '.join(requested)}")
    with ExitStack() as stack:
        opened = [stack.enter_context(select_device(serial, adb_server=adb_server, remote_dir=remote_dir))
                  for serial in requested]  # fmt: skip
        stack.pop_all()
    return tuple(opened)
