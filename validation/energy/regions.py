"""The paper's segmentation: contiguous regions of significantly higher draw, found in the trace alone.

The trace is followed down to its local floor, smoothed at several widths, and cut at many levels between floor and
burst. The result is the middle of the longest series of levels that give exactly the number of regions asked for;
when no level gives it, the commonest number is reported instead, and never stretched to fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from validation.energy.signal import Doubles, Signal, moving_mean

# The paper says "significantly higher" and no more: all chosen, and tried on simulated traces
# (benchmarks/energy_accuracy.py).
STEP_S = 0.001  # five samples at 5 kHz
WIDTHS_MS = (1, 3, 9, 21)  # the widest still resolves bursts of 42 ms
LEVELS = np.linspace(0.2, 0.8, 25)  # shares of the way from floor to burst
HYSTERESIS = 0.15  # of the same way, below the level: noise at an edge makes no second region
FLOOR_BLOCK_S = 2.0
FLOOR_PERCENTILE = 10.0
SHORTEST = 0.5  # of the typical region
MERGE = 0.15  # of the typical region
MAX_EXTRA = 60  # regions beside the wanted ones: pulses and warm-up, not noise

Edges = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Regions:
    """What was found.

    Attributes:
        starts_s: (found,) float64, s on the trace's clock.
        ends_s: (found,) float64, s on the trace's clock.
        wanted: Number of regions asked for.
        level_span: Share of the way from floor to burst over which the number of regions did not change.
        width_ms: Smoothing.
        dropped: Regions of a different kind (sync pulses, warm-up) that were left out because of their length.
        first_busy_s: Start of the first region, dropped ones included; nan without any.
        last_busy_s: End of the last one.
    """

    starts_s: Doubles
    ends_s: Doubles
    wanted: int
    level_span: float
    width_ms: int
    dropped: int
    first_busy_s: float
    last_busy_s: float

    @property
    def found(self) -> int:
        """Number of regions."""
        return len(self.starts_s)


def find_regions(
    signal: Signal, wanted: int, *, section: tuple[float, float], typical_s: float | None = None
) -> Regions:
    """Find ``wanted`` regions of significantly higher draw.

    Args:
        signal: The trace.
        wanted: How many there should be.
        section: Start and end in s of the part of the trace that is looked at.
        typical_s: Median latency as the runner saw it; without it, the regions' own median length is used.
    """
    blocks = _median_blocks(signal, *section)
    best: Regions | None = None
    for width_ms in WIDTHS_MS:
        if typical_s is not None and width_ms > 1 and width_ms / 1e3 > 0.5 * typical_s:
            continue
        found = _sweep(blocks, max(0.0, section[0]), width_ms, wanted, typical_s)
        if best is None or _better(found, best):
            best = found
    assert best is not None
    if best.found > wanted + MAX_EXTRA:  # noise: its edges mean nothing
        return best
    return _refine(signal, best, section)


def _better(new: Regions, old: Regions) -> bool:
    """The right number beats a wrong one, then the longer series of levels by a clear margin."""
    if (new.found == new.wanted) != (old.found == old.wanted):
        return new.found == new.wanted
    return new.level_span > old.level_span + 0.1


def _median_blocks(signal: Signal, start_s: float, end_s: float) -> Doubles:
    """Median power of blocks of 1 ms, (blocks,) float64, mW: single-sample spikes do not survive."""
    per_block = max(1, round(signal.rate_hz * STEP_S))
    first, last = max(0, round(start_s * signal.rate_hz)), round(min(end_s, signal.seconds) * signal.rate_hz)
    count = max(0, last - first) // per_block
    power = signal.power_mw[first : first + count * per_block].reshape(count, per_block)
    blocks: Doubles = np.median(power, axis=1)
    return blocks


def _sweep(blocks: Doubles, start_s: float, width_ms: int, wanted: int, typical_s: float | None) -> Regions:
    """The regions of (blocks,) mW, one for each ms from ``start_s``.

    They are those at the middle of the longest series of levels that agree.
    """
    smooth = moving_mean(blocks, width_ms)
    above = smooth - _floor(smooth)
    low, high = _two_levels(above)
    cuts = [
        _regions_at(above, low + level * (high - low), low + (level - HYSTERESIS) * (high - low), typical_s, wanted)
        for level in LEVELS
    ]
    counts = np.array([len(cut[0]) for cut in cuts])
    target = wanted if np.any(counts == wanted) else int(np.bincount(counts).argmax())
    first, last = _longest_series(counts == target)
    middle = (first + last) // 2
    edges, everything = cuts[middle]
    outer = (float(everything[0, 0]), float(everything[-1, 1])) if len(everything) else (np.nan, np.nan)
    moments: Doubles = edges.astype(np.float64) * STEP_S + start_s
    return Regions(
        starts_s=moments[:, 0],
        ends_s=moments[:, 1],
        wanted=wanted,
        level_span=float(LEVELS[last] - LEVELS[first]),
        width_ms=width_ms,
        dropped=len(everything) - len(edges),
        first_busy_s=outer[0] * STEP_S + start_s,
        last_busy_s=outer[1] * STEP_S + start_s,
    )


def _floor(power: Doubles) -> Doubles:
    """(n,) to (n,) mW: low percentile of blocks of 2 s, linear between their middles: follows drift, ignores bursts."""
    size = min(len(power), round(FLOOR_BLOCK_S / STEP_S))
    count = max(1, len(power) // size)
    parts = np.array_split(power, count)
    levels = np.array([np.percentile(part, FLOOR_PERCENTILE) for part in parts])
    middles = np.cumsum([len(part) for part in parts]) - np.array([len(part) for part in parts]) / 2
    floor: Doubles = np.interp(np.arange(len(power)), middles, levels)
    return floor


def _two_levels(power: Doubles) -> tuple[float, float]:
    """Means in mW below and above the cut that separates (n,) values best (Otsu 1979)."""
    counts, edges = np.histogram(power, bins=256, range=(float(power.min()), float(np.percentile(power, 99.9)) + 1e-6))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = mass[:-1] / below, (mass[-1] - mass[:-1]) / above
        between = np.where((below > 0) & (above > 0), below * above * np.square(high - low), 0.0)
    best = int(np.argmax(between))
    return float(np.nan_to_num(low[best])), float(np.nan_to_num(high[best]))


def _regions_at(above: Doubles, high: float, low: float, typical_s: float | None, wanted: int) -> tuple[Edges, Edges]:
    """Regions above ``low`` that reach ``high``, short gaps closed, short ones dropped.

    Args:
        above: (blocks,) mW above the floor, one for each ms.
        high: mW that a region has to reach.
        low: mW where it starts and ends.
        typical_s: Its usual length; None for that of the regions themselves.
        wanted: How many there should be.

    Returns:
        Those of the right kind and all, each (regions, 2) int64: first block, and block after the last.
    """
    edges = _runs(above > low)
    if not len(edges):
        return edges, edges
    reached = np.concatenate(([0], np.cumsum(above > high)))
    edges = edges[reached[edges[:, 1]] > reached[edges[:, 0]]]
    if not len(edges):
        return edges, edges
    typical = typical_s / STEP_S if typical_s is not None else float(np.median(edges[:, 1] - edges[:, 0]))
    edges = _merged(edges, MERGE * typical)
    edges = edges[edges[:, 1] - edges[:, 0] >= SHORTEST * typical]
    return (_series_of(edges, wanted) if typical_s is None else edges), edges


def _runs(mask: NDArray[np.bool_]) -> Edges:
    """(runs, 2) first index and index after the last of every run of True."""
    padded = np.concatenate(([False], mask, [False]))
    runs: Edges = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    return runs


def _merged(edges: Edges, gap: float) -> Edges:
    """(regions, 2) blocks with regions joined that lie no more than ``gap`` blocks apart."""
    wide = edges[1:, 0] - edges[:-1, 1] > gap
    return np.stack([edges[np.append(True, wide), 0], edges[np.append(wide, True), 1]], axis=1)


def _series_of(edges: Edges, wanted: int) -> Edges:
    """Without stamps: exactly ``wanted`` neighbours of like length between sync pulses or warm-up of other lengths.

    (regions, 2) to (wanted, 2) blocks, or unchanged where that is not to be had in one way only.
    """
    extra = len(edges) - wanted
    if not 0 < extra <= MAX_EXTRA:
        return edges
    lengths = edges[:, 1] - edges[:, 0]
    fits = []
    for first in range(extra + 1):
        inside = lengths[first : first + wanted]
        outside = np.concatenate([lengths[:first], lengths[first + wanted :]])
        typical = float(np.median(inside))
        alike = np.all((inside > 0.5 * typical) & (inside < 2.0 * typical))
        if alike and np.all((outside <= 0.5 * typical) | (outside >= 2.0 * typical)):
            fits.append(first)
    return edges[fits[0] : fits[0] + wanted] if len(fits) == 1 else edges


def _longest_series(hits: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last index of the longest run of True in (n,)."""
    runs = _runs(hits)
    first, after = runs[int(np.argmax(runs[:, 1] - runs[:, 0]))]
    return int(first), int(after) - 1


def _refine(signal: Signal, regions: Regions, section: tuple[float, float]) -> Regions:
    """Move each edge to where the smoothed power crosses the middle between its own gap and its own burst."""
    starts, ends = regions.starts_s, regions.ends_s
    half_s = regions.width_ms / 2e3
    refined_starts, refined_ends = starts.copy(), ends.copy()
    gaps_from, gaps_to = np.append(section[0], ends[:-1]), np.append(starts[1:], section[1])
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        inner = signal.mean_mw(start + 0.25 * (end - start), end - 0.25 * (end - start))
        room = 0.4 * (end - start)
        free_before, free_after = start - gaps_from[index], gaps_to[index] - end
        if free_before > 2 * STEP_S:
            outer = signal.mean_mw(start - 0.6 * min(free_before, 0.1), start - 0.2 * min(free_before, 0.1))
            refined_starts[index] = _crossing(signal, start, min(room, free_before), half_s, (inner + outer) / 2, +1)
        if free_after > 2 * STEP_S:
            outer = signal.mean_mw(end + 0.2 * min(free_after, 0.1), end + 0.6 * min(free_after, 0.1))
            refined_ends[index] = _crossing(signal, end, min(room, free_after), half_s, (inner + outer) / 2, -1)
    valid = refined_ends - refined_starts > 2.0 / signal.rate_hz
    return replace(
        regions, starts_s=np.where(valid, refined_starts, starts), ends_s=np.where(valid, refined_ends, ends)
    )


def _crossing(signal: Signal, near_s: float, reach_s: float, half_s: float, level_mw: float, sign: int) -> float:
    """The moment in s, nearest to ``near_s``, where power crosses ``level_mw`` towards ``sign``; else ``near_s``."""
    reach_s = min(reach_s, 0.02 + 2 * half_s)
    moments = near_s + np.arange(-reach_s, reach_s, 0.5 / signal.rate_hz)
    half_s = max(half_s, 0.5 / signal.rate_hz)
    power = (signal.until_mj(moments + half_s) - signal.until_mj(moments - half_s)) / (2 * half_s)
    over = (power - level_mw) * sign
    crossings = np.flatnonzero((over[:-1] < 0) & (over[1:] >= 0))
    if not len(crossings):
        return near_s
    at = crossings[int(np.argmin(np.abs(moments[crossings] - near_s)))]
    share = -over[at] / (over[at + 1] - over[at])
    return float(moments[at] + share * (moments[at + 1] - moments[at]))
