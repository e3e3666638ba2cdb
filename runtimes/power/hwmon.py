"""INA current sensors of Linux boards (Jetson, Raspberry Pi hats and the like) through the kernel's hwmon files.

INA3221 (Jetson): per channel ``inN_label``, ``inN_input`` in mV and ``currN_input`` in mA; INA219/226 (``ina2xx``):
``in1_input`` mV, ``curr1_input`` mA, ``power1_input`` uW; old Jetson releases: ``iio`` files in mW.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from edgevit.errors import MeterError, MissedReadingError
from runtimes.devices.device import Device
from runtimes.devices.figures import within
from runtimes.power.meter import MeterOptions, PowerMeter, Resolution
from runtimes.power.polling import PollingMeter
from runtimes.power.sysfs import LocalSysfs, Sysfs, number, sysfs_of
from runtimes.power.trace import Doubles, PowerTrace, from_readings

TOTALS = ("VDD_IN", "POM_5V_IN", "VDD_5V_IN", "5V_IN", "SYS_VIN")
LONGEST_UPDATE_MS = 60_000.0  # chosen: the slowest of these chips averages over some 2 s
CHIPS = ("ina3221", "ina2xx", "ina219", "ina226", "ina230", "ina231", "ina238")


@dataclass(frozen=True)
class Rail:
    """One sensor: a label, and the files whose product times ``scale`` is its power in mW."""

    label: str
    files: tuple[str, ...]
    scale: float
    update_file: str | None = None


def find_rails(sysfs: Sysfs) -> list[Rail]:
    """All INA channels that can be read, by label."""
    rails: list[Rail] = []
    for name_file in sysfs.glob("/sys/class/hwmon/hwmon*/name"):
        chip = sysfs.read([name_file])[0]
        if chip in CHIPS:
            rails += _hwmon_rails(sysfs, name_file.rpartition("/")[0], chip)
    for power in sysfs.glob("/sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input"):
        channel = power.rpartition("in_power")[2].partition("_")[0]
        label = sysfs.read([f"{power.rpartition('/')[0]}/rail_name_{channel}"])[0]
        rails.append(Rail(label or f"channel {channel}", (power,), 1.0))
    return rails


def _hwmon_rails(sysfs: Sysfs, directory: str, chip: str) -> list[Rail]:
    update = f"{directory}/update_interval"
    rails = []
    for current in sysfs.glob(f"{directory}/curr*_input"):
        channel = current.rpartition("curr")[2].partition("_")[0]
        if not (channel.isascii() and channel.isdecimal()):
            continue
        label, power, volts = sysfs.read(
            [f"{directory}/in{channel}_label", f"{directory}/power{channel}_input", f"{directory}/in{channel}_input"]
        )
        name = label or f"{chip} {directory.rpartition('/')[2]} channel {channel}"
        if number(power) is not None:
            rails.append(Rail(name, (f"{directory}/power{channel}_input",), 1e-3, update))
        elif number(volts) is not None:
            rails.append(Rail(name, (current, f"{directory}/in{channel}_input"), 1e-3, update))
    return rails


def open_meter(device: Device, options: MeterOptions) -> PowerMeter:
    """The sensors of ``device``, which may be this machine."""
    return HwmonMeter(sysfs_of(device), rails=options.rails)


class HwmonMeter(PollingMeter):
    """INA sensors of the board that this program runs on, or of a device.

    Args:
        sysfs: Where the files are.
        rails: Labels to add up; None takes the board's total input where it has one, else its only sensor.
        period_s: Time between readings.
    """

    name = "hwmon"

    def __init__(
        self, sysfs: Sysfs | None = None, *, rails: tuple[str, ...] | None = None, period_s: float = 0.005
    ) -> None:
        super().__init__(period_s)
        self._sysfs: Sysfs = sysfs or LocalSysfs()
        self._wanted = rails
        self._rails: list[Rail] = []
        self.resolution = Resolution(
            period_s=period_s, step_mj=0.0, scope="the chosen rails", note="1 mA and 1 mV steps; the chip averages"
        )

    def prepare(self) -> None:
        """Find the sensors, choose, and learn how often they update."""
        found = find_rails(self._sysfs)
        if not found:
            raise MeterError(f"{self._sysfs.place} has no INA power sensor below /sys/class/hwmon")
        self._rails = self._chosen(found)
        intervals = [number(text) for text in self._sysfs.read([r.update_file for r in self._rails if r.update_file])]
        slowest_s = max([0.0, *((within(value, 0, LONGEST_UPDATE_MS) or 0.0) / 1e3 for value in intervals)])
        scope = " + ".join(rail.label for rail in self._rails)
        self.resolution = replace(self.resolution, period_s=max(self.period_s, slowest_s), scope=scope)
        self._try_pace()

    def _chosen(self, found: list[Rail]) -> list[Rail]:
        labels = {rail.label: rail for rail in found}
        if self._wanted is not None:
            missing = [label for label in self._wanted if label not in labels]
            if missing:
                raise MeterError(f"no power rail {', '.join(missing)}: there are {', '.join(sorted(labels))}")
            return [labels[label] for label in self._wanted]
        for total in TOTALS:
            if total in labels:
                return [labels[total]]
        if len(found) == 1:
            return found
        raise MeterError(f"{len(found)} power rails and none is the total: choose from {', '.join(sorted(labels))}")

    def read_once(self) -> tuple[float, ...]:
        """Power in mW, and voltage in V of a single rail (0 when unknown)."""
        total_mw, volts = 0.0, 0.0
        for rail in self._rails:
            values = [number(text) for text in self._sysfs.read(rail.files)]
            product = rail.scale
            for value in values:
                if value is None:
                    raise MissedReadingError(f"power rail {rail.label} of {self._sysfs.place} cannot be read")
                product *= value
            total_mw += product
            volts = values[1] / 1e3 if len(values) == 2 and values[1] else 0.0
        return total_mw, volts

    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        """Readings, (n, 2) mW and V, on a grid of the polling rate."""
        known = len(self._rails) == 1 and readings[:, 1].min() > 0
        meta = {"meter": f"hwmon of {self._sysfs.place}", "rails": self.resolution.scope}
        return from_readings(
            seconds,
            readings[:, 0],
            rate_hz=1.0 / self.period_s,
            period_s=self.resolution.period_s,
            current_ma=readings[:, 0] / readings[:, 1] if known else None,
            voltage_v=readings[:, 1] if known else None,
            meta=meta,
        )
