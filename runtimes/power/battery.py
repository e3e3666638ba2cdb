"""The phone's own battery gauge over ADB: no hardware needed, and coarse.

The kernel's ABI says uA and uV, charging positive; makers also deliver mA, mV and the opposite sign. The unit is told
by size (no phone that is awake draws below 10 mA), the sign by the gauge's own status: nothing is measured while the
battery is charged, since the gauge then sees the charger as well.
"""

from __future__ import annotations

import re

import numpy as np

from edgevit.errors import MeterError, MissedReadingError
from edgevit.shell import quoted
from runtimes.devices.device import Device
from runtimes.power.meter import MeterOptions, PowerMeter, Resolution
from runtimes.power.polling import PollingMeter
from runtimes.power.sysfs import DeviceSysfs, number
from runtimes.power.trace import Doubles, PowerTrace, from_readings

DIRECTORIES = ("/sys/class/power_supply/battery", "/sys/class/power_supply/bms", "/sys/class/power_supply/BAT0")
MILLI_BELOW = 10_000.0  # below it mA, else uA: a phone that is awake draws over 10 mA (10,000 uA), and never 10 A
MOST_MA = 50_000.0  # chosen: no battery of a phone or a board gives 50 A
GRID_HZ = 20.0  # chosen, because it is finer than any gauge updates


def open_meter(device: Device, options: MeterOptions) -> PowerMeter:
    """The battery gauge of ``device``; it has no options."""
    return BatteryMeter(device)


class BatteryMeter(PollingMeter):
    """The battery gauge of a device.

    Args:
        device: The phone; not charged over USB (network ADB, or a hub that cuts its power).
        period_s: Time between readings.
    """

    name = "battery"

    def __init__(self, device: Device, *, period_s: float = 0.5) -> None:
        super().__init__(period_s)
        self._device = device
        self._sysfs = DeviceSysfs(device)
        self._directory: str | None = None
        self.resolution = Resolution(
            period_s=max(1.0, period_s),
            step_mj=0.0,
            scope="all of the device",
            note="gauges update every 0.25 to 10 s; the mean over a long run only",
        )

    def prepare(self) -> None:
        """Find a gauge that this shell may read, and refuse while it is charged."""
        for directory in DIRECTORIES:
            current, voltage = self._sysfs.read([f"{directory}/current_now", f"{directory}/voltage_now"])
            if number(current) is not None and number(voltage) is not None:
                self._directory = directory
                break
        else:
            if number(self._by_command("current_now")) is None:
                raise MeterError(
                    f"the battery gauge of {self._device.serial} cannot be read: neither below "
                    f"{DIRECTORIES[0]} nor by `cmd battery get -f current_now`",
                    hint="many makers deny it to the shell: use --energy monsoon, or rails on a Pixel",
                )
        self._refuse_charging()
        self._try_pace()

    def _by_command(self, field: str) -> str | None:
        answer = self._device.run(["cmd", "battery", "get", "-f", field])
        return answer.out.strip() if answer.ok else None

    def _refuse_charging(self) -> None:
        dump = self._device.run(["dumpsys", "battery"]).out
        powered = re.findall(r"^[ \t]*(AC|USB|Wireless|Dock) powered: true", dump, re.MULTILINE)
        status = self._sysfs.read([f"{self._directory or DIRECTORIES[0]}/status"])[0]
        if powered or status == "Charging":
            by = " and ".join(powered) or "its charger"
            raise MeterError(
                f"{self._device.serial} is powered by {by}: its gauge does not see what it draws",
                hint=f"adb -s {quoted(self._device.serial)} tcpip 5555, unplug it, use its network address as --device",
            )

    def read_once(self) -> tuple[float, ...]:
        """(current in mA, voltage in V), both positive."""
        if self._directory is not None:
            files = [f"{self._directory}/current_now", f"{self._directory}/voltage_now"]
            current, voltage = (number(text) for text in self._sysfs.read(files))
        else:
            current, voltage = number(self._by_command("current_now")), self._dumped_voltage()
        if current is None or voltage is None:
            raise MissedReadingError(f"the battery gauge of {self._device.serial} stopped answering")
        return _milliamperes(current, self._device.serial), _volts(voltage, self._device.serial)

    def _dumped_voltage(self) -> float | None:
        found = re.search(r"^[ \t]*voltage: (\S+)", self._device.run(["dumpsys", "battery"]).out, re.MULTILINE)
        return number(found[1]) if found else None

    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        """Readings, (n, 2) mA and V, on a grid of 20 Hz with straight lines between them."""
        if not np.any(readings[:, 0] != readings[0, 0]):
            raise MeterError(
                f"the battery gauge of {self._device.serial} gave {readings[0, 0]:.0f} mA all the time: "
                "it does not update",
                hint="use --energy monsoon, or rails on a Pixel",
            )
        power = readings[:, 0] * readings[:, 1]
        meta = {"meter": f"battery gauge of {self._device.serial}"}
        return from_readings(
            seconds,
            power,
            rate_hz=GRID_HZ,
            period_s=self.resolution.period_s,
            current_ma=readings[:, 0],
            voltage_v=readings[:, 1],
            meta=meta,
        )


def _milliamperes(value: float, serial: str) -> float:
    magnitude = abs(value)
    current_ma = magnitude if magnitude < MILLI_BELOW else magnitude / 1000.0
    if current_ma > MOST_MA:
        raise MeterError(f"the battery gauge of {serial} tells a current of {value:g}: neither mA nor uA of a battery")
    return current_ma


def _volts(value: float, serial: str) -> float:
    for scale in (1.0, 1e3, 1e6):
        if 2.5 <= value / scale <= 20.0:
            return value / scale
    raise MeterError(f"the battery gauge of {serial} tells a voltage of {value:g}: neither V, mV nor uV of a battery")
