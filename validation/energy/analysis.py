"""Energy per inference from a power trace: the paper's segmentation, the aligned method, and whether they agree.

The paper (section 4.1) subtracts the background power, finds 50 contiguous regions of significantly higher draw,
integrates each, and averages; ``regions`` does that. ``aligned`` integrates the windows that the runner stamped,
after fitting its clock to the trace. The headline figure is the aligned one, and is verified only when both methods
and the integral over the whole burst agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np

from edgevit.errors import UsageError
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.alignment import Alignment, align, busy_windows
from validation.energy.background import Background, Idle, measure_background, measure_idle
from validation.energy.regions import MAX_EXTRA, Regions, find_regions
from validation.energy.report import (
    AlignmentFacts,
    BackgroundFacts,
    EnergyReport,
    MethodEnergy,
    TailFacts,
    TraceFacts,
    WholeBurst,
)
from validation.energy.signal import Doubles, Signal, signal_of
from validation.energy.verdict import MAX_ABOVE_IDLE, Evidence, idle_reasons, reasons_against, recording_reasons
from validation.energy.windows import Windows, integrate
from validation.statistics import bootstrap_interval

MAX_LENGTH_RATIO = 3.0  # longest over shortest region; chosen: latencies of one network spread less
WINDOW_CONVENTION = "start to end of the inference; the tail after it is stated apart"


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
        return _by_regions(trace, runs, top1_percent, source)
    if runs is not None and runs != stamps.inferences:
        raise UsageError(f"{runs} runs asked for, but the stamps hold {stamps.inferences} inferences")
    return _by_stamps(trace, stamps, top1_percent, source)


def check_top1(percent: float | None) -> None:
    """Refuse an accuracy that is no percentage.

    Raises:
        UsageError: Zero, negative or above 100.
    """
    if percent is not None and not 0 < percent <= 100:
        raise UsageError(f"top-1 accuracy of {percent}: expected percent, above 0 and up to 100")


def _by_stamps(trace: PowerTrace, stamps: RunStamps, top1_percent: float | None, source: str) -> EnergyReport:
    signal = signal_of(trace)
    alignment = align(signal, stamps)
    starts, ends = alignment.to_trace(stamps.bursts)
    busy = alignment.to_trace(busy_windows(stamps))
    idle = measure_idle(
        signal, float(busy[0][0]), float(busy[1][-1]), limits=_idle_limits(stamps, alignment, busy, signal)
    )
    background = measure_background(signal, starts, ends, idle, busy=busy)
    windows = integrate(signal, starts, ends, background)
    regions = find_regions(
        signal, len(starts), section=_bursts_section(busy, starts, ends), typical_s=float(np.median(ends - starts))
    )
    found = regions.found == regions.wanted
    by_region = _above_background(signal, regions, idle, background.method)[1] if found else None
    whole = _whole_burst(signal, windows, background)
    error_share = _error_share(signal, windows, background)
    evidence = Evidence(
        trace, signal, stamps, alignment, background, windows, regions, by_region, whole, error_share
    )  # fmt: skip
    reasons = reasons_against(evidence)
    k = stamps.inferences_per_burst
    return _report(
        trace, signal, background, reasons=reasons, notes=_notes(windows), method="aligned", k=k,
        error_share=error_share, top1_percent=top1_percent, source=source,
        aligned=_method_energy(windows, len(starts), k), regions=_region_method(regions, by_region, k),
        alignment=_alignment_facts(alignment, stamps), whole=whole,
    )  # fmt: skip


def _by_regions(trace: PowerTrace, runs: int, top1_percent: float | None, source: str) -> EnergyReport:
    signal = signal_of(trace)
    regions = find_regions(signal, runs, section=(0.0, signal.seconds))
    facts = trace_facts(trace, source)
    only = "only the paper's segmentation was possible: without the runner's stamps nothing confirms it"
    if regions.found == 0 or regions.found > runs + MAX_EXTRA:
        return EnergyReport(
            verdict="unverified", reasons=(f"segmentation found {regions.found} regions, not {runs}", only),
            method="regions", inferences=runs, noise_mw=signal.noise_mw, trace=facts,
        )  # fmt: skip
    idle = measure_idle(signal, regions.first_busy_s, regions.last_busy_s, limits=(0.0, signal.seconds))
    background, windows = _above_background(signal, regions, idle)
    power_mw = float(np.median(windows.power_mw))
    reasons = [only, *recording_reasons(trace), *idle_reasons(background, power_mw)]
    exact = regions.found == runs
    if float(windows.durations_s.max()) > MAX_LENGTH_RATIO * float(windows.durations_s.min()):
        reasons.append(
            f"regions last from {windows.durations_s.min() * 1e3:.1f} to {windows.durations_s.max() * 1e3:.1f} ms: "
            "they are hardly all inferences"
        )
    if not exact:
        reasons.insert(0, f"segmentation found {regions.found} regions, not {runs}")
    notes = _notes(windows)
    if exact and regions.dropped:
        notes = (*notes, f"{regions.dropped} regions of another length (sync pulses, warm-up) were left out")
    return _report(
        trace, signal, background, reasons=tuple(reasons), notes=notes, method="regions", k=1,
        error_share=_error_share(signal, windows, background), top1_percent=top1_percent, source=source,
        aligned=None, regions=_method_energy(windows, runs, 1), alignment=None,
        whole=_whole_burst(signal, windows, background), headline=exact,
    )  # fmt: skip


def _above_background(
    signal: Signal, regions: Regions, idle: Idle, method: Literal["gaps", "idle line"] | None = None
) -> tuple[Background, Windows]:
    """Background and windows of regions.

    ``method`` is the reference to use; without it, the idle line is used when the gaps do not come down to idle.
    """
    edges = (regions.starts_s, regions.ends_s)
    background = measure_background(signal, *edges, idle, busy=edges)
    windows = integrate(signal, *edges, background)
    restless = background.above_idle_mw > MAX_ABOVE_IDLE * float(np.median(windows.power_mw))
    if method == "idle line" or (method is None and restless):
        line_mw = idle.at((regions.starts_s + regions.ends_s) / 2)
        background = replace(background, method="idle line", window_mw=line_mw, tail_mj=None)
        windows = integrate(signal, *edges, background)
    return background, windows


def _idle_limits(
    stamps: RunStamps, alignment: Alignment, busy: tuple[Doubles, Doubles], signal: Signal
) -> tuple[float, float]:
    """Start and end in s of where idle may lie: between what else the runner did (loading, golden inputs) and the run.

    ``busy`` are starts and ends, each (m,) float64, s on the trace's clock.
    """
    if not stamps.other:
        return 0.0, signal.seconds
    starts, ends = alignment.to_trace(stamps.other)
    before, after = ends[ends <= busy[0][0] + 1e-3], starts[starts >= busy[1][-1] - 1e-3]
    return (
        float(before.max()) + 0.5 if len(before) else 0.0,
        float(after.min()) - 0.01 if len(after) else signal.seconds,
    )


def _bursts_section(busy: tuple[Doubles, Doubles], starts: Doubles, ends: Doubles) -> tuple[float, float]:
    """Start and end in s of the part of the trace that holds the bursts, (n,) s, and nothing else that was stamped."""
    before, after = busy[1][busy[1] <= starts[0] + 1e-6], busy[0][busy[0] >= ends[-1] - 1e-6]
    low = float(before.max()) + 0.002 if len(before) else float(starts[0]) - 2.0
    high = float(after.min()) - 0.002 if len(after) else float(ends[-1]) + 2.0
    return low, high


def _whole_burst(signal: Signal, windows: Windows, background: Background) -> WholeBurst | None:
    start, end = float(windows.starts_s[0]), float(windows.ends_s[-1]) + 1.2 * background.tail_s + 0.001
    line = float(background.idle.at(np.array([(start + end) / 2]))[0])
    if not np.isfinite(line):
        return None
    count = len(windows.starts_s)
    energy = (signal.mean_mw(start, end) - line) * (end - start) / count
    tail = (
        background.tail_mj
        if background.tail_mj is not None
        else _energy_between_windows(signal, windows, background, end)
    )
    expected = float(windows.energy_mj.mean()) + tail
    return WholeBurst(
        seconds=end - start,
        energy_mj=energy,
        expected_mj=expected,
        deviation=energy / expected - 1 if expected else 0.0,
    )


def _energy_between_windows(signal: Signal, windows: Windows, background: Background, end_s: float) -> float:
    """Energy in mJ above background between the windows and after the last, per window: tails that end in no gap."""
    lows, highs = windows.ends_s, np.append(windows.starts_s[1:], end_s)
    level = background.idle.at((lows + highs) / 2)
    return float(np.mean(signal.energy_mj(lows, highs) - level * (highs - lows)))


def _error_share(signal: Signal, windows: Windows, background: Background) -> float:
    """Relative standard error of the mean energy from noise in the windows and in the background."""
    duration_s, count = float(windows.durations_s.mean()), len(windows.starts_s)
    white = signal.noise_mw * np.sqrt(2.0 / (signal.rate_hz * duration_s * count))
    energy = float(windows.energy_mj.mean())
    if energy <= 0:
        return float("inf")
    return max(float(white), background.error_mw) * duration_s / energy


def _notes(windows: Windows) -> tuple[str, ...]:
    notes = []
    if disturbed := int(windows.disturbed.sum()):
        notes.append(f"{disturbed} windows are disturbed by other activity; they count with their neighbours' power")
    if incomplete := int(windows.incomplete.sum()):
        notes.append(f"{incomplete} windows hold holes of more than 2 ms; they count with their neighbours' power")
    durations = windows.durations_s
    if len(durations) > 8 and durations[0] > 1.5 * float(np.median(durations)):
        notes.append(
            f"the first inference took {durations[0] / np.median(durations):.1f} times the median: warm up longer"
        )
    return tuple(notes)


def _method_energy(windows: Windows, wanted: int, k: int) -> MethodEnergy:
    def sd(values: Doubles) -> float:
        return float(values.std(ddof=1)) if len(values) > 1 else 0.0

    energy, duration = windows.energy_mj / k, windows.durations_s * 1e3 / k
    return MethodEnergy(
        wanted=wanted, found=len(energy), energy_mean_mj=float(energy.mean()), energy_sd_mj=sd(energy),
        energy_median_mj=float(np.median(energy)), power_mean_mw=float(windows.power_mw.mean()),
        power_sd_mw=sd(windows.power_mw), duration_mean_ms=float(duration.mean()), duration_sd_ms=sd(duration),
        energies_mj=tuple(energy.tolist()), durations_ms=tuple(duration.tolist()),
        disturbed=tuple(np.flatnonzero(windows.disturbed).tolist()),
        incomplete=tuple(np.flatnonzero(windows.incomplete).tolist()),
        starts_s=tuple(windows.starts_s.tolist()),
    )  # fmt: skip


def _region_method(regions: Regions, windows: Windows | None, k: int) -> MethodEnergy:
    if windows is not None:
        return _method_energy(windows, regions.wanted, k)
    return MethodEnergy(wanted=regions.wanted, found=regions.found, starts_s=tuple(regions.starts_s.tolist()))


def _alignment_facts(alignment: Alignment, stamps: RunStamps) -> AlignmentFacts:
    finite = np.isfinite(alignment.residual_s)
    return AlignmentFacts(
        offset_s=alignment.offset_s - alignment.pivot_s,
        drift_ppm=alignment.drift * 1e6,
        residual_ms=alignment.residual_s * 1e3 if finite else None,
        sections=alignment.sections,
        peak_ratio=min(alignment.peak_ratio, 1e6),
        peak_sigma=min(alignment.peak_sigma, 1e6),
        pulses=len(stamps.pulses),
    )


def _background_facts(background: Background) -> BackgroundFacts:
    idle = background.idle
    return BackgroundFacts(
        method=background.method,
        during_mw=float(np.mean(background.window_mw)),
        before_mw=_finite(idle.before_mw),
        after_mw=_finite(idle.after_mw),
        before_s=idle.before_s,
        after_s=idle.after_s,
        idle_scatter_mw=_finite(idle.scatter_mw),
        above_idle_mw=_finite(background.above_idle_mw),
        max_off_line_mw=background.max_off_line_mw,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def trace_facts(trace: PowerTrace, source: str) -> TraceFacts:
    """The facts of a recording for the record."""
    return TraceFacts(
        source=source or trace.meta.get("source", ""),
        meter=trace.meta.get("meter", "unknown"),
        rate_hz=trace.rate_hz,
        measured_rate_hz=trace.measured_rate_hz(),
        seconds=trace.seconds,
        samples=len(trace.power_mw),
        lost_share=trace.lost_share,
        over_current=trace.over_current,
    )


def _report(
    trace: PowerTrace, signal: Signal, background: Background, *, reasons: tuple[str, ...],
    notes: tuple[str, ...], method: Literal["aligned", "regions"], k: int, error_share: float,
    top1_percent: float | None, source: str, aligned: MethodEnergy | None, regions: MethodEnergy | None,
    alignment: AlignmentFacts | None, whole: WholeBurst | None, headline: bool = True,
) -> EnergyReport:  # fmt: skip
    chosen = aligned or regions
    assert chosen is not None
    if whole is not None:
        whole = msgspec.structs.replace(whole, energy_mj=whole.energy_mj / k, expected_mj=whole.expected_mj / k)
    tail_mj = None if background.tail_mj is None else background.tail_mj / k
    with_tail = chosen.energy_mean_mj + tail_mj if tail_mj is not None else (whole.energy_mj if whole else None)
    interval = bootstrap_interval([np.array(chosen.energies_mj)], np.mean, seed=0)
    efficient = headline and top1_percent is not None and chosen.energy_mean_mj > 0
    return EnergyReport(
        verdict="unverified" if reasons else "verified", reasons=reasons, notes=notes, method=method,
        inferences=chosen.wanted * k, inferences_per_burst=k,
        energy_mj=chosen.energy_mean_mj if headline else None,
        energy_sd_mj=chosen.energy_sd_mj if headline else None,
        energy_median_mj=chosen.energy_median_mj if headline else None,
        interval_mj=interval if headline else None,
        energy_with_tail_mj=with_tail if headline else None,
        power_mw=chosen.power_mean_mw if headline else None,
        power_sd_mw=chosen.power_sd_mw if headline else None,
        duration_ms=chosen.duration_mean_ms if headline else None,
        snr=_finite(chosen.power_mean_mw / signal.noise_mw) if signal.noise_mw > 0 else None,
        noise_mw=signal.noise_mw, error_share=_finite(error_share), top1_percent=top1_percent,
        efficiency_percent_per_mj=(top1_percent or 0.0) / chosen.energy_mean_mj if efficient else None,
        aligned=aligned, regions=regions, whole=whole, alignment=alignment,
        background=_background_facts(background),
        tail=TailFacts(
            convention=WINDOW_CONVENTION, tail_ms=background.tail_s * 1e3, tail_mj=tail_mj,
            carried_mj=background.carried_mj / k,
        ),
        trace=trace_facts(trace, source),
    )  # fmt: skip
