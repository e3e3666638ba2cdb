"""Background power: what the device draws while the model does not run, and how far a burst's tail reaches.

Two references. The *idle line* goes through the idle before and after the run. The *gaps* are the idle between the
bursts, once their tails are over; they follow whatever the background does during the run, and are preferred wherever
they are long enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from validation.energy.signal import Doubles, Signal
from validation.statistics import robust_sd

# All chosen, and tried on simulated traces whose background is known (benchmarks/energy_accuracy.py).
IDLE_S = 4.0  # at most this much idle is used on each side, next to the run
GUARD_S = 0.05  # kept away from the outermost busy moments: a tail of some 50 ms is usual
NEAR_S = 0.0005  # kept away from the edges of bursts: more than the stamps' jitter
BLOCK_S = 0.05  # blocks whose scatter is the idle's
NEIGHBOURS = 4  # gaps on each side that a gap's level is smoothed over


@dataclass(frozen=True, eq=False)
class Idle:
    """Idle next to the run.

    Attributes:
        before_mw: Mean power before, nan without any.
        after_mw: Mean power after, nan without any.
        before_s: Length that ``before_mw`` is taken from.
        after_s: The same after.
        middle_before_s: Middle of the idle before, trace time.
        middle_after_s: Middle of the idle after.
        scatter_mw: Robust deviation of 50 ms blocks.
    """

    before_mw: float
    after_mw: float
    before_s: float
    after_s: float
    middle_before_s: float
    middle_after_s: float
    scatter_mw: float

    def at(self, seconds: Doubles) -> Doubles:
        """The idle line in mW at moments of the trace, (n,) float64, s.

        Linear between both idles, the one there is when the other is missing, nan without any.
        """
        known = [
            (moment, level)
            for moment, level in ((self.middle_before_s, self.before_mw), (self.middle_after_s, self.after_mw))
            if np.isfinite(level)
        ]
        if not known:
            return np.full(len(seconds), np.nan)
        moments, levels = np.array(known).T
        line: Doubles = levels[0] + np.zeros(len(seconds))
        if len(known) == 2:
            line = levels[0] + (seconds - moments[0]) * (levels[1] - levels[0]) / (moments[1] - moments[0])
        return line


@dataclass(frozen=True, eq=False)
class Background:
    """Background for a series of windows.

    Attributes:
        method: Which reference ``window_mw`` is.
        window_mw: (n,) float64, background power during each window.
        idle: Idle before and after.
        tail_s: How long power stays raised after a burst.
        tail_mj: Mean energy of a tail above background, None where tails cannot be told from the next burst.
        carried_mj: At most this much energy of a burst's tail falls into the next window.
        above_idle_mw: Median of the gaps' power above the idle line, nan without gaps.
        max_off_line_mw: Largest smoothed deviation of the gaps from the idle line.
        error_mw: Standard error of the mean power above background, from the scatter of the background itself.
    """

    method: Literal["gaps", "idle line"]
    window_mw: Doubles
    idle: Idle
    tail_s: float
    tail_mj: float | None
    carried_mj: float
    above_idle_mw: float
    max_off_line_mw: float
    error_mw: float


def measure_idle(signal: Signal, first_busy_s: float, last_busy_s: float, *, limits: tuple[float, float]) -> Idle:
    """Idle power around a run that is busy from ``first_busy_s`` to ``last_busy_s``.

    Args:
        signal: The trace.
        first_busy_s: First busy moment.
        last_busy_s: Last busy moment, tail not counted.
        limits: Idle is not looked for outside of these moments (something else was busy there).
    """
    reach = min(0.5, IDLE_S / 4)
    start, end = max(limits[0], first_busy_s - IDLE_S), first_busy_s - GUARD_S
    before = signal.blocks_mw(start, end, BLOCK_S)
    later, stop = last_busy_s + reach, min(limits[1], signal.seconds, last_busy_s + reach + IDLE_S)
    after = signal.blocks_mw(later, stop, BLOCK_S)
    scatter = [robust_sd(blocks) for blocks in (before, after) if len(blocks) > 3]
    return Idle(
        before_mw=float(before.mean()) if len(before) else float("nan"),
        after_mw=float(after.mean()) if len(after) else float("nan"),
        before_s=len(before) * BLOCK_S,
        after_s=len(after) * BLOCK_S,
        middle_before_s=(max(0.0, start) + end) / 2,
        middle_after_s=(later + stop) / 2,
        scatter_mw=max(scatter) if scatter else float("nan"),
    )


def measure_background(
    signal: Signal, starts: Doubles, ends: Doubles, idle: Idle, *, busy: tuple[Doubles, Doubles]
) -> Background:
    """Background during the windows ``starts``..``ends``.

    Args:
        signal: The trace.
        starts: (n,) float64, s on the trace's clock, ascending: where the windows start.
        ends: (n,) float64, s: where they end.
        idle: Idle around the run.
        busy: Starts and ends, each (m,) float64, s, of everything that was busy, the windows included, ascending.
    """
    level_mw = _burst_level(signal, starts, ends, idle)
    tail_s, profile = _tail(signal, busy, level_mw)
    lows, highs = _quiet_gaps(busy, starts, ends, tail_s)
    middles = (starts + ends) / 2
    line = idle.at(middles)
    inside = (highs > starts[0]) & (lows < ends[-1])
    if int(inside.sum()) < max(2, len(starts) // 2):
        carried = _carried(profile, starts, ends)
        error_mw = idle.scatter_mw / np.sqrt(max(1.0, (idle.before_s + idle.after_s) / BLOCK_S))
        return Background("idle line", line, idle, tail_s, None, carried, float("nan"), 0.0, float(error_mw))
    single_mw = signal.energy_mj(lows, highs) / (highs - lows)
    gaps_mw = _smooth(single_mw)
    moments = (lows + highs) / 2
    window_mw = np.interp(middles, moments, gaps_mw)
    difference = gaps_mw - idle.at(moments)
    tail_mj = _tail_energy(signal, busy, starts, ends, tail_s, moments, gaps_mw) if tail_s > 0 else 0.0
    return Background(
        "gaps", window_mw, idle, tail_s, tail_mj, _carried(profile, starts, ends), float(np.median(difference)),
        float(np.max(np.abs(difference))), _error(single_mw - gaps_mw, float(np.mean(highs - lows)), ends - starts),
    )  # fmt: skip


def _error(scatter_mw: Doubles, length_s: float, durations_s: Doubles) -> float:
    """Standard error in mW of the mean power above background, from how (gaps,) mW scatter about their neighbourhood.

    Windows scatter as the gaps do, more when they are shorter. Spikes count; gaps that hold far more than spikes do
    not, since such gaps and windows are left out elsewhere as well.
    """
    kept = scatter_mw[np.abs(scatter_mw) <= 10 * robust_sd(scatter_mw) + 1e-9]
    one_mw = float(np.std(kept))
    of_windows = one_mw * np.sqrt(length_s / float(np.mean(durations_s)) / len(durations_s))
    return float(np.hypot(of_windows, one_mw / np.sqrt(len(scatter_mw))))


def _burst_level(signal: Signal, starts: Doubles, ends: Doubles, idle: Idle) -> float:
    """Median power in mW of the windows, (n,) s each, above idle (without any, above the trace's lowest tenth)."""
    power = signal.energy_mj(starts, ends) / (ends - starts)
    line = idle.at((starts + ends) / 2)
    above = power - line if np.all(np.isfinite(line)) else power - float(np.percentile(signal.power_mw, 10))
    return max(float(np.median(above)), 1e-6)


def _tail(signal: Signal, busy: tuple[Doubles, Doubles], level_mw: float) -> tuple[float, Doubles]:
    """Length of the tail in s, and its profile above background, (ms,) float64, mW, one value for each ms.

    Looks at the busy intervals that are followed by the longest free times, as the median over all of them, so that
    short gaps do not hide a tail and other activity after one of them does not make one.
    """
    free = np.append(busy[0][1:], signal.seconds) - busy[1]  # the last one is followed by the end of the trace
    length = min(0.4, float(np.max(free)) - NEAR_S)
    chosen = busy[1][free >= 0.7 * length]
    room = min(length, float(np.min(free[free >= 0.7 * length]))) - 2 * NEAR_S
    count = int(room * 1000)
    if count < 4:
        return 0.0, np.zeros(0)
    edges = NEAR_S + np.arange(count + 1) / 1000.0
    profile = np.median(np.diff(signal.until_mj(chosen[:, None] + edges), axis=1), axis=0) * 1000.0
    quiet = profile[count * 2 // 3 :]
    profile = profile - float(np.median(quiet))
    width = _block_width(signal.noise_mw, len(chosen), level_mw)
    blocks = profile[: count // width * width].reshape(-1, width).mean(axis=1)
    limit = max(0.02 * level_mw, 4 * robust_sd(blocks[len(blocks) * 2 // 3 :]))
    raised = blocks[: max(1, len(blocks) * 2 // 3)] > limit
    reach = int(np.argmin(raised)) if not np.all(raised) else len(raised)
    return reach * width / 1000.0 + NEAR_S * (reach > 0), profile[: reach * width]


def _block_width(noise_mw: float, chosen: int, level_mw: float) -> int:
    """Width in ms at which the noise of the median profile is below 1 % of the burst's level, 1 to 10."""
    one_ms = 1.25 * noise_mw / np.sqrt(5.0 * chosen)
    return int(np.clip(np.ceil((one_ms / (0.01 * level_mw)) ** 2), 1, 10))


def _quiet_gaps(
    busy: tuple[Doubles, Doubles], starts: Doubles, ends: Doubles, tail_s: float
) -> tuple[Doubles, Doubles]:
    """Starts and ends, each (gaps,) float64, s, of the part of each gap next to a window in which the tail is over.

    At most 0.25 s, next to what follows.
    """
    free_from, free_to = busy[1][:-1] + 1.2 * tail_s + 2 * NEAR_S, busy[0][1:] - NEAR_S
    beside = (busy[0][1:] <= ends[-1] + 1.0) & (busy[1][:-1] >= starts[0] - 1.0)
    whole = busy[0][1:] - busy[1][:-1]
    usable = beside & (free_to - free_from >= np.maximum(0.002, 0.15 * whole))
    lows, highs = free_from[usable], free_to[usable]
    middle = (lows + highs) / 2  # the later half: slow tails below the detection limit fade there
    return np.maximum(np.minimum(middle, highs - 0.002), highs - 0.25), highs


def _smooth(levels: Doubles) -> Doubles:
    """(gaps,) float64, mW: a local straight line through each gap and its neighbours.

    Gaps with other activity in them do not count.
    """
    count = len(levels)
    smooth = np.empty(count)
    index = np.arange(count, dtype=np.float64)
    for i in range(count):
        near = slice(max(0, i - NEIGHBOURS), min(count, i + NEIGHBOURS + 1))
        x, y = index[near] - i, levels[near]
        off = np.abs(y - np.median(y) - np.median(np.diff(y)) * (x - np.median(x)))
        keep = off <= max(6 * 1.4826 * float(np.median(off)), 1e-9)  # six robust deviations from a rough line
        smooth[i] = _line_at_zero(x[keep], y[keep])
    return smooth


def _line_at_zero(x: Doubles, y: Doubles) -> float:
    """Value at 0 of the least-squares line through (k,) points; their mean where there are fewer than four."""
    if len(x) < 4 or np.ptp(x) == 0:
        return float(np.mean(y))
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))
    return float(y.mean() - slope * x.mean())


def _tail_energy(
    signal: Signal, busy: tuple[Doubles, Doubles], starts: Doubles, ends: Doubles, tail_s: float,
    moments: Doubles, gaps_mw: Doubles,
) -> float:  # fmt: skip
    """Mean energy in mJ above background from the end of a window until its tail is over (or the next burst begins).

    ``gaps_mw`` is (gaps,) mW, the background at ``moments``, (gaps,) s.
    """
    following = np.append(busy[0], signal.seconds)
    until = np.minimum(ends + 1.2 * tail_s + NEAR_S, following[np.searchsorted(following, ends - 1e-9)])
    level = np.interp((ends + until) / 2, moments, gaps_mw)
    each = signal.energy_mj(ends, until) - level * (until - ends)
    return float(np.mean(_without_outliers(each)))


def _without_outliers(values: Doubles) -> Doubles:
    """(n,) to (k,): those within six robust deviations of the median."""
    spread = robust_sd(values)
    kept: Doubles = values[np.abs(values - np.median(values)) <= max(6 * spread, 1e-9)]
    return kept


def _carried(profile: Doubles, starts: Doubles, ends: Doubles) -> float:
    """Mean energy in mJ of a tail, (ms,) mW for each ms, that lies in the window after the next gap."""
    if len(starts) < 2 or not len(profile):
        return 0.0
    running = np.concatenate(([0.0], np.cumsum(np.maximum(profile, 0.0)))) / 1000.0
    grid = np.arange(len(running)) / 1000.0
    gaps = starts[1:] - ends[:-1]
    share = np.interp(gaps + (ends - starts)[1:], grid, running) - np.interp(gaps, grid, running)
    return float(np.mean(share))
