"""Devices in a listing, whatever their kind."""

from __future__ import annotations

from collections.abc import Iterable

from edgevit.records import Record
from runtimes.devices.device import Kind

HOST = "host"
USABLE = "device"


class AttachedDevice(Record):
    """A device in a listing.

    Attributes:
        serial: What ``--device`` takes.
        kind: Its kind: ``adb`` or ``host``.
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

    @property
    def beside_host(self) -> tuple[AttachedDevice, ...]:
        """All but this machine."""
        return tuple(each for each in self.devices if each.serial != HOST)


def choices(attached: Iterable[AttachedDevice]) -> str:
    """The devices to choose from, in words; what cannot be used with its state; always with this machine."""
    return ", ".join([*(f"{each.serial} ({_told(each)})" for each in attached), HOST])


def _told(device: AttachedDevice) -> str:
    named = device.is_usable and device.model
    return named or ", ".join(word for word in (device.model, device.state) if word)
