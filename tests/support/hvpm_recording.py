"""A current to measure, and its recording from a fake unit with our own meter."""

from __future__ import annotations

import time

import numpy as np
from fake_hvpm import FakeUnit, plugged_in

from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.trace import PowerTrace


def wave(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """(count,) mA and (count,) V: a square wave with noise, dips into the fine range, and slots for calibration."""
    rng = np.random.Generator(np.random.PCG64(5))
    current = 200 + 400 * (np.arange(count) // 500 % 2) + rng.normal(0, 10, count)
    current[::3000] = 8.0  # within the fine range
    current[6250::6250] = np.nan
    current[6251::6250] = np.nan
    return current, np.full(count, 3.85) + rng.normal(0, 0.005, count)


def record(unit: FakeUnit, *, volts: float | None = None) -> PowerTrace:
    """All that the unit has to tell."""
    with plugged_in(unit), MonsoonMeter(volts=volts) as meter:
        meter.prepare()
        meter.start()
        deadline = time.monotonic() + 20
        while unit._next < len(unit.samples) and time.monotonic() < deadline:
            time.sleep(0.005)
            meter.check()
        return meter.stop()
