"""On-device power rails of Pixel 6 and later (ODPM): cumulative energy per rail, readable by the shell.

Source: AOSP ``PowerStats.cpp`` (``dumpEnergyMeter``): lines ``[RAIL]:Subsystem  123.45 mWs`` below the heading
"PowerStats HAL 2.0 energy meter", energy since boot. The ``delta`` form is not used: its state is shared by everyone.
"""

from __future__ import annotations

import re

import numpy as np

from edgevit.errors import MeterError, MissedReadingError
from runtimes.devices.device import Device
from runtimes.devices.figures import number
from runtimes.power.meter import MeterOptions, PowerMeter, Resolution
from runtimes.power.polling import PollingMeter
from runtimes.power.trace import Doubles, PowerTrace, from_counter

COMMANDS = (
    ["dumpsys", "android.hardware.power.stats.IPowerStats/default"],
    ["lshal", "debug", "android.hardware.power.stats@1.0::IPowerStats/default"],
)
_HEADING = re.compile(r"= PowerStats HAL (?:2\.0 energy meter|1\.0 rail energy data) =")
_RAIL = re.compile(r"^\s*(\S.*?)\s{2,}(-?\d+(?:\.\d+)?)\s+mWs\b")
LONGEST_LINE = 200  # characters; chosen: a rail and its subsystem have names of some 40
GRID_HZ = 20.0  # chosen, because it is finer than the rails are read


def parse_rails(text: str) -> dict[str, float]:
    """Cumulative energy in mJ of each rail, by its name as printed; empty when there is no such section."""
    heading = _HEADING.search(text)
    if heading is None:
        return {}
    rails: dict[str, float] = {}
    for line in text[heading.end() :].lstrip("=").splitlines():
        if line.lstrip().startswith("=="):
            break
        found = _RAIL.match(line) if len(line) <= LONGEST_LINE else None
        if found and (energy_mj := number(found[2])) is not None:
            rails[found[1].strip()] = energy_mj
    return rails


def open_meter(device: Device, options: MeterOptions) -> PowerMeter:
    """The rails of ``device``."""
    return RailsMeter(device, rails=options.rails)


class RailsMeter(PollingMeter):
    """Power rails of a Pixel.

    Args:
        device: The phone; may stay plugged in.
        rails: Parts of names of the rails to add up, e.g. ``CPU`` or ``VDD_TPU``; None for all that there are.
        period_s: Time between readings; each costs the phone some milliseconds of CPU.
    """

    name = "rails"

    def __init__(self, device: Device, *, rails: tuple[str, ...] | None = None, period_s: float = 1.0) -> None:
        super().__init__(period_s)
        self._device = device
        self._wanted = rails
        self._command: list[str] | None = None
        self._names: tuple[str, ...] = ()
        self.resolution = Resolution(
            period_s=period_s,
            step_mj=0.01,
            scope="rails " + ", ".join(rails) if rails else "all metered rails",
            note="what has no rail is not in it; each reading is a dumpsys call on the phone",
        )

    def prepare(self) -> None:
        """Find the rails and choose the wanted ones."""
        for command in COMMANDS:
            rails = parse_rails(self._device.run(command).out)
            if rails:
                self._command = list(command)
                self._names = self._chosen(rails)
                self._try_pace()
                return
        raise MeterError(
            f"{self._device.serial} tells no power rails: `{' '.join(COMMANDS[0])}` has no energy meter",
            hint="only Pixel 6 and later have them: use --energy monsoon or battery",
        )

    def _chosen(self, rails: dict[str, float]) -> tuple[str, ...]:
        if self._wanted is None:
            return tuple(rails)
        missing = [part for part in self._wanted if not any(part in name for name in rails)]
        if missing:
            raise MeterError(f"no rail named {', '.join(missing)}: there are {', '.join(sorted(rails))}")
        return tuple(name for name in rails if any(part in name for part in self._wanted))

    def read_once(self) -> tuple[float, ...]:
        """The sum of the chosen rails since boot, in mJ."""
        assert self._command is not None, "prepare() comes first"
        rails = parse_rails(self._device.run(self._command).out)
        missing = [name for name in self._names if name not in rails]
        if missing:
            raise MissedReadingError(f"{self._device.serial}: rails {', '.join(missing)} are gone from the dump")
        return (sum(rails[name] for name in self._names),)

    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        """Mean power between readings, (n, 1) mJ since boot; the energy is kept exactly."""
        if np.any(np.diff(readings[:, 0]) < 0):
            raise MeterError(f"{self._device.serial} restarted during the run: its energy counters began again")
        meta = {"meter": f"power rails of {self._device.serial}", "rails": ", ".join(self._names)}
        return from_counter(seconds, readings[:, 0], rate_hz=GRID_HZ, period_s=self.resolution.period_s, meta=meta)
