"""Energy of given windows: integrals above background, foreign activity found and replaced, and the interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from validation.energy.background import Background
from validation.energy.signal import Bools, Doubles, Signal
from validation.latency.statistics import robust_sd

OUTLIER_SIGMA = 6.0
OUTLIER_SHARE = 0.05
MAX_HOLE_S = 0.002


@dataclass(frozen=True, eq=False)
class Windows:
    """Energy and power of each window above background.

    Attributes:
        starts_s: (n,) trace time.
        ends_s: (n,) trace time.
        energy_mj: (n,) energy above background; windows with foreign activity hold the others' power times their
            own duration.
        power_mw: (n,) mean power above background over the same samples.
        measured_mj: (n,) energy above background as measured, nothing replaced.
        foreign: (n,) windows in which something else was at work.
        void: (n,) windows with a hole of more than 2 ms.
    """

    starts_s: Doubles
    ends_s: Doubles
    energy_mj: Doubles
    power_mw: Doubles
    measured_mj: Doubles
    foreign: Bools
    void: Bools

    @property
    def durations_s(self) -> Doubles:
        """(n,) length of each window."""
        return self.ends_s - self.starts_s


def integrate(signal: Signal, starts: Doubles, ends: Doubles, background: Background) -> Windows:
    """Integrate ``signal`` above ``background`` over each window.

    A sample is the mean over its period, so a step inside of a sample leaks a sixth of a sample's energy out of the
    window on average. Half a sample is therefore added on the sides where a gap lies, for energy and background alike.
    """
    durations = ends - starts
    first, last = _widened(starts, ends, 0.5 / signal.rate_hz)
    measured = signal.energy_mj(first, last) - background.window_mw * (last - first)
    power = measured / durations
    void = signal.longest_hole_s(starts, ends) > MAX_HOLE_S
    foreign = _outliers(power, void)
    replaced = foreign | void
    if np.any(replaced) and not np.all(replaced):
        power = power.copy()
        power[replaced] = _neighbours(power, replaced)
    return Windows(starts, ends, power * durations, power, measured, foreign, void)


def _widened(starts: Doubles, ends: Doubles, by_s: float) -> tuple[Doubles, Doubles]:
    free = starts[1:] - ends[:-1] > 3 * by_s
    return starts - by_s * np.append(True, free), ends + by_s * np.append(free, True)


def _outliers(power: Doubles, void: Bools) -> Bools:
    """Windows whose power leaves the family: foreign activity adds power to single windows only."""
    if len(power) < 8:
        return np.zeros(len(power), np.bool_)
    away = power - _rolling_median(power)
    limit = max(OUTLIER_SIGMA * robust_sd(away[~void]), OUTLIER_SHARE * abs(float(np.median(power))))
    outside: Bools = np.abs(away) > limit
    return outside & ~void


def _rolling_median(values: Doubles, half: int = 5) -> Doubles:
    padded = np.pad(values, half, mode="reflect")
    median: Doubles = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return median


def _neighbours(power: Doubles, replaced: Bools) -> Doubles:
    """Mean power of the five nearest windows on either side that are not replaced."""
    good = np.flatnonzero(~replaced)
    return np.array([power[good[np.argsort(np.abs(good - i))[:10]]].mean() for i in np.flatnonzero(replaced)])
