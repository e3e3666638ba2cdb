"""What a drawing of an energy figure shows, as numbers: the trace's course, spans of time, inferences laid together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtimes.power.trace import CALIBRATION, PowerTrace
from validation.energy.evidence import Evidence
from validation.energy.report import EnergyReport
from validation.energy.signal import Bools, Doubles

FOLD_CELLS = 240  # across one folded view: about one for each of its dots on a page
MOST_FOLDED = 2000  # windows: more change no line that can be seen, and take memory
LEAST_FOLDED = 3  # windows behind a point: fewer have no 10th percentile
BEFORE_AFTER = 75.0  # percentile of the gaps that is shown: beyond it few windows are left


@dataclass(frozen=True, eq=False)
class Course:
    """Power over time by columns: seconds, least and most of each, (k,) float64; nan where nothing was measured."""

    seconds: Doubles
    low_mw: Doubles
    high_mw: Doubles


@dataclass(frozen=True, eq=False)
class Spans:
    """Intervals of one kind: starts and ends, (n,) s each on the trace's clock."""

    name: str
    starts_s: Doubles
    ends_s: Doubles


@dataclass(frozen=True, eq=False)
class Fold:
    """Windows of one kind laid over each other at their starts, or at their ends.

    Attributes:
        name: The kind.
        windows: How many.
        seconds: (k,) float64, since the edge.
        mean_mw: (k,) float64, above background; nan where less than three windows have anything.
        low_mw: (k,) float64, 10th percentile of the windows.
        high_mw: (k,) float64, 90th.
    """

    name: str
    windows: int
    seconds: Doubles
    mean_mw: Doubles
    low_mw: Doubles
    high_mw: Doubles


def course_of(trace: PowerTrace, start_s: float, end_s: float, columns: int) -> Course:
    """The part of ``trace`` between two moments as at most ``columns`` columns, from least to most of each."""
    first = int(np.clip(start_s * trace.rate_hz, 0, len(trace.power_mw) - 1))
    last = int(np.clip(np.ceil(end_s * trace.rate_hz), first + 1, len(trace.power_mw)))
    power = trace.power_mw[first:last].astype(np.float64)
    edges = np.unique(np.linspace(0, len(power), min(columns, len(power)) + 1).astype(np.int64))
    middles = (edges[:-1] + edges[1:]) / 2
    return Course(
        (first + middles) / trace.rate_hz, np.fmin.reduceat(power, edges[:-1]), np.fmax.reduceat(power, edges[:-1])
    )


def merged(spans: Spans, apart_s: float) -> Spans:
    """Spans that lie closer together than ``apart_s``, which no dot of a drawing tells apart, as one."""
    if len(spans.starts_s) < 2:
        return spans
    apart = spans.starts_s[1:] - np.maximum.accumulate(spans.ends_s)[:-1] >= apart_s
    return Spans(
        spans.name, spans.starts_s[np.append(True, apart)], np.maximum.accumulate(spans.ends_s)[np.append(apart, True)]
    )


def spans_of(report: EnergyReport, trace: PowerTrace, evidence: Evidence | None) -> list[Spans]:
    """All intervals that the figure rests on, or leaves out; kinds without any are left out."""
    spans = [] if evidence is None else _stamped(evidence)
    return [each for each in (*spans, _regions(report), _lost(trace)) if len(each.starts_s)]


def _stamped(evidence: Evidence) -> list[Spans]:
    bursts, used, stamps = evidence.model.bursts, evidence.estimate.used, evidence.stamps
    idle = np.array([side for side in evidence.idle if side[1] > side[0]]).reshape(-1, 2)
    to_trace = evidence.alignment.to_trace
    return [
        Spans("windows", bursts.starts_s[used], bursts.ends_s[used]),
        Spans("excluded", bursts.starts_s[~used], bursts.ends_s[~used]),
        Spans("controls", *to_trace(stamps.controls)),
        Spans("warm-up", *to_trace(stamps.warmup)),
        Spans("sync pulses", *to_trace(stamps.pulses)),
        Spans("idle used", idle[:, 0], idle[:, 1]),
    ]


def _regions(report: EnergyReport) -> Spans:
    """The regions; only where they start when they are not as many as wanted."""
    found = report.regions
    if found is None:
        return Spans("regions", np.zeros(0), np.zeros(0))
    starts, durations_s = np.array(found.starts_s), np.array(found.durations_ms) / 1e3
    if len(durations_s) != len(starts):
        return Spans("regions' starts", starts, starts)
    return Spans("regions", starts, starts + durations_s * np.array(found.counts or report.inferences_per_burst))


def _lost(trace: PowerTrace) -> Spans:
    """What was not measured, the slots in which the meter calibrates itself apart."""
    lost = trace.lost | (~np.isfinite(trace.power_mw) & ((trace.flags & CALIBRATION) == 0))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], lost, [False])))) / trace.rate_hz
    return Spans("lost samples", edges[::2], edges[1::2])


def closer_look(spans: list[Spans], evidence: Evidence | None, seconds: float) -> tuple[float, float, str]:
    """Start and end in s of the part that is drawn larger, and what it is: five windows around the least usual."""
    shown = next((each for each in spans if each.name in ("windows", "regions", "regions' starts")), None)
    if shown is None:
        return 0.0, seconds, "the whole trace"
    count, what = len(shown.starts_s), "from the middle"
    at = count // 2
    if evidence is not None:
        used = evidence.estimate.used
        at = int(np.argmax(np.abs(evidence.estimate.off_mj[used])))
        what = f"around no. {int(np.flatnonzero(used)[at]) + 1}, whose energy is the furthest off"
    first, last = max(0, at - 2), min(count - 1, at + 2)
    room_s = 0.1 * float(shown.ends_s[last] - shown.starts_s[first]) + 0.01
    return max(0.0, float(shown.starts_s[first]) - room_s), min(seconds, float(shown.ends_s[last]) + room_s), what


def folds_of(evidence: Evidence, *, at_end: bool) -> list[Fold]:
    """Bursts of each length and controls, laid together at their starts or at their ends."""
    bursts, stamps = evidence.model.bursts, evidence.stamps
    used = evidence.estimate.used
    kinds = sorted(set(bursts.counts[used].tolist()))
    folds = []
    for kind in kinds:
        kept = used & (bursts.counts == kind)
        name = "bursts" if len(kinds) == 1 else f"bursts of {kind:g}"
        folds.append(_fold(evidence, name, bursts.starts_s[kept], bursts.ends_s[kept], at_end))
    if stamps.controls:
        folds.append(_fold(evidence, "controls", *evidence.alignment.to_trace(stamps.controls), at_end))
    return folds


def _fold(evidence: Evidence, name: str, starts: Doubles, ends: Doubles, at_end: bool) -> Fold:
    count = len(starts)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_FOLDED)).astype(np.int64))
    low, high = _free(evidence, starts[chosen], ends[chosen])
    limits = (starts[chosen], high) if at_end else (low + evidence.model.tail.over_s, ends[chosen])
    edges = _fold_edges(evidence, at_end)
    moments = (ends if at_end else starts)[chosen, None] + edges
    inside = (moments[:, :-1] >= limits[0][:, None] - 1e-9) & (moments[:, 1:] <= limits[1][:, None] + 1e-9)
    power = np.where(inside, evidence.excess_mw(moments[:, :-1], moments[:, 1:]), np.nan)
    return Fold(name, count, (edges[:-1] + edges[1:]) / 2, *_spread(power))


def _free(evidence: Evidence, starts: Doubles, ends: Doubles) -> tuple[Doubles, Doubles]:
    """When what was stamped before each window, (n,) s, was over, and when the next begins; else the trace's ends."""
    stamps = evidence.stamps
    others = evidence.alignment.to_trace((*stamps.controls, *stamps.other))
    known_from = np.sort(np.concatenate([evidence.busy[0], others[0], [evidence.signal.seconds]]))
    known_to = np.sort(np.concatenate([[0.0], evidence.busy[1], others[1]]))
    low = known_to[np.searchsorted(known_to, starts + 1e-9, side="right") - 1]
    high = known_from[np.minimum(np.searchsorted(known_from, ends - 1e-9), len(known_from) - 1)]
    return low, high


def _fold_edges(evidence: Evidence, at_end: bool) -> Doubles:
    """(k + 1,) s since the edge: as much of the gap as most have, and of the window as the shortest has."""
    gaps = evidence.model.gaps.lengths_s[evidence.model.gaps.after_burst]
    gap_s = float(np.percentile(gaps, BEFORE_AFTER)) if len(gaps) else evidence.typical_s
    window_s = min(evidence.typical_s, gap_s)
    before_s, after_s = (window_s, gap_s) if at_end else (gap_s, window_s)
    width_s = max(evidence.signal.period_s, (before_s + after_s) / FOLD_CELLS)
    return width_s * np.arange(-np.ceil(before_s / width_s), np.ceil(after_s / width_s) + 1)


def _spread(power: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Mean, 10th and 90th percentile of (n, k) mW over the windows, (k,) each."""
    enough: Bools = np.isfinite(power).sum(axis=0) >= LEAST_FOLDED
    figures = np.full((3, power.shape[1]), np.nan)
    if np.any(enough):
        figures[0, enough] = np.nanmean(power[:, enough], axis=0)
        figures[1:, enough] = np.nanpercentile(power[:, enough], (10.0, 90.0), axis=0)
    return figures[0], figures[1], figures[2]
