"""Energy per inference from a power trace: one fitted model, its uncertainty, and what speaks against it.

With the runner's stamps the figure is ``aligned``: the clocks are fitted to the trace, then background, tail and the
energy of every window. The paper's own method (section 4.1: subtract the background power, find as many contiguous
regions of significantly higher draw, integrate each) stands beside it, and alone where nobody told times.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from edgevit.errors import UsageError
from edgevit.text import printable
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.alignment import align
from validation.energy.checks import check_figure
from validation.energy.estimate import estimate
from validation.energy.evidence import Evidence
from validation.energy.model import fit_model
from validation.energy.regions import find_regions
from validation.energy.report import (
    AlignmentFacts,
    BackgroundFacts,
    EnergyReport,
    MethodEnergy,
    TailFacts,
    check_top1,
    method_energy,
    trace_facts,
)
from validation.energy.signal import signal_of
from validation.energy.unstamped import analyze_regions
from validation.statistics import student_quantile

WINDOW_CONVENTION = "start to end of the inference; the tail after it is stated apart"
SLOPE_CONVENTION = "what one more inference in a burst costs; what a burst costs besides is stated apart"


def analyze_energy(
    trace: PowerTrace,
    *,
    runs: int | None = None,
    stamps: RunStamps | None = None,
    top1_percent: float | None = None,
    source: str = "",
) -> EnergyReport:
    """Energy per inference in ``trace``.

    Args:
        trace: The recording, with idle before and after the run.
        runs: Number of inferences; may be left out with stamps, and must be right otherwise.
        stamps: When the runner was busy. Without them only the paper's method is possible, and nothing is verified.
        top1_percent: Top-1 accuracy in percent, for the energy-aware efficiency.
        source: Where the trace comes from, for the record.

    Raises:
        UsageError: Neither stamps nor runs, or runs that contradict the stamps, or an impossible accuracy.
        FailureError: The trace is empty, or shorter than the stamps.
    """
    check_top1(top1_percent)
    if stamps is None:
        if runs is None or runs < 1:
            raise UsageError("the number of inferences in the trace is not known", hint="give --runs or --stamps")
        return _with_unread(analyze_regions(trace, runs, top1_percent, source), trace)
    if runs is not None and runs != stamps.inferences:
        raise UsageError(f"{runs} runs asked for, but the stamps hold {stamps.inferences} inferences")
    return _with_unread(_report(examine(trace, stamps), top1_percent, source), trace)


def _with_unread(report: EnergyReport, trace: PowerTrace) -> EnergyReport:
    """The report, with a note of what else the file holds: a second current may be a part of the power."""
    unread = trace.meta.get("columns not read")
    note = () if unread is None else (f"columns of the file that were not read: {printable(unread)}",)
    return msgspec.structs.replace(report, notes=report.notes + note)


def examine(trace: PowerTrace, stamps: RunStamps) -> Evidence:
    """Fit clocks and model to ``trace``.

    Raises:
        FailureError: The trace is empty, or shorter than the stamps.
    """
    signal = signal_of(trace)
    alignment = align(signal, stamps)
    model = fit_model(signal, stamps, alignment)
    return Evidence(trace, signal, stamps, alignment, model, estimate(signal, stamps, alignment, model))


def _report(evidence: Evidence, top1_percent: float | None, source: str) -> EnergyReport:
    found, stamps = evidence.estimate, evidence.stamps
    checks = check_figure(evidence)
    reasons = tuple(check.reason for check in checks if not check.passed)
    aligned = _aligned(evidence)
    energy = found.energy_mj
    tail = _tail_facts(evidence)
    whole_tail = None if found.overhead_mj is not None or tail.tail_mj is None else energy + tail.tail_mj
    return EnergyReport(
        verdict="unverified" if reasons else "verified", checks=checks, reasons=reasons, notes=_notes(evidence),
        method="aligned", inferences=stamps.inferences, inferences_per_burst=stamps.inferences_per_burst,
        energy_mj=energy, energy_sd_mj=aligned.energy_sd_mj, energy_median_mj=aligned.energy_median_mj,
        interval_mj=(energy - found.half_mj, energy + found.half_mj), uncertainty_mj=found.half_mj,
        overhead_mj=found.overhead_mj, overhead_uncertainty_mj=found.overhead_half_mj,
        control_mj=found.control_mj, control_uncertainty_mj=found.control_half_mj,
        energy_with_tail_mj=whole_tail, power_mw=aligned.power_mean_mw, power_sd_mw=aligned.power_sd_mw,
        duration_ms=aligned.duration_mean_ms, noise_mw=evidence.signal.noise_mw,
        snr=aligned.power_mean_mw / evidence.signal.noise_mw if evidence.signal.noise_mw > 0 else None,
        error_share=found.error_mj / energy if energy > 0 else None, top1_percent=top1_percent,
        efficiency_percent_per_mj=top1_percent / energy if top1_percent and energy > 0 else None,
        aligned=aligned, regions=_regions(evidence), alignment=_alignment_facts(evidence),
        background=_background_facts(evidence), tail=tail, trace=trace_facts(evidence.trace, source),
    )  # fmt: skip


def _aligned(evidence: Evidence) -> MethodEnergy:
    bursts, used = evidence.model.bursts, evidence.estimate.used
    return method_energy(
        bursts.starts_s,
        bursts.durations_s,
        bursts.energy_mj,
        bursts.counts,
        wanted=len(evidence.stamps.bursts),
        used=used,
    )


def _regions(evidence: Evidence) -> MethodEnergy:
    """The paper's regions where the bursts are, above the same background."""
    bursts, wanted = evidence.model.bursts, len(evidence.stamps.bursts)
    found = find_regions(evidence.signal, wanted, section=_section(evidence), typical_s=evidence.typical_s)
    if found.found != wanted:
        return MethodEnergy(wanted=wanted, found=found.found, starts_s=tuple(found.starts_s.tolist()))
    lengths = found.ends_s - found.starts_s
    energy = evidence.excess_mw(found.starts_s, found.ends_s) * lengths
    counts = bursts.counts if len(bursts.counts) == wanted else np.full(wanted, evidence.stamps.inferences / wanted)
    return method_energy(found.starts_s, lengths, energy, counts, wanted=wanted)


def _section(evidence: Evidence) -> tuple[float, float]:
    """Start and end in s of the part of the trace that holds the bursts, and nothing else that was stamped."""
    busy, bursts = evidence.busy, evidence.model.bursts
    before, after = busy[1][busy[1] <= bursts.starts_s[0] + 1e-6], busy[0][busy[0] >= bursts.ends_s[-1] - 1e-6]
    low = float(before.max()) if len(before) else float(bursts.starts_s[0]) - 2.0
    high = float(after.min()) if len(after) else float(bursts.ends_s[-1]) + 2.0
    return low, high


def _notes(evidence: Evidence) -> tuple[str, ...]:
    notes = []
    estimate, stamps = evidence.estimate, evidence.stamps
    if incomplete := int(np.sum(~estimate.used)):
        notes.append(f"{incomplete} windows hold holes and do not count")
    durations = evidence.model.bursts.durations_s / np.maximum(evidence.model.bursts.counts, 1)
    if len(durations) > 8 and durations[0] > 1.5 * float(np.median(durations)):
        notes.append(
            f"the first inference took {durations[0] / np.median(durations):.1f} times the median: warm up longer"
        )
    if estimate.control_mj is not None and estimate.control_half_mj is not None:
        most = abs(estimate.control_mj) + estimate.control_half_mj
        notes.append(f"what else keeps the run's schedule, controls included, is at most {most:.3f} mJ a window")
    elif not stamps.counts:
        notes.append(
            "a load that lies within every window cannot be told from the model in this recording; windows of two "
            "lengths and controls would tell (bench --energy makes both)"
        )
    return tuple(notes)


def _alignment_facts(evidence: Evidence) -> AlignmentFacts:
    found = evidence.alignment
    return AlignmentFacts(
        offset_s=found.offset_s - found.pivot_s,
        drift_ppm=found.drift * 1e6,
        residual_ms=_finite(found.residual_s * 1e3),
        sections=found.sections,
        longer_ms=_finite(found.longer_s * 1e3),
        peak_sigma=min(found.place_sigma, 1e6),
        pulses=len(evidence.stamps.pulses),
    )


def _background_facts(evidence: Evidence) -> BackgroundFacts:
    bursts = evidence.model.bursts
    during = evidence.model.background_mw((bursts.starts_s + bursts.ends_s) / 2)
    idle = [(evidence.signal.mean_mw(start, end), max(0.0, end - start)) for start, end in evidence.idle]
    (before, before_s), (after, after_s) = idle
    return BackgroundFacts(
        method="gaps",
        during_mw=float(np.mean(during)),
        before_mw=_finite(before),
        after_mw=_finite(after),
        before_s=before_s,
        after_s=after_s,
        above_idle_mw=_finite(float(np.mean(during)) - (before + after) / 2),
    )


def _tail_facts(evidence: Evidence) -> TailFacts:
    model, two = evidence.model, evidence.estimate.overhead_mj is not None
    per_burst = float(np.mean(model.bursts.counts))
    return TailFacts(
        convention=SLOPE_CONVENTION if two else WINDOW_CONVENTION,
        tail_ms=(model.tail.over_s - model.pad_s) * 1e3,
        tail_mj=model.tail.total_mj / per_burst,
        carried_mj=float(np.mean(model.bursts.before_mj)) / per_burst,
        tail_uncertainty_mj=_tail_half_mj(evidence) / per_burst,
    )


def _tail_half_mj(evidence: Evidence) -> float:
    """Half of the 95 % interval of a tail's energy: how tails scatter, and what the pad hides of them."""
    model = evidence.model
    length_s = model.tail.over_s - model.pad_s
    starts = model.gaps.starts_s[model.gaps.after_burst & (model.gaps.lengths_s >= length_s)]
    seen = len(starts) > 1 and length_s > 0
    energy = evidence.excess_mw(starts, starts + length_s) * length_s if seen else np.zeros(2)
    freedom = len(energy) - 1
    error = math.hypot(float(np.std(energy)) / math.sqrt(freedom), model.tail.in_pad_mw[1] * model.pad_s)
    return student_quantile(freedom) * error


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
