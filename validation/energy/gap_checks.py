"""What the gaps between inferences say against a figure: they must rest, and nothing else may run at their pace."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from validation.energy.evidence import Evidence
from validation.energy.limits import LEAST_WINDOWS, LEVEL, MAX_SPREAD, SHARE, SIGMA, answer, variance_error
from validation.energy.model import Tail
from validation.energy.report import Check
from validation.energy.signal import Bools, Doubles
from validation.statistics import robust_sd, student_quantile

IDLE_BLOCK_S = 0.5  # chosen: longer than a cycle of most runs, short enough to see what wanders
PART_S, PART_GAPS = 2.0, 10  # as much as the least idle; and enough for a load in some gaps to show as a mean
LEAST_PARTS = 4  # of any run that has the gaps for it, so that their changes have a mean
BOTH_ENDS = 1.0  # times what the background changes by itself, at either end of the run
REST_LEVEL = 0.998  # both ends together; few parts make few degrees of freedom
MAX_SMEARED = 0.7  # of the power, on both sides: tails and ramps are said to leave half of it
LOAD_SHARE = 0.05  # of the inference's power: what a load must draw to count as one
LOAD_SIGMA = 6.0  # of the gaps' own scatter: not one block of all idle lies there by chance
FLOOR_CYCLES = 1.5  # of the run: what stays that long is the background, not a load that could hide in its windows


def _rest(evidence: Evidence) -> Check:
    """Gaps must come down to the idle beside the run, at one end of it at least.

    A load that runs throughout is in gaps and windows alike; one that only fills the gaps would hide as much energy.
    What the background changes by itself over such a time the gaps tell among themselves.
    """
    idle = [float(blocks.mean()) for blocks in _idle_blocks(evidence)]
    parts = _gap_parts(evidence)
    if len(idle) < 2 or len(parts) < 3:
        return answer("rest", float("nan"), 100 * SHARE, "too few gaps, or no idle, to compare the one with the other")
    above = np.array([parts[0] - idle[0], parts[-1] - idle[1]])
    changes = np.concatenate([np.diff(parts), parts[2:] - parts[:-2]])
    error = math.hypot(math.sqrt(float(np.mean(np.square(changes)))), max(map(_wander, _idle_blocks(evidence))))
    alike = above[0] * above[1] > 0 and float(np.min(np.abs(above))) > BOTH_ENDS * error
    sure = abs(float(above.sum())) / math.sqrt(2) > student_quantile(len(parts), REST_LEVEL) * error
    least = float(above[int(np.argmin(np.abs(above)))])
    reason = f"between inferences power is {least:+.0f} mW off the idle beside the run: the device does not rest"
    share = abs(least) / evidence.power_mw
    return answer("rest", 100 * share, 100 * SHARE, reason, unit="%", counts=bool(alike and sure))


def _idle_blocks(evidence: Evidence) -> list[Doubles]:
    """Power in mW of half a second each, (n,), of the idle before the run and after it."""
    blocks = [evidence.signal.blocks_mw(*side, min(IDLE_BLOCK_S, (side[1] - side[0]) / 2)) for side in evidence.idle]
    return [part for part in blocks if len(part)]


def _wander(blocks: Doubles) -> float:
    """Standard error of the mean of (n,) blocks in mW; four of them, two seconds, are as good as one."""
    return float(np.std(blocks)) / math.sqrt(max(1.0, len(blocks) / 4))


def _gap_parts(evidence: Evidence) -> Doubles:
    """(parts,) mW: mean background of consecutive parts of the run, each of ten gaps and two seconds at least."""
    model = evidence.model
    inside = (model.level_times_s > model.bursts.starts_s[0]) & (model.level_times_s < model.bursts.ends_s[-1])
    times, levels = model.level_times_s[inside], model.levels_mw[inside]
    if len(times) < 3:
        return np.zeros(0)
    long_s = max(PART_S, PART_GAPS * float(times[-1] - times[0]) / (len(times) - 1))
    parts = max(min(LEAST_PARTS, len(times) // 3), int((times[-1] - times[0]) / long_s))
    return np.array([float(part.mean()) for part in np.array_split(levels, parts)])


def _rises(evidence: Evidence) -> Check:
    """Behind a burst power may fall, never rise: a load that keeps the run's pace shows by its own steps."""
    rise = _largest_rise(_gap_profile(evidence))
    reason = (
        f"power rises by {rise:.0f} mW at one place of the gaps, every time: something else runs at the pace of the "
        "inferences, and may lie in their windows as well"
    )
    return answer("steps in gaps", 100 * rise / evidence.power_mw, SHARE * 100, reason, unit="%")


def _gap_profile(evidence: Evidence) -> Doubles:
    """(gaps, cells) mW above background in the gaps behind bursts, by time; inner cells are twice as wide as outer."""
    gaps = evidence.model.gaps
    behind = gaps.after_burst
    starts, ends = gaps.starts_s[behind, None], gaps.ends_s[behind, None]
    width = max(evidence.model.pad_s, evidence.signal.period_s)
    longest = float(np.max(ends - starts, initial=width)) / 2
    steps = np.concatenate(
        ([0.0], width * np.cumsum(2.0 ** np.arange(max(1, math.ceil(math.log2(longest / width + 1))))))
    )
    middle = (starts + ends) / 2
    cells = []
    for edges, widths in (
        (np.minimum(starts + steps, middle), np.diff(steps)),
        (np.maximum(ends - steps[::-1], middle), np.diff(steps)[::-1]),
    ):
        full = np.diff(edges, axis=1) > 0.9 * widths
        cells.append(np.where(full, evidence.excess_mw(edges[:, :-1], edges[:, 1:]), np.nan))
    return np.concatenate(cells, axis=1)


def _largest_rise(profile: Doubles) -> float:
    """Largest significant rise in mW from one column of (gaps, cells) to a later one, gap by gap; 0 without any."""
    count = profile.shape[1]
    largest = 0.0
    pairs = max(1, count * (count - 1) // 2)
    for early in range(count):
        for late in range(early + 1, count):
            rise = profile[:, late] - profile[:, early]
            rise = rise[np.isfinite(rise)]
            if len(rise) < LEAST_WINDOWS:
                continue
            error = float(np.std(rise, ddof=1)) / math.sqrt(len(rise))
            if rise.mean() > student_quantile(len(rise) - 1, 1 - (1 - LEVEL) / pairs) * error:
                largest = max(largest, float(rise.mean()))
    return largest


def _tail(evidence: Evidence) -> Check:
    """What power still falls by where the tail should be over."""
    gaps, tail, pad_s = evidence.model.gaps, evidence.model.tail, evidence.model.pad_s
    behind = gaps.after_burst
    lows, highs = gaps.starts_s[behind] + tail.over_s - pad_s, gaps.ends_s[behind]
    kept = highs - lows > 2 * evidence.signal.period_s
    middles = (lows + highs) / 2
    falls = (evidence.excess_mw(lows, middles) - evidence.excess_mw(middles, highs))[kept]
    if len(falls) < LEAST_WINDOWS:
        return answer("tail", float("nan"), SHARE * 100, "no gap is longer than the tail in it: leave longer gaps")
    fall, error = float(np.mean(falls)), float(np.std(falls, ddof=1)) / math.sqrt(len(falls))
    into = float(np.mean(evidence.model.bursts.before_mj)) / float(np.mean(evidence.model.bursts.energy_mj))
    share = max(fall / evidence.power_mw if fall > SIGMA * error else 0.0, into)
    needed_ms = math.ceil(2e3 * (tail.over_s + float(np.median(gaps.lengths_s[behind]))))
    reason = f"tails run into the next inference ({share:.1%} of its power): --gap {needed_ms} leaves longer gaps"
    return answer("tail", 100 * share, SHARE * 100, reason, unit="%")


def _slow_meter(evidence: Evidence) -> Check:
    """A slow meter smears starts and ends alike; clocks and rails rise at once, if not all the way, and fall slowly.

    What is missing after the start and what is left after the end are followed back to the start and the end, as shares
    of the power. Behind a slow meter both are all of it. Between two lengths of bursts the difference holds no edges.
    """
    tail, starts = evidence.model.tail, evidence.model.bursts.starts_s
    reach = np.minimum(evidence.model.bursts.durations_s / 2, tail.over_s)
    settled = float(np.mean(evidence.excess_mw(starts + reach, starts + 2 * reach)))
    edges = starts[:, None] + tail.edges_s[:3]
    risen = np.mean(evidence.excess_mw(edges[:, :-1], edges[:, 1:]), axis=0)
    missing, left = _at_once(tail, 1 - risen / settled), _at_once(tail, tail.power_mw[:2] / evidence.power_mw)
    reason = (
        f"{missing:.0%} of the power is missing right after the start of an inference, and {left:.0%} is left right "
        "after its end: the meter is too slow for it, run k per burst"
    )
    counts = evidence.estimate.overhead_mj is None and bool(tail.power_mw[1] > SIGMA * tail.error_mw[1])
    return answer("slow meter", 100 * min(left, missing), 100 * MAX_SMEARED, reason, unit="%", counts=counts)


def _at_once(tail: Tail, shares: Doubles) -> float:
    """Shares of two cells, (2,), followed back to time 0 as an exponential; no more than one and a half."""
    first, second = max(float(shares[0]), 0.0), max(float(shares[1]), 0.0)
    if first <= 0:
        return 0.0
    middles = (tail.edges_s[:2] + tail.edges_s[1:3]) / 2
    ratio, steps = min(first / max(second, 1e-9), 100.0), float(middles[0] / (middles[1] - middles[0]))
    return min(1.5, first * math.pow(max(ratio, 1.0), steps))


def _tails_alike(evidence: Evidence) -> Check:
    """Right behind a burst power varies no more than later: a load that outlasts some windows makes it vary."""
    gaps = evidence.model.gaps
    starts, ends = gaps.starts_s[gaps.after_burst], gaps.ends_s[gaps.after_burst]
    lengths = np.minimum((ends - starts) / 3, evidence.typical_s / 3)
    early = _detrended(evidence.excess_mw(starts, starts + lengths) / evidence.power_mw)
    late = _detrended(evidence.excess_mw(ends - lengths, ends) / evidence.power_mw)
    if not len(early) or not len(late):
        return answer("spread of tails", float("nan"), 100 * MAX_SPREAD, "no gap behind a burst shows its tail")
    more = float(np.var(early) - np.var(late))
    error = math.hypot(variance_error(early), variance_error(late))
    spread = math.sqrt(max(more, 0.0))
    reason = f"the power behind the bursts spreads by {spread:.1%}: something else outlasts some of the inferences"
    return answer("spread of tails", 100 * spread, 100 * MAX_SPREAD, reason, unit="%", counts=more > SIGMA * error)


def _detrended(values: Doubles) -> Doubles:
    """Finite ones of (n,) values without their mean."""
    known = values[np.isfinite(values)]
    return known - known.mean() if len(known) else known


def _tails_by_length(evidence: Evidence) -> Check | None:
    """Behind bursts of either length the same tail: a load of its own length would end behind the short ones only."""
    counts = np.array(evidence.stamps.burst_counts)
    if len(set(counts.tolist())) < 2:
        return None
    unknown = answer(
        "tails by length", float("nan"), 100 * SHARE, "too few gaps show what comes behind a burst", unit="%"
    )
    if not len(evidence.model.gaps.starts_s):
        return unknown
    ends = evidence.alignment.to_trace(evidence.stamps.bursts)[1] + evidence.model.pad_s
    gaps = evidence.model.gaps
    at = np.clip(np.searchsorted(gaps.starts_s, ends - 1e-6), 0, len(gaps.starts_s) - 1)
    known = np.abs(gaps.starts_s[at] - ends) < 1e-6
    until = np.minimum(gaps.ends_s[at], ends + float(np.percentile(gaps.lengths_s, 25.0)))
    energy = evidence.excess_mw(ends, until) * (until - ends)
    short, long = (energy[known & (counts == count)] for count in (counts.min(), counts.max()))
    if min(len(short), len(long)) < 3:
        return unknown
    error = math.hypot(float(np.std(short)) / math.sqrt(len(short)), float(np.std(long)) / math.sqrt(len(long)))
    more = float(short.mean() - long.mean())
    share = abs(more) / float(counts.max() - counts.min()) / evidence.estimate.energy_mj
    reason = f"{more:+.2f} mJ more are drawn behind short bursts than behind long ones: something else runs with them"
    return answer("tails by length", 100 * share, 100 * SHARE, reason, unit="%", counts=abs(more) > SIGMA * error)


def _unstamped(evidence: Evidence) -> Check:
    """Regions of an inference's height and length where no stamp is."""
    found = _unstamped_bursts(evidence)
    where = f", the first at {found[0]:.2f} s" if len(found) else ""
    reason = f"{len(found)} bursts like an inference lie outside of the stamps{where}: they are shifted or incomplete"
    return answer("unstamped bursts", len(found), 0, reason)


def _unstamped_bursts(evidence: Evidence) -> Doubles:
    """(found,) s: where they start. Of 0.7 to 1.4 times a burst's length, 0.8 to 1.2 times its power."""
    gaps, power_mw = evidence.model.gaps, evidence.power_mw
    bursts = evidence.model.bursts
    step_s = max(evidence.signal.period_s, evidence.typical_s / 8)
    found: list[float] = []
    for start, end in zip(gaps.starts_s, gaps.ends_s, strict=True):
        edges = np.arange(start, end, step_s)
        if len(edges) < 3:
            continue
        above = evidence.excess_mw(edges[:-1], edges[1:])
        runs = _runs(above > 0.5 * power_mw)
        for first, last in runs:
            if first == 0:  # the tail of the burst before
                continue
            length, height = (last - first) * step_s, float(above[first:last].mean()) / power_mw
            alike = np.any((length > 0.7 * bursts.durations_s) & (length < 1.4 * bursts.durations_s))
            if alike and 0.8 < height < 1.2:
                found.append(float(edges[first]))
    return np.array(found)


def _runs(mask: Bools) -> NDArray[np.int64]:
    """(runs, 2) first index and index after the last of every run of True."""
    padded = np.concatenate(([False], mask, [False]))
    runs: NDArray[np.int64] = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    return runs


def _idle_loads(evidence: Evidence) -> Check:
    """Loads that show in the idle but never in the gaps may hide in the windows: both must see them as often."""
    block_s = max(evidence.signal.period_s, evidence.typical_s / 2)
    threshold = max(LOAD_SHARE * evidence.power_mw, LOAD_SIGMA * robust_sd(_rest_blocks(evidence, block_s)))
    in_idle, idle_s = 0, 0.0
    for start, end in evidence.idle:
        count, seconds = _loads(evidence, np.arange(start, end, block_s), threshold)
        in_idle, idle_s = in_idle + count, idle_s + seconds
    in_gaps, gap_s = 0, 0.0
    gaps, tail_s = evidence.model.gaps, evidence.model.tail.over_s
    for start, end in zip(gaps.starts_s[gaps.after_burst] + tail_s, gaps.ends_s[gaps.after_burst], strict=True):
        edges = np.arange(start, end, block_s)
        above = evidence.excess_mw(edges[:-1], edges[1:]) if len(edges) > 1 else np.zeros(0)
        in_gaps, gap_s = in_gaps + len(_runs(above > threshold)), gap_s + max(0.0, end - start)
    chance = _as_many(in_idle, in_idle + in_gaps, idle_s / max(idle_s + gap_s, 1e-9))
    reason = (
        f"{in_idle} loads in {idle_s:.1f} s of idle, but {in_gaps} in {gap_s:.1f} s of gaps: they may hide in windows"
    )
    return answer("loads in idle only", -math.log10(max(chance, 1e-300)), -math.log10(1 - LEVEL), reason)


def _rest_blocks(evidence: Evidence, block_s: float) -> Doubles:
    """(m,) mW above background of one block in the middle of each gap."""
    gaps = evidence.model.gaps
    middles = ((gaps.starts_s + gaps.ends_s) / 2)[gaps.lengths_s > block_s]
    return evidence.excess_mw(middles - block_s / 2, middles + block_s / 2)


def _loads(evidence: Evidence, edges: Doubles, threshold_mw: float) -> tuple[int, float]:
    """Number of loads above ``threshold_mw`` in blocks between (n,) s of idle, and the time looked at in s."""
    if len(edges) < 3:
        return 0, 0.0
    power = evidence.signal.means_mw(edges[:-1], edges[1:])
    cycle_s = evidence.typical_s + float(np.median(evidence.model.gaps.lengths_s))
    width = max(3, round(FLOOR_CYCLES * cycle_s / float(edges[1] - edges[0])))
    floor = np.concatenate(
        [np.full(len(part), np.median(part)) for part in np.array_split(power, math.ceil(len(power) / width))]
    )
    return len(_runs(power - floor > threshold_mw)), float(edges[-1] - edges[0])


def _as_many(hits: int, total: int, share: float) -> float:
    """Probability of ``hits`` or more of ``total`` in a part that holds ``share`` of the time (binomial)."""
    return math.fsum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(hits, total + 1))


GAP_CHECKS = (_rest, _rises, _tail, _tails_alike, _tails_by_length, _slow_meter, _unstamped, _idle_loads)
