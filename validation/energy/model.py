"""One model of the trace: a background that the gaps show, a tail behind each burst, and the energy of each window.

Every gap's level is the mean power there once the tail before it is over; between gaps the background is a straight
line. The tail is the mean of how power falls behind the bursts, by the time since their end, whatever its shape. A
window's energy is the integral over it and ``pad_s`` on both sides, minus background, minus what reached into it of the
tail before, minus its own tail in the pad. The pad takes in samples that an edge cuts and what the clocks' fit may be
off: within it the figure depends on neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtimes.power.stamps import RunStamps
from validation.energy.alignment import Alignment, busy_windows
from validation.energy.signal import Bools, Doubles, Signal

# All chosen, and tried on traces whose energy is known (benchmarks/energy_verdicts.py).
PAD_SHARE = 1 / 40  # of a window, at most, beyond a sample: what the clocks' fit may be off without a change
LEAST_PAD_S = 0.0002  # beyond a sample: what reading two clocks, one after the other, may be off
CELLS = 32  # of a gap, by the time since the burst before it, finer near the burst
GROWTH = 30.0  # of a cell from the first to the last
TAIL_OVER = 0.005  # of the inference's power: what is left of a tail then is a tenth of the error that is allowed
MOST_HIDDEN = 0.6  # of the power: with more of it behind the end the end itself would hardly show
BENT = 0.15  # of the power in the pad: how far tails of other shapes are off both
TAIL_SIGMA = 3.0  # standard errors above the level: below them there is no tail
MOST_TAIL = 0.6  # of the median gap: what is slower cannot be told from the background
PASSES = 3  # levels follow from where the tail is over, and the tail from the levels
GAP_USED_S = 1.0  # of the idle before and after the run, beside it
LEAST_GAP_SAMPLES = 3  # shorter gaps are none: the bursts around them count as one window
LEAST_GAPS = 4  # behind bursts, for a tail
WHOLE = 0.8  # measured share of a window or gap; of what is less, too much would be filled in


@dataclass(frozen=True, eq=False)
class Tail:
    """Mean power above background behind a burst, by the time since its end.

    Within the pad, where it cannot be seen, the first two cells are continued: between a straight line and an
    exponential, and no higher than the inference.

    Attributes:
        edges_s: (k + 1,) float64, edges of the cells, s after the end of the burst; the first is the pad.
        power_mw: (k,) float64, mean over the gaps.
        error_mw: (k,) float64, standard errors.
        over_s: When it is over; the pad where there is none.
        most_mw: Power of the inferences.
    """

    edges_s: Doubles
    power_mw: Doubles
    error_mw: Doubles
    over_s: float
    most_mw: float

    def energy_mj(self, starts_s: Doubles, ends_s: Doubles) -> Doubles:
        """Energy between two times after the end of a burst and after the pad, (n,) s each to (n,) mJ."""
        inside = self.edges_s[:-1] < self.over_s
        running = np.concatenate(([0.0], np.cumsum(np.where(inside, self.power_mw * np.diff(self.edges_s), 0.0))))
        energy: Doubles = np.interp(ends_s, self.edges_s, running) - np.interp(starts_s, self.edges_s, running)
        return energy

    @property
    def total_mj(self) -> float:
        """Energy of a whole tail, the part in the pad included."""
        seen = self.energy_mj(self.edges_s[:1], np.array([self.over_s]))
        return self.in_pad_mw[0] * float(self.edges_s[0]) + float(seen[0])

    @property
    def _hidden_mw(self) -> float:
        """Mean power within the pad of the largest tail that is over before it can be seen."""
        pad_s, most = float(self.edges_s[0]), MOST_HIDDEN * self.most_mw
        seen = max(float(self.power_mw[0]), float(self.error_mw[0]), TAIL_OVER * self.most_mw)
        if seen >= most:
            return 0.0
        constant_s = (pad_s + float(self.edges_s[1])) / 2 / float(np.log(most / seen))
        return most * constant_s / pad_s * float(1 - np.exp(-pad_s / constant_s))

    @property
    def in_pad_mw(self) -> tuple[float, float]:
        """Mean power within the pad, and its standard error: noise, and the bend between line and exponential."""
        first, second = float(self.power_mw[0]), float(self.power_mw[1])
        if self.over_s <= self.edges_s[0] or first <= 0:
            return 0.0, float(np.hypot(self.error_mw[0], self._hidden_mw / np.sqrt(3)))
        middles = (self.edges_s[:2] + self.edges_s[1:3]) / 2
        steps = float((middles[0] - self.edges_s[0] / 2) / (middles[1] - middles[0]))
        line = first + steps * max(first - second, 0.0)
        bent = first * (first / min(max(second, first / 10), first)) ** steps
        low, high = min(line, self.most_mw), min(bent, self.most_mw)
        noise = float(np.hypot((1 + steps) * self.error_mw[0], steps * self.error_mw[1]))
        return (low + high) / 2, float(np.hypot(noise, (high - low) / np.sqrt(12) + BENT * (low + high) / 2))


@dataclass(frozen=True, eq=False)
class Gaps:
    """The free time between what the runner stamped, the idle next to the run included.

    Attributes:
        starts_s: (m,) float64, s on the trace's clock.
        ends_s: (m,) float64.
        after_burst: (m,) bool, True where a burst came before it.
        steps_s: (k + 1,) float64, edges of the cells that a gap is cut into, s after its start.
        cells_mw: (m, k) float64, mean power of each; nan where the gap is over before its end.
    """

    starts_s: Doubles
    ends_s: Doubles
    after_burst: Bools
    steps_s: Doubles
    cells_mw: Doubles

    @property
    def lengths_s(self) -> Doubles:
        """(m,) float64."""
        return self.ends_s - self.starts_s


@dataclass(frozen=True, eq=False)
class Windows:
    """Stamped windows and their energy.

    Attributes:
        starts_s: (n,) float64, s on the trace's clock.
        ends_s: (n,) float64.
        counts: (n,) float64, inferences in each; 0 in a control.
        energy_mj: (n,) float64, above background, tails left out.
        before_mj: (n,) float64, the tail before that reached into the window, which ``energy_mj`` does not hold.
        missing: (n,) float64, share of the samples that were not measured.
    """

    starts_s: Doubles
    ends_s: Doubles
    counts: Doubles
    energy_mj: Doubles
    before_mj: Doubles
    missing: Doubles

    @property
    def durations_s(self) -> Doubles:
        """(n,) float64, length of each window."""
        return self.ends_s - self.starts_s

    @property
    def whole(self) -> Bools:
        """(n,) bool, True where enough of the window was measured."""
        return self.missing <= 1 - WHOLE


@dataclass(frozen=True, eq=False)
class Model:
    """The fitted model.

    Attributes:
        pad_s: What is integrated on each side of a window.
        tail: The common tail.
        gaps: All gaps.
        level_times_s: (g,) float64, moments at which ``levels_mw`` hold, s on the trace's clock.
        levels_mw: (g,) float64, background.
        bursts: The measured bursts.
        controls: Windows in which the model did not run.
    """

    pad_s: float
    tail: Tail
    gaps: Gaps
    level_times_s: Doubles
    levels_mw: Doubles
    bursts: Windows
    controls: Windows

    def background_mw(self, seconds: Doubles) -> Doubles:
        """Background at moments of the trace, (...) s to (...) mW."""
        level: Doubles = np.interp(seconds, self.level_times_s, self.levels_mw)
        return level


def fit_model(signal: Signal, stamps: RunStamps, alignment: Alignment, *, late: bool = False) -> Model:
    """Fit background, tail and windows to ``signal``.

    ``late`` takes the background from the last third of each gap instead of all of it behind its tail.
    """
    starts, ends, counts = _bursts(stamps, alignment, signal.period_s)
    shortest_s = float(np.min(np.subtract(*alignment.to_trace(stamps.bursts)[::-1])))
    misfit_s = float(np.nan_to_num(np.maximum(alignment.residual_s, abs(alignment.longer_s)), nan=np.inf))
    pad_s = signal.period_s + float(np.clip(misfit_s, LEAST_PAD_S, max(LEAST_PAD_S, PAD_SHARE * shortest_s)))
    gaps = _gaps(signal, stamps, alignment, pad_s)
    tail, times, levels = _background(signal, gaps, pad_s, signal.means_mw(starts, ends), late)
    control_starts, control_ends = alignment.to_trace(stamps.controls)
    busy_ends = np.sort(np.concatenate([ends, alignment.to_trace(stamps.warmup)[1]]))

    def windows(first: Doubles, last: Doubles, inside: Doubles) -> Windows:
        middle_mw = np.interp((first + last) / 2, times, levels)
        before = busy_ends[np.maximum(np.searchsorted(busy_ends, first - 1e-9, side="right") - 1, 0)]
        since = np.where(before <= first, first - before, np.inf)
        reached = tail.energy_mj(since - pad_s, since + (last - first) + pad_s)
        own = np.where(inside > 0, tail.in_pad_mw[0] * pad_s, 0.0)
        whole = signal.energy_mj(first - pad_s, last + pad_s) - middle_mw * (last - first + 2 * pad_s)
        return Windows(first, last, inside, whole - reached - own, reached, signal.missing_share(first, last))

    return Model(
        pad_s, tail, gaps, times, levels, windows(starts, ends, counts),
        windows(control_starts, control_ends, np.zeros(len(control_starts))),
    )  # fmt: skip


def _bursts(stamps: RunStamps, alignment: Alignment, period_s: float) -> tuple[Doubles, Doubles, Doubles]:
    """Starts and ends in s and inferences of the bursts, each (n,); bursts without a gap between them count as one."""
    starts, ends = alignment.to_trace(stamps.bursts)
    counts = np.array(stamps.burst_counts, np.float64)
    apart = starts[1:] - ends[:-1] > LEAST_GAP_SAMPLES * period_s
    first, last = np.append(True, apart), np.append(apart, True)
    return starts[first], ends[last], np.add.reduceat(counts, np.flatnonzero(first))


def _gaps(signal: Signal, stamps: RunStamps, alignment: Alignment, pad_s: float) -> Gaps:
    """Free time between all that was stamped, ``other`` and controls included, (m,) each."""
    known = sorted((*busy_windows(stamps), *stamps.controls, *stamps.other), key=lambda window: window.start_ns)
    starts, ends = alignment.to_trace(tuple(known))
    busy = alignment.to_trace(busy_windows(stamps))
    first_s, last_s = float(busy[0][0]), float(busy[1][-1])
    free_from = np.concatenate(([0.0], np.maximum.accumulate(ends))) + pad_s
    free_to = np.concatenate((starts, [signal.seconds])) - pad_s
    bursts = set(stamps.bursts)
    after_burst = np.array([False, *(window in bursts for window in known)])
    beside = (free_to > first_s - GAP_USED_S) & (free_from < last_s + GAP_USED_S)
    free_from = np.maximum(free_from, np.where(free_to < first_s, free_to - GAP_USED_S, 0.0))
    free_to = np.minimum(free_to, np.where(free_from > last_s, free_from + GAP_USED_S, signal.seconds))
    usable = (free_to - free_from >= LEAST_GAP_SAMPLES * signal.period_s) & beside
    lows, highs = free_from[usable], free_to[usable]
    steps = _cell_steps(float(np.max((highs - lows)[after_burst[usable]], initial=signal.period_s)), signal.period_s)
    edges = lows[:, None] + steps
    cells = np.where(edges[:, 1:] <= highs[:, None] + 1e-9, signal.means_mw(edges[:, :-1], edges[:, 1:]), np.nan)
    return Gaps(lows, highs, after_burst[usable], steps, cells)


def _cell_steps(longest_s: float, period_s: float) -> Doubles:
    """(k + 1,) s: edges of two or more cells over ``longest_s``, growing, none narrower than a sample."""
    grown = np.geomspace(1.0, GROWTH, CELLS)
    edges = np.concatenate(([0.0], np.cumsum(np.maximum(grown / grown.sum() * longest_s, period_s))))
    steps: Doubles = edges[: max(3, int(np.searchsorted(edges, longest_s + 1e-9)))]
    return steps


def _background(
    signal: Signal, gaps: Gaps, pad_s: float, powers_mw: Doubles, late: bool
) -> tuple[Tail, Doubles, Doubles]:
    """The tail, and moments in s and background in mW there, each (g,); ``powers_mw`` is (n,), that of the windows."""
    if not len(gaps.starts_s):
        nothing = Tail(np.array([pad_s, 2 * pad_s, 3 * pad_s]), np.zeros(2), np.zeros(2), pad_s, 0.0)
        return nothing, np.zeros(1), np.array([float(np.percentile(signal.power_mw, 10.0))])
    edges = gaps.steps_s + pad_s
    behind = gaps.after_burst
    over_s = pad_s + (float(np.median(gaps.lengths_s[behind])) / 2 if np.any(behind) else 0.0)
    for _ in range(PASSES):
        times, levels = _levels(signal, gaps, over_s - pad_s, late)
        power_mw = max(float(np.median(powers_mw)) - float(np.nanmedian(levels)), 1e-6)
        tail = _tail(gaps, edges, levels, power_mw)
        over_s = tail.over_s
    known = np.isfinite(levels)
    return tail, times[known], levels[known]


def _levels(signal: Signal, gaps: Gaps, over_s: float, late: bool) -> tuple[Doubles, Doubles]:
    """Moments in s and background in mW, each (m,): the mean of each gap from ``over_s`` after its start on.

    nan where a gap is over before, or was not measured.
    """
    lows = np.maximum(gaps.starts_s + over_s, gaps.starts_s + gaps.lengths_s * (2 / 3 if late else 0.0))
    short = gaps.ends_s - lows < 0.2 * gaps.lengths_s
    lows = np.minimum(lows, gaps.ends_s - signal.period_s)
    unknown = short | (signal.missing_share(lows, gaps.ends_s) > 1 - WHOLE)
    if np.all(unknown):
        unknown = np.zeros(len(lows), np.bool_)
    return (lows + gaps.ends_s) / 2, np.where(unknown, np.nan, signal.means_mw(lows, gaps.ends_s))


def _tail(gaps: Gaps, edges: Doubles, levels: Doubles, power_mw: float) -> Tail:
    """The mean of (m, k) cells above the ``levels``, (m,), of their gaps, and where it ends."""
    behind = gaps.after_burst & np.isfinite(levels)
    above = gaps.cells_mw[behind] - levels[behind, None]
    counted = np.sum(np.isfinite(above), axis=0)
    if int(behind.sum()) < LEAST_GAPS or counted[0] < LEAST_GAPS:
        return Tail(edges, np.zeros(len(edges) - 1), np.zeros(len(edges) - 1), float(edges[0]), power_mw)
    seen = counted >= LEAST_GAPS
    power, error = np.zeros(len(seen)), np.zeros(len(seen))
    power[seen] = np.nanmean(above[:, seen], axis=0)
    error[seen] = np.nanstd(above[:, seen], axis=0, ddof=1) / np.sqrt(counted[seen])
    raised = power > np.maximum(TAIL_SIGMA * error, TAIL_OVER * power_mw)
    length = int(np.argmin(np.append(raised, False)))
    most_s = float(edges[0]) + MOST_TAIL * float(np.median(gaps.lengths_s[behind]))
    return Tail(edges, power, error, min(float(edges[length]), most_s), power_mw)
