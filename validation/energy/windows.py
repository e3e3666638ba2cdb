"""Energy of given windows: integrals above background, with disturbed windows found and replaced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from validation.energy.background import Background
from validation.energy.signal import Bools, Doubles, Signal
from validation.statistics import robust_sd

# Chosen, and tried on simulated traces with activity of other processes (benchmarks/energy_accuracy.py).
OUTLIER_SIGMA = 6.0  # robust deviations from the neighbours
OUTLIER_SHARE = 0.05  # of the median power, at the least: what the verdict on agreement allows anyway
MAX_HOLE_S = 0.002  # ten samples at 5 kHz: a line across more of them hides a step


@dataclass(frozen=True, eq=False)
class Windows:
    """Energy and power of each window above background.

    Attributes:
        starts_s: (n,) float64, s on the trace's clock.
        ends_s: (n,) float64, s on the trace's clock.
        energy_mj: (n,) float64, energy above background; disturbed and incomplete windows hold the others' power times
            their own duration.
        power_mw: (n,) float64, mean power above background over the same samples.
        measured_mj: (n,) float64, energy above background as measured, nothing replaced.
        disturbed: (n,) bool, windows in which something else was at work.
        incomplete: (n,) bool, windows with a hole of more than 2 ms.
    """

    starts_s: Doubles
    ends_s: Doubles
    energy_mj: Doubles
    power_mw: Doubles
    measured_mj: Doubles
    disturbed: Bools
    incomplete: Bools

    @property
    def durations_s(self) -> Doubles:
        """(n,) float64, length of each window."""
        return self.ends_s - self.starts_s


def integrate(signal: Signal, starts: Doubles, ends: Doubles, background: Background) -> Windows:
    """Integrate ``signal`` above ``background`` over each window, (n,) float64, s on the trace's clock.

    A sample is the mean over its period, so a step inside of a sample leaks a sixth of a sample's energy out of the
    window on average. Half a sample is therefore added on the sides where a gap lies, for energy and background alike.
    """
    durations = ends - starts
    first, last = _widened(starts, ends, 0.5 / signal.rate_hz)
    measured = signal.energy_mj(first, last) - background.window_mw * (last - first)
    power = measured / durations
    incomplete = signal.longest_hole_s(starts, ends) > MAX_HOLE_S
    disturbed = _outliers(power, incomplete)
    replaced = disturbed | incomplete
    if np.any(replaced) and not np.all(replaced):
        power = power.copy()
        power[replaced] = _neighbours(power, replaced)
    return Windows(starts, ends, power * durations, power, measured, disturbed, incomplete)


def _widened(starts: Doubles, ends: Doubles, by_s: float) -> tuple[Doubles, Doubles]:
    """Starts and ends, (n,) s each, moved apart by ``by_s`` where no neighbour is close."""
    free = starts[1:] - ends[:-1] > 3 * by_s
    return starts - by_s * np.append(True, free), ends + by_s * np.append(free, True)


def _outliers(power: Doubles, incomplete: Bools) -> Bools:
    """(n,) mW to (n,) bool: windows off their neighbours, since other activity adds power to single windows only."""
    if len(power) < 8:
        return np.zeros(len(power), np.bool_)
    away = power - _rolling_median(power)
    limit = max(OUTLIER_SIGMA * robust_sd(away[~incomplete]), OUTLIER_SHARE * abs(float(np.median(power))))
    outside: Bools = np.abs(away) > limit
    return outside & ~incomplete


def _rolling_median(values: Doubles, half: int = 5) -> Doubles:
    """(n,) to (n,): median of each value and ``half`` neighbours on either side, mirrored at both ends."""
    padded = np.pad(values, half, mode="reflect")
    median: Doubles = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return median


def _neighbours(power: Doubles, replaced: Bools) -> Doubles:
    """(n,) mW to (replaced,) mW: mean power of the ten nearest windows that are not replaced themselves."""
    good = np.flatnonzero(~replaced)
    return np.array([power[good[np.argsort(np.abs(good - i))[:10]]].mean() for i in np.flatnonzero(replaced)])
