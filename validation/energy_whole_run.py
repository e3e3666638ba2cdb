"""The mean energy of a run by a meter too coarse for single inferences: power while it ran, minus idle around it."""

from __future__ import annotations

import numpy as np

from edgevit.errors import FailureError, UsageError
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy_report import EnergyReport, WholeBurst
from validation.energy_signal import Signal, robust_sd, signal_of
from validation.energy_verdict import recording_reasons

WHY = "one coarse meter and one method: the mean over the run, which nothing confirms"
MIN_IDLE_S = 2.0


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
    from validation.energy import trace_facts

    if top1_percent is not None and not 0 < top1_percent <= 100:
        raise UsageError(f"top-1 accuracy of {top1_percent}: expected percent, above 0 and up to 100")
    signal = signal_of(trace)
    start = stamps.bursts[0].start_ns / 1e9 + device_to_trace_s
    end = stamps.bursts[-1].end_ns / 1e9 + device_to_trace_s
    busy_from = min([start, *(window.start_ns / 1e9 + device_to_trace_s for window in stamps.warmup)])
    loaded = [
        window.end_ns / 1e9 + device_to_trace_s
        for window in stamps.other
        if window.end_ns / 1e9 + device_to_trace_s < start
    ]
    before, after = _idle(signal, max([0.0, *loaded]) + period_s, busy_from - period_s, end + 2 * period_s)
    running_mw = signal.mean_mw(start + period_s, end - period_s)
    if not np.isfinite(running_mw) or start < 0 or end > signal.seconds:
        raise FailureError(
            f"the run from {start:.1f} to {end:.1f} s is not within the trace of {signal.seconds:.1f} s",
            hint="record again; the meter has to run from before to after",
        )
    idle_mw = (before + after) / 2
    power_mw = running_mw - idle_mw
    energy_mj = power_mw * (end - start) / stamps.inferences
    half_mj = max(abs(after - before) / 2, _scatter(signal, start + period_s, end - period_s, period_s)) * (
        (end - start) / stamps.inferences
    )
    return EnergyReport(
        verdict="unverified",
        reasons=(WHY, *recording_reasons(trace)),
        notes=(f"idle was {before:.0f} mW before and {after:.0f} mW after the run",),
        method="whole run",
        inferences=stamps.inferences,
        energy_mj=energy_mj,
        interval_mj=(energy_mj - half_mj, energy_mj + half_mj),
        power_mw=power_mw,
        duration_ms=(end - start) * 1e3 / stamps.inferences,
        noise_mw=signal.noise_mw,
        top1_percent=top1_percent,
        efficiency_percent_per_mj=top1_percent / energy_mj if top1_percent and energy_mj > 0 else None,
        whole=WholeBurst(seconds=end - start, energy_mj=energy_mj, expected_mj=energy_mj, deviation=0.0),
        trace=trace_facts(trace, source),
    )


def _idle(signal: Signal, start_s: float, end_s: float, after_s: float) -> tuple[float, float]:
    if end_s - start_s < MIN_IDLE_S or signal.seconds - after_s < MIN_IDLE_S:
        raise FailureError(
            f"{max(0.0, end_s - start_s):.1f} s of idle before and {max(0.0, signal.seconds - after_s):.1f} s "
            f"after the run: at least {MIN_IDLE_S:g} s are needed on both sides"
        )
    return signal.mean_mw(start_s, end_s), signal.mean_mw(after_s, signal.seconds)


def _scatter(signal: Signal, start_s: float, end_s: float, period_s: float) -> float:
    """Two standard errors of the mean power from blocks of one period."""
    blocks = signal.blocks_mw(start_s, end_s, period_s)
    return 2 * robust_sd(blocks) / float(np.sqrt(len(blocks))) if len(blocks) > 3 else 0.0
