"""The meters as data, for ``--energy`` and ``energy meters``. A new one costs its file and a row here.

A row names its module as a string, which is loaded on first use; there, ``open_meter(device, options)`` gives the
``PowerMeter``, and touches nothing before ``prepare``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from edgevit.errors import EdgevitExportError, UsageError, unknown_choice
from edgevit.records import Record
from runtimes.devices.attached import HOST
from runtimes.devices.device import Device, Kind
from runtimes.devices.host import HostDevice
from runtimes.devices.select import DEVICE_KINDS
from runtimes.power.meter import MeterOptions, PowerMeter


@dataclass(frozen=True)
class MeterRow:
    """What is known of a meter without loading it.

    Attributes:
        what: What it is, in words.
        module: The module with its ``open_meter``.
        options: The fields of ``MeterOptions`` that it takes.
        kind: The only kind of device that it can measure; None for any.
    """

    what: str
    module: str
    options: tuple[str, ...] = ()
    kind: Kind | None = None

    def open(self, device: Device, options: MeterOptions) -> PowerMeter:
        """The meter, for a device that is of the right kind."""
        meter: PowerMeter = import_module(self.module).open_meter(device, options)
        return meter


METERS: dict[str, MeterRow] = {
    "monsoon": MeterRow(
        "Monsoon HVPM on this machine's USB, at the phone's supply", "runtimes.power.monsoon", ("serial", "volts")
    ),
    "battery": MeterRow("the phone's own battery gauge", "runtimes.power.battery", kind="adb"),
    "rails": MeterRow("power rails of a Pixel 6 or later", "runtimes.power.rails", ("rails",), kind="adb"),
    "hwmon": MeterRow("INA current sensors of a Linux board", "runtimes.power.hwmon", ("rails",)),
    "rapl": MeterRow("energy counters of this machine's CPU", "runtimes.power.rapl", kind=HOST),
}

_LACKING = {
    "serial": "no serial and no voltage: these are the Monsoon's",
    "volts": "no serial and no voltage: these are the Monsoon's",
    "rails": "no rails to choose from",
}


class ListedMeter(Record):
    """One meter: how fine it is, and whether it can be used here (None: needs a device to tell)."""

    name: str
    what: str
    scope: str
    period_ms: float
    step_mj: float
    shortest_window_ms: float
    shortest_run_s: float
    usable: bool | None
    why_not: str = ""
    note: str = ""


def open_meter(name: str, device: Device | None, options: MeterOptions | None = None) -> PowerMeter:
    """The meter called ``name``, for ``device``; nothing is touched before ``prepare``.

    Args:
        name: One of ``METERS``.
        device: The device that is measured; None for this machine.
        options: What is asked of it; None for nothing.

    Raises:
        UsageError: No such meter, an option that it has not, or the wrong kind of device.
    """
    if name not in METERS:
        raise unknown_choice("energy meter", name, METERS)
    row, place, asked = METERS[name], device or HostDevice(), options or MeterOptions()
    for option, lacking in _LACKING.items():
        if getattr(asked, option) is not None and option not in row.options:
            raise UsageError(f"--energy {name} has {lacking}")
    if row.kind == HOST and place.kind != HOST:
        raise UsageError(f"{name} measures this machine, not {place.serial}", hint="--device host")
    if row.kind not in (None, place.kind):
        raise UsageError(f"{name} is read from an {DEVICE_KINDS[row.kind].noun}", hint="--device SERIAL")
    return row.open(place, asked)


def list_meters(device: Device | None) -> list[ListedMeter]:
    """Every meter, how fine it is, and whether it can be used here and on ``device``; changes nothing."""
    return [_listed(name, row, device) for name, row in METERS.items()]


def _listed(name: str, row: MeterRow, device: Device | None) -> ListedMeter:
    meter = row.open(device or HostDevice(), MeterOptions())  # without a phone only its resolution is asked for
    usable, why_not = _usable(row, meter, device)
    resolution = meter.resolution
    return ListedMeter(
        name=name,
        what=row.what,
        scope=resolution.scope,
        period_ms=resolution.period_s * 1e3,
        step_mj=resolution.step_mj,
        shortest_window_ms=resolution.shortest_window_s * 1e3,
        shortest_run_s=resolution.shortest_run_s,
        usable=usable,
        why_not=why_not,
        note=resolution.note,
    )


def _usable(row: MeterRow, meter: PowerMeter, device: Device | None) -> tuple[bool | None, str]:
    if row.kind not in (None, HOST):  # a meter of this machine can be asked whatever the device is
        if device is None:
            return None, "needs --device SERIAL"
        if device.kind != row.kind:
            return False, f"{device.serial} is no {DEVICE_KINDS[row.kind].noun}"
    try:
        return meter.probe()
    except EdgevitExportError as error:
        return False, error.message
