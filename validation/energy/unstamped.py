"""Energy per inference from a trace alone, by the paper's method: background subtracted, N regions, each integrated.

The background of a region is a straight line from the late half of the gap before it to that of the gap behind it, a
second of each at most. Where tails still fall into the next region, so that the gaps stay above the idle beside the
run, it is the line through that idle. A region is integrated from edge to edge and a sample beyond on both sides, since
an edge cuts a sample; behind it, only what lies above the sample after that counts, since a tail is no inference.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import structs

from runtimes.power.trace import PowerTrace
from validation.energy.checks import LEAST_GAP, LEAST_IDLE_S, LEAST_SAMPLES
from validation.energy.estimate import standard_error
from validation.energy.limits import BUDGET, LEAST_WINDOWS, SHARE, answer
from validation.energy.meter_checks import check_recording
from validation.energy.model import WHOLE
from validation.energy.regions import Regions, find_regions
from validation.energy.report import BackgroundFacts, Check, EnergyReport, MethodEnergy, method_energy, trace_facts
from validation.energy.signal import Doubles, Signal, signal_of
from validation.statistics import student_quantile

WHY = "only the paper's segmentation was possible: without the runner's stamps nothing confirms it"
# All chosen, and tried on traces whose energy is known (tests/validation/energy/test_unstamped.py).
GAP_USED_S, IDLE_USED_S = 1.0, 2.0  # of longer gaps, next to the region; of the idle on each side of the run
IDLE_GUARD_S = 0.1  # left out of the idle: tails of some 50 ms are usual
LATE, BEFORE_LAST, LAST = (0.5, 1.0), (0.2, 0.6), (0.6, 1.0)  # parts of a gap: its level, and whether that still falls
FALLING = 0.15  # of what gaps are above idle: a tail as long as the gap falls by a third between the two
MAX_LENGTHS = 3.0  # longest over shortest: latencies of one network spread less
EDGE_SHARE, LEAST_FALL = 0.05, 0.5  # of a region, what its end may take; of its power, what goes there at least


def analyze_regions(trace: PowerTrace, runs: int, top1_percent: float | None, source: str) -> EnergyReport:
    """Energy per inference in ``trace`` by its regions; never verified, since nothing confirms it.

    Args:
        trace: The recording.
        runs: Number of inferences, warm-up left out.
        top1_percent: Top-1 accuracy in percent, for the energy-aware efficiency.
        source: Where the trace comes from, for the record.

    Raises:
        FailureError: The trace is empty.
    """
    signal = signal_of(trace)
    regions = find_regions(signal, runs, section=(0.0, signal.seconds))
    found = regions.found
    others = len(regions.busy_s) - regions.pulses - found
    reason = f"segmentation found {found} alike regions, not {runs}, and {others} of other lengths or heights"
    if found > runs:
        reason += f": the first {found - runs} may be warm-up, but nothing in the trace tells"
    checks = (
        answer("regions", abs(found - runs), 0, reason), answer("stamps", 0, 1, WHY, least=True),
        *check_recording(trace),
    )  # fmt: skip
    left_out = ((regions.pulses, "sync pulses"), (others, "regions of other lengths or heights (warm-up, other work)"))
    report = EnergyReport(
        verdict="unverified", checks=checks, reasons=_reasons(checks), method="regions", inferences=runs,
        notes=tuple(f"{count} {what} were left out" for count, what in left_out if count and found == runs),
        noise_mw=signal.noise_mw, top1_percent=top1_percent, trace=trace_facts(trace, source),
        regions=MethodEnergy(wanted=runs, found=found, starts_s=tuple(regions.starts_s.tolist())),
    )  # fmt: skip
    return _with_figure(report, signal, regions) if found == runs else report


def _reasons(checks: tuple[Check, ...]) -> tuple[str, ...]:
    return tuple(check.reason for check in checks if not check.passed)


def _with_figure(report: EnergyReport, signal: Signal, regions: Regions) -> EnergyReport:
    """``report`` with the energy of its ``regions``, which are as many as wanted."""
    lengths = regions.ends_s - regions.starts_s
    levels, unsure_mw, facts = _background(signal, regions)
    energy, beside = _integrate(signal, regions, levels)
    used = signal.missing_share(regions.starts_s, regions.ends_s) <= 1 - WHOLE
    used |= not np.any(used)
    found = method_energy(regions.starts_s, lengths, energy, np.ones(len(energy)), wanted=regions.wanted, used=used)
    figure, count = found.energy_mean_mj, int(used.sum())
    freedom = max(1, count - 1)
    edge, behind_mw = _behind(signal, regions)
    tail = float(np.mean(np.nan_to_num(behind_mw - levels) * edge))
    # Of the background, of what is beside the edges, and of a tail within them, anything in between is as likely.
    bias = math.hypot(unsure_mw * float(lengths.mean()), float(beside[used].mean()), tail) / math.sqrt(3)
    error = math.hypot(standard_error((energy[used] - figure) / count, freedom), bias)
    half = student_quantile(freedom) * error
    checks = (*report.checks, *_checks(signal, regions, facts, found))
    return structs.replace(
        report, checks=checks, reasons=_reasons(checks), energy_mj=figure, energy_sd_mj=found.energy_sd_mj,
        energy_median_mj=found.energy_median_mj, uncertainty_mj=half, interval_mj=(figure - half, figure + half),
        power_mw=found.power_mean_mw, power_sd_mw=found.power_sd_mw, duration_ms=found.duration_mean_ms,
        snr=found.power_mean_mw / signal.noise_mw if signal.noise_mw > 0 else None, regions=found, background=facts,
        error_share=error / figure if figure > 0 else None,
        efficiency_percent_per_mj=report.top1_percent / figure if report.top1_percent and figure > 0 else None,
    )  # fmt: skip


def _integrate(signal: Signal, regions: Regions, levels_mw: Doubles) -> tuple[Doubles, Doubles]:
    """Energy in mJ above (n,) mW of each region, and how much of it is of the samples beside the edges; (n,) each."""
    starts, ends = regions.starts_s, regions.ends_s
    lead, trail = (np.minimum(signal.period_s, gap / 2) for gap in _free(signal, regions))
    beside = signal.energy_mj(starts - lead, starts) + signal.energy_mj(ends, ends + trail)
    beside -= signal.energy_mj(ends + trail, ends + 2 * trail) + levels_mw * lead
    return signal.energy_mj(starts, ends) - levels_mw * (ends - starts) + beside, beside


def _behind(signal: Signal, regions: Regions) -> tuple[Doubles, Doubles]:
    """How far in s the end of each region reaches, and power in mW right behind that, (n,) each."""
    lengths, gaps = regions.ends_s - regions.starts_s, _free(signal, regions)[1]
    edge: Doubles = np.minimum(np.maximum(signal.period_s, EDGE_SHARE * lengths), gaps / 3)
    return edge, signal.means_mw(regions.ends_s + edge, regions.ends_s + 2 * edge)


def _free(signal: Signal, regions: Regions) -> tuple[Doubles, Doubles]:
    """Time in s before and behind each region in which there is no other, (n,) each."""
    ends, starts = np.append(0.0, regions.busy_s[:, 1]), np.append(regions.busy_s[:, 0], signal.seconds)
    place = np.searchsorted(regions.busy_s[:, 0], regions.starts_s)
    return np.maximum(regions.starts_s - ends[place], 0.0), np.maximum(starts[place + 1] - regions.ends_s, 0.0)


def _background(signal: Signal, regions: Regions) -> tuple[Doubles, float, BackgroundFacts]:
    """What is subtracted from each region, (n,) mW, and by how much another way to see it differs in the mean, mW."""
    levels, before_last, last = (_gap_levels(signal, regions, *part) for part in (LATE, BEFORE_LAST, LAST))
    falls = float(np.mean(before_last - last))
    first, end = float(regions.busy_s[0, 0]) - IDLE_GUARD_S, float(regions.busy_s[-1, 1]) + IDLE_GUARD_S
    lows = np.array([max(0.0, first - IDLE_USED_S), end])
    highs = np.array([first, min(signal.seconds, end + IDLE_USED_S)])
    idle, seconds = signal.means_mw(lows, highs), np.maximum(highs - lows, 0.0)
    known = np.isfinite(idle)
    middles, times = (regions.starts_s + regions.ends_s) / 2, (lows + highs)[known] / 2
    line = np.interp(middles, times, idle[known]) if np.any(known) else np.full(len(levels), np.nan)
    above = float(np.mean(levels - line))
    power = float(np.median(signal.means_mw(regions.starts_s, regions.ends_s) - levels))
    tails = above > SHARE * power and falls > FALLING * above
    before_mw, after_mw, above_mw = (float(value) if np.isfinite(value) else None for value in (*idle, above))
    levels = line if tails else levels
    return levels, above if tails else abs(falls), BackgroundFacts(
        method="idle line" if tails else "gaps", during_mw=float(levels.mean()), before_mw=before_mw,
        after_mw=after_mw, before_s=float(seconds[0]), after_s=float(seconds[1]), above_idle_mw=above_mw,
    )  # fmt: skip


def _gap_levels(signal: Signal, regions: Regions, low: float, high: float) -> Doubles:
    """Background in mW at the middle of each region, (n,), from the part ``low`` to ``high`` of the gaps beside it."""
    before, behind = (np.minimum(gap, GAP_USED_S) for gap in _free(signal, regions))
    starts, gaps = np.stack((regions.starts_s - before, regions.ends_s)), np.stack((before, behind))
    pad = np.minimum(signal.period_s, gaps / 4)
    first, last = starts + np.maximum(low * gaps, pad), starts + np.minimum(high * gaps, gaps - pad)
    levels, places = signal.means_mw(first, last), (first + last) / 2
    one, two = np.where(np.isfinite(levels), levels, levels[::-1])
    level: Doubles = one + (two - one) * ((regions.starts_s + regions.ends_s) / 2 - places[0]) / (places[1] - places[0])
    return level


def _checks(signal: Signal, regions: Regions, facts: BackgroundFacts, found: MethodEnergy) -> list[Check]:
    """What can be asked of as many regions as there should be."""
    lengths = regions.ends_s - regions.starts_s
    shortest, longest = float(lengths.min()), float(lengths.max())
    samples, gap = shortest * signal.rate_hz, float(np.median(np.minimum(*_free(signal, regions)))) * signal.rate_hz
    idle, used = min(facts.before_s, facts.after_s), regions.found - len(found.incomplete)
    rest = 100 * (float("nan") if facts.above_idle_mw is None else facts.above_idle_mw) / found.power_mean_mw
    edge, behind_mw = _behind(signal, regions)
    falls = signal.means_mw(regions.ends_s - 2 * edge, regions.ends_s - edge) - behind_mw
    fall = 100 * float(np.mean(np.nan_to_num(falls))) / found.power_mean_mw
    kinds = f"regions last from {shortest * 1e3:.1f} to {longest * 1e3:.1f} ms: they are hardly all inferences"
    slow = f"power falls by {fall:.0f} % at the ends: a tail counts with the regions, and the figure is too high"
    return [
        answer("windows", used, LEAST_WINDOWS, f"{used} regions tell the figure: too few for a scatter", least=True),
        answer("alike", longest / shortest, MAX_LENGTHS, kinds),
        answer("samples", samples, LEAST_SAMPLES, f"the shortest region has {samples:.1f} samples", least=True),
        answer("gaps", gap, LEAST_GAP, f"the gaps have {gap:.1f} samples", unit="samples", least=True),
        answer("idle", idle, LEAST_IDLE_S, f"{idle:.1f} s of idle beside the run", unit="s", least=True),
        answer("rest", abs(rest), 100 * BUDGET, f"the gaps are {rest:+.0f} % of the power off the idle", unit="%"),
        answer("ends", fall, 100 * LEAST_FALL, slow, unit="%", least=True),
    ]  # fmt: skip
