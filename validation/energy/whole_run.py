"""The mean energy of a run by a meter too coarse for single inferences: power while it ran, minus idle around it."""

from __future__ import annotations

import math

import numpy as np

from edgevit.errors import FailureError
from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import PowerTrace
from validation.energy.limits import answer
from validation.energy.meter_checks import check_recording
from validation.energy.report import Check, EnergyReport, WholeBurst, check_top1, trace_facts
from validation.energy.signal import Signal, signal_of
from validation.statistics import robust_sd

WHY = "one coarse meter and one method: the mean over the run, which nothing confirms"
MAX_LOST = 0.01  # of the readings: chosen, because one in a hundred is missed on a busy machine
MIN_IDLE_S = 2.0  # on each side: two readings of the slowest meter, a gauge that is read once a second


def analyze_whole_run(
    trace: PowerTrace,
    stamps: RunStamps,
    *,
    device_to_trace_s: float,
    period_s: float,
    top1_percent: float | None = None,
    source: str = "",
) -> EnergyReport:
    """Mean energy per inference of a run without gaps.

    Args:
        trace: The recording, with idle before and after the run.
        stamps: When the runner was busy, on the device's clock.
        device_to_trace_s: Added to device time gives trace time.
        period_s: Time between independent readings of the meter; this much is left out at each change of power.
        top1_percent: Top-1 accuracy in percent, for the energy-aware efficiency.
        source: Where the trace comes from, for the record.

    Raises:
        FailureError: The run is not within the trace, or there is no idle around it.
        UsageError: An impossible accuracy.
    """
    check_top1(top1_percent)
    signal = signal_of(trace)
    start, end = _moments(stamps.bursts, device_to_trace_s)
    before_mw, after_mw = _idle(trace, signal, stamps, device_to_trace_s, period_s)
    inner = _after_hole(trace, start + period_s), _before_hole(trace, end - period_s)
    each_s = (end - start) / stamps.inferences
    power_mw = _running(signal, start, end, inner) - (before_mw + after_mw) / 2
    scatter_mw = _scatter(signal, *inner, period_s)
    energy_mj, half_mj = power_mw * each_s, max(abs(after_mw - before_mw) / 2, scatter_mw) * each_s
    checks = (answer("methods", 1.0, 2.0, WHY, least=True), *check_recording(trace), _lost(trace))
    return EnergyReport(
        verdict="unverified", checks=checks, reasons=tuple(check.reason for check in checks if not check.passed),
        notes=(f"idle was {before_mw:.0f} mW before and {after_mw:.0f} mW after the run",),
        method="whole run", inferences=stamps.inferences, energy_mj=energy_mj, uncertainty_mj=half_mj,
        interval_mj=(energy_mj - half_mj, energy_mj + half_mj), power_mw=power_mw, duration_ms=each_s * 1e3,
        noise_mw=signal.noise_mw, top1_percent=top1_percent,
        efficiency_percent_per_mj=top1_percent / energy_mj if top1_percent and energy_mj > 0 else None,
        whole=WholeBurst(seconds=end - start, energy_mj=energy_mj, expected_mj=energy_mj, deviation=0.0),
        trace=trace_facts(trace, source),
    )  # fmt: skip


def _lost(trace: PowerTrace) -> Check:
    reason = f"{trace.lost_share:.1%} of the samples are lost (at most {MAX_LOST:.0%})"
    return answer("lost samples", 100 * trace.lost_share, 100 * MAX_LOST, reason, unit="%")


def _moments(windows: tuple[Window, ...], device_to_trace_s: float) -> tuple[float, float]:
    """Start of the first window and end of the last in trace time."""
    return windows[0].start_ns / 1e9 + device_to_trace_s, windows[-1].end_ns / 1e9 + device_to_trace_s


def _after_hole(trace: PowerTrace, moment_s: float) -> float:
    """End of the hole that a moment lies in, else the moment: what is lost across a step holds some of both sides."""
    lost = trace.lost[max(0, int(moment_s * trace.rate_hz)) :]
    if not (len(lost) and lost[0]):
        return moment_s
    return trace.seconds - (0.0 if lost.all() else (len(lost) - int(np.argmin(lost))) / trace.rate_hz)


def _before_hole(trace: PowerTrace, moment_s: float) -> float:
    """Start of the hole that a moment lies in, else the moment."""
    lost = trace.lost[: max(0, math.ceil(moment_s * trace.rate_hz))][::-1]
    if not (len(lost) and lost[0]):
        return moment_s
    return 0.0 if lost.all() else (len(lost) - int(np.argmin(lost))) / trace.rate_hz


def _running(signal: Signal, start_s: float, end_s: float, inner: tuple[float, float]) -> float:
    """Mean power in mW of the run within ``inner``: without a reading's time, and without a hole, at either end."""
    running_mw = signal.mean_mw(*inner)
    if start_s >= 0 and end_s <= signal.seconds and inner[1] <= inner[0]:
        raise FailureError(
            f"no reading of the run from {start_s:.1f} to {end_s:.1f} s: the meter missed them",
            hint="record again, with less load on this machine or a longer run",
        )
    if not np.isfinite(running_mw) or start_s < 0 or end_s > signal.seconds:
        raise FailureError(
            f"the run from {start_s:.1f} to {end_s:.1f} s is not within the trace of {signal.seconds:.1f} s",
            hint="record again; the meter has to run from before to after",
        )
    return running_mw


def _idle(
    trace: PowerTrace, signal: Signal, stamps: RunStamps, device_to_trace_s: float, period_s: float
) -> tuple[float, float]:
    """Mean power before and after all that the runner did around the run, a reading's time away from it."""
    first, last = _moments((*stamps.warmup, *stamps.bursts), device_to_trace_s)
    others = [_moments((window,), device_to_trace_s) for window in stamps.other]
    start = max([0.0, *(end for _, end in others if end < first)]) + period_s
    end = min([signal.seconds, *(begin - period_s for begin, _ in others if begin > last)])
    before = _after_hole(trace, start), _before_hole(trace, first - period_s)
    after = _after_hole(trace, last + 2 * period_s), _before_hole(trace, end)
    before_s, after_s = before[1] - before[0], after[1] - after[0]
    if min(before_s, after_s) < MIN_IDLE_S:
        raise FailureError(
            f"{max(0.0, before_s):.1f} s of idle before and {max(0.0, after_s):.1f} s after the run: at least "
            f"{MIN_IDLE_S:g} s are needed on both sides"
        )
    return signal.mean_mw(*before), signal.mean_mw(*after)


def _scatter(signal: Signal, start_s: float, end_s: float, period_s: float) -> float:
    """Two standard errors of the mean power from blocks of one period."""
    blocks = signal.blocks_mw(start_s, end_s, period_s)
    return 2 * robust_sd(blocks) / float(np.sqrt(len(blocks))) if len(blocks) > 3 else 0.0
