"""The paper's segmentation: contiguous regions of significantly higher draw, found in the trace alone.

What counts as a region, at whatever rate the trace has:

* It stands out: it rises by half of the usual height above the valleys on both sides. A dip within an inference cuts it
  in two only below that half. Height is measured from the valleys beside a region, so a background that drifts or
  steps changes nothing; the usual height is the median of as many of the highest as are wanted.
* It extends as far as it stays above 30 % of its height (hysteresis: noise at an edge makes no second region), there
  from the first to the last moment above half, which is where a step is seen at whatever an averaging meter smears.
* No least length or gap in ms: both follow from the smoothing, a moving mean over 1, 2, 4 to 512 samples, in which what
  is shorter disappears. It is the narrowest that is clear of noise, or later two in a row that give the wanted number.
* Inferences are alike: within a factor of 1.75 in length and of 4/3 in height of the commonest kind. Other regions
  (loading, warm-up without gaps, foreign work) are left out. The runner's sync pulses (300, 150 and 450 ms, 300 ms
  apart) are known by their pattern, and with one on each side only what is between them counts.
* There are exactly as many as wanted, in all or between rests three times as long as the median; else none is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtimes.runners.workload import SyncPulses
from validation.energy.signal import Bools, Doubles, Signal

# All chosen, and tried on traces whose truth is known (tests/validation/energy/test_unstamped.py).
SEPARATE = 0.5  # of the usual height: as far from noise on the floor as from dips on top
LOW, EDGE = 0.3, 0.5  # of a region's own height
CLEAR, MAX_UNCLEAR = 1.25, 0.2  # times SEPARATE, either way: of more than a fifth of the wanted there, noise decides
MIN_SIGMA = 8.0  # of the noise that a mean lets through: it spans six or seven by itself, time and again
ROUNDING = 1e-6  # of the power: what running sums and float32 leave
WIDEST, FINE = 512, 4  # samples in the widest mean (100 ms at 5 kHz); places looked at within one
SAME_LENGTH, SAME_HEIGHT = 1.75, 4 / 3  # times: two inferences, or two of a warm-up, that ran together are longer
UNEVEN_LENGTH = 4.0  # times, where that gives the wanted number: latencies that spread, a slow first one
LONG_REST = 3.0  # times the median rest
FEW = 1 / 3  # of the stamped length: what is shorter is a spike
AS_HIGH = 1 / 3  # of the higher ones: pulses draw up to three times what an inference does
PULSE_ERROR = 0.15  # of the pattern's lengths, and two samples
PULSES = SyncPulses()

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Regions:
    """What was found.

    Attributes:
        starts_s: (found,) float64, s on the trace's clock.
        ends_s: (found,) float64, s on the trace's clock.
        wanted: Number of regions asked for.
        busy_s: (m, 2) float64, start and end in s of every region, those that were left out included.
        pulses: Number of regions that are sync pulses.
    """

    starts_s: Doubles
    ends_s: Doubles
    wanted: int
    busy_s: Doubles
    pulses: int = 0

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
        section: Start and end in s of the part of the trace that is looked at; none is found where there is no part.
        typical_s: Length of the shortest kind as the runner saw it, in a section that holds nothing but inferences;
            without it, the commonest kind of region is taken, and sync pulses and warm-up are looked for.
    """
    limits = np.nan_to_num(np.array(section) * signal.rate_hz)
    first, last = np.clip(np.rint(limits), 0, len(signal.power_mw)).astype(np.int64)
    first_clear = latest = Regions(np.zeros(0), np.zeros(0), wanted, np.zeros((0, 2)))
    width = 1
    while width <= min(WIDEST, (last - first) // 8):
        edges_s, heights = _regions_with(signal, first, last, width, wanted, typical_s)
        found = _chosen(edges_s, heights, wanted, typical_s, signal.period_s)
        if found.found == wanted and (latest.found == wanted or not first_clear.found):
            return found
        first_clear, latest = first_clear if first_clear.found else found, found
        width *= 2
    return first_clear


def _regions_with(
    signal: Signal, first: int, last: int, width: int, wanted: int, typical_s: float | None
) -> tuple[Doubles, Doubles]:
    """Regions between two samples with one smoothing, (m, 2) s and (m,) mW; none where noise could make some."""
    step = max(1, width // FINE)
    at = np.arange(first, last - width + 1, step)
    smooth = (signal.running_mj[at + width] - signal.running_mj[at]) * (signal.rate_hz / width)
    tops, heights, valleys, depths = _swings(smooth)
    half, besides = (wanted + 1) // 2, 0 if typical_s is not None else 2 * len(PULSES.busy_ms)
    highest = np.append(np.sort(heights)[::-1], 0.0)
    higher, lower = (float(highest[min(rank, len(highest)) - 1]) for rank in (half, half + besides))
    usual = lower if lower > AS_HIGH * higher else higher
    least = SEPARATE * usual
    unclear = int(np.sum((heights > least / CLEAR) & (heights < least * CLEAR)))
    noise = max(MIN_SIGMA * signal.noise_mw / np.sqrt(width), ROUNDING * float(np.max(np.abs(smooth), initial=0.0)))
    if usual <= noise or unclear > MAX_UNCLEAR * wanted:
        return np.zeros((0, 2)), np.zeros(0)
    places, above = _extents(smooth, tops[heights >= least], valleys[depths >= least], usual)
    known = (above > LOW * usual) & (places[:, 1] > places[:, 0])  # which a rise that no fall follows is not
    return (first + places[known] * step + width / 2) / signal.rate_hz, above[known]


def _swings(curve: Doubles) -> tuple[Indices, Doubles, Indices, Doubles]:
    """Maxima of (n,) mW and how far each stands out, (m,) each, and the same of the minima between them.

    A swing smaller than both beside it is a maximum and a minimum that stand out by no more. Without them one longer
    swing is left, and so on; many go at once.
    """
    steps = np.diff(curve)
    moved = np.flatnonzero(steps)
    if not len(moved):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0)
    rising = steps[moved] > 0
    turns = moved[1:][rising[1:] != rising[:-1]]
    ends = [0] * (1 + (not rising[0])), [len(curve) - 1] * (1 + bool(rising[-1]))
    at = np.concatenate((ends[0], turns, ends[1]))
    # Equal swings would go one by one: a part in 10^9 makes them differ.
    values = curve[at] + np.arange(len(at)) * 0.618 % 1 * 1e-9 * float(np.ptp(curve))
    values[[0, -1]] = -np.inf
    stands, left = np.full(len(at), float(np.ptp(curve))), np.arange(len(at))
    while len(left) > 3:
        swings = np.abs(np.diff(values[left]))
        pairs = 1 + np.flatnonzero((swings[1:-1] < swings[:-2]) & (swings[1:-1] <= swings[2:]))
        stands[left[pairs]] = stands[left[pairs + 1]] = swings[pairs]
        left = np.delete(left, np.concatenate((pairs, pairs + 1)))
    return at[1::2], stands[1::2], at[2:-1:2], stands[2:-1:2]


def _extents(curve: Doubles, tops: Indices, between: Indices, usual: float) -> tuple[Doubles, Doubles]:
    """Start and end, (m, 2) places in ``curve``, (n,) mW, of the regions with these ``tops`` and heights, (m,) mW."""
    outer = int(np.argmin(curve[: tops[0] + 1])), int(tops[-1] + np.argmin(curve[tops[-1] :]))
    valleys = np.concatenate(([outer[0]], between, [outer[1]]))
    above = curve - np.interp(np.arange(len(curve)), valleys, curve[valleys])
    running = np.append(0.0, np.cumsum(above))
    heights, sizes = np.minimum(above[tops], usual), np.diff(np.concatenate(([0], between, [len(curve)])))
    for _ in range(2):  # the height is that of the highest moment first, and then the mean of the middle half
        level = np.repeat(heights, sizes)
        low = np.concatenate(([-1], np.flatnonzero(above <= LOW * level), [len(curve)]))
        high = np.append(np.flatnonzero(above > EDGE * level), len(curve) - 1)
        place = np.searchsorted(low, tops)
        first = high[np.searchsorted(high[:-1], low[place - 1], side="right")]
        last = np.maximum(high[np.searchsorted(high[:-1], low[place]) - 1], first)
        quarter = (last - first) // 4
        heights = (running[last + 1 - quarter] - running[first + quarter]) / (last + 1 - first - 2 * quarter)
    before, behind = (above[np.clip(place, 0, len(curve) - 1)] for place in (first - 1, last + 1))
    rise = (EDGE * heights - before) / np.maximum(above[first] - before, 1e-12)
    fall = (above[last] - EDGE * heights) / np.maximum(above[last] - behind, 1e-12)
    return np.stack((first - 1 + np.clip(rise, 0, 1), last + np.clip(fall, 0, 1)), axis=1), heights


def _chosen(edges_s: Doubles, heights: Doubles, wanted: int, typical_s: float | None, period_s: float) -> Regions:
    """Those of (m, 2) s with (m,) mW that are inferences."""
    lengths = edges_s[:, 1] - edges_s[:, 0]
    if typical_s is not None:
        series = edges_s[lengths >= FEW * typical_s]
        return Regions(series[:, 0], series[:, 1], wanted, edges_s)
    pulses = _pulses(edges_s, period_s)
    both = int(pulses.sum()) == 2 * len(PULSES.busy_ms)
    run = ~pulses & ((np.cumsum(pulses) == len(PULSES.busy_ms)) | (not both))
    series, uneven = (
        _series(edges_s[_alike(lengths, heights, run, times)], wanted) for times in (SAME_LENGTH, UNEVEN_LENGTH)
    )
    series = uneven if len(uneven) == wanted != len(series) else series
    return Regions(series[:, 0], series[:, 1], wanted, edges_s, int(pulses.sum()))


def _pulses(edges_s: Doubles, period_s: float) -> Bools:
    """Which of (m, 2) s are the runner's sync pulses, (m,): their lengths and rests in their order."""
    count, found = len(PULSES.busy_ms), np.zeros(len(edges_s), np.bool_)
    times = np.insert(np.array(PULSES.busy_ms, np.float64), range(1, count), PULSES.idle_ms) / 1e3
    if len(edges_s) >= count:
        seen = np.lib.stride_tricks.sliding_window_view(np.diff(edges_s.ravel()), len(times))[::2]
        starts = np.flatnonzero(np.all(np.abs(seen - times) < PULSE_ERROR * times + 2 * period_s, axis=1))
        found[(starts[:, None] + np.arange(count)).ravel()] = True
    return found


def _alike(lengths: Doubles, heights: Doubles, run: Bools, times: float) -> Bools:
    """Which regions of the ``run`` are of the commonest kind, (m,) each: up to ``times`` as long or short as that."""
    if not np.any(run):
        return run
    logs, near = np.log(np.maximum(lengths, 1e-12)), np.log(SAME_LENGTH) / 2
    known = np.sort(logs[run])
    company = np.searchsorted(known, known + near) - np.searchsorted(known, known - near)
    kind = float(np.median(known[np.abs(known - known[int(np.argmax(company))]) < near]))
    same: Bools = run & (np.abs(logs - kind) < np.log(times))
    same &= np.abs(np.log(heights / np.median(heights[same]))) < np.log(SAME_HEIGHT)
    return same


def _series(edges_s: Doubles, wanted: int) -> Doubles:
    """(m, 2) s, or the only ``wanted`` of them that lie between long rests."""
    rests = edges_s[1:, 0] - edges_s[:-1, 1]
    if len(edges_s) <= wanted or not len(rests):
        return edges_s
    groups = np.split(edges_s, 1 + np.flatnonzero(rests > LONG_REST * float(np.median(rests))))
    fitting = [group for group in groups if len(group) == wanted]
    return fitting[0] if len(fitting) == 1 else edges_s
