"""All meters by name, for ``--energy`` and ``energy meters``."""

from __future__ import annotations

from edgevit.errors import EdgevitExportError, UsageError, unknown_choice
from edgevit.records import Record
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice
from runtimes.power.battery import BatteryMeter
from runtimes.power.hwmon import HwmonMeter
from runtimes.power.meter import PowerMeter
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.monsoon_unit import list_units
from runtimes.power.rails import RailsMeter
from runtimes.power.rapl import RaplMeter
from runtimes.power.sysfs import DeviceSysfs, LocalSysfs

METERS: dict[str, str] = {
    "monsoon": "Monsoon HVPM on this machine's USB, at the phone's supply",
    "battery": "the phone's own battery gauge",
    "rails": "power rails of a Pixel 6 or later",
    "hwmon": "INA current sensors of a Linux board",
    "rapl": "energy counters of this machine's CPU",
}


class MeterRow(Record):
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


def open_meter(
    name: str,
    device: Device | None,
    *,
    serial: str | None = None,
    volts: float | None = None,
    rails: tuple[str, ...] | None = None,
) -> PowerMeter:
    """The meter called ``name``, for ``device``; nothing is touched before ``prepare``.

    Args:
        name: One of ``METERS``.
        device: The device that is measured; needed by ``battery`` and ``rails``, and by ``hwmon`` for its files.
        serial: Number of the Monsoon unit.
        volts: Supply voltage that the Monsoon is to set; None leaves it alone.
        rails: Rails to add up (``rails``, ``hwmon``).

    Raises:
        UsageError: No such meter, an option that it has not, or the wrong kind of device.
    """
    if name not in METERS:
        raise unknown_choice("energy meter", name, METERS)
    if name != "monsoon" and (serial is not None or volts is not None):
        raise UsageError(f"--energy {name} has no serial and no voltage: these are the Monsoon's")
    if rails is not None and name not in ("rails", "hwmon"):
        raise UsageError(f"--energy {name} has no rails to choose from")
    if name == "monsoon":
        return MonsoonMeter(serial, volts=volts)
    if name == "hwmon":
        remote = device is not None and device.kind != "host"
        return HwmonMeter(DeviceSysfs(device) if remote and device else LocalSysfs(), rails=rails)
    if name == "rapl":
        if device is not None and device.kind != "host":
            raise UsageError(f"rapl measures this machine, not {device.serial}", hint="--device host")
        return RaplMeter()
    if device is None or device.kind != "adb":
        raise UsageError(f"{name} is read from an Android device", hint="--device SERIAL")
    return BatteryMeter(device) if name == "battery" else RailsMeter(device, rails=rails)


def list_meters(device: Device | None) -> list[MeterRow]:
    """Every meter, how fine it is, and whether it can be used here and on ``device``; changes nothing."""
    return [_row(name, what, device) for name, what in METERS.items()]


def _row(name: str, what: str, device: Device | None) -> MeterRow:
    meter = _unconnected(name, device)
    usable, why_not = _usable(name, meter, device)
    resolution = meter.resolution
    return MeterRow(
        name=name,
        what=what,
        scope=resolution.scope,
        period_ms=resolution.period_s * 1e3,
        step_mj=resolution.step_mj,
        shortest_window_ms=resolution.shortest_window_s * 1e3,
        shortest_run_s=resolution.shortest_run_s,
        usable=usable,
        why_not=why_not,
        note=resolution.note,
    )


def _unconnected(name: str, device: Device | None) -> PowerMeter:
    if name in ("battery", "rails"):
        place = device or HostDevice()  # only its resolution is asked for when there is no phone
        return BatteryMeter(place) if name == "battery" else RailsMeter(place)
    return RaplMeter() if name == "rapl" else open_meter(name, device)


def _usable(name: str, meter: PowerMeter, device: Device | None) -> tuple[bool | None, str]:
    """Whether it answers; a Monsoon is only looked for, since preparing it changes its passthrough."""
    if name in ("battery", "rails") and (device is None or device.kind != "adb"):
        return (None, "needs --device SERIAL") if device is None else (False, f"{device.serial} is no Android device")
    try:
        if name == "monsoon":
            units = list_units()
            return bool(units), f"units: {', '.join(units)}" if units else "no unit on USB (2ab9:0001)"
        with meter:
            meter.prepare()
        return True, ""
    except EdgevitExportError as error:
        return False, error.message
