"""When an energy figure counts as verified: every check asks one question, with a value, a limit, and a reason.

These ask the recording and its clocks; ``meter_checks`` ask the samples, ``gap_checks`` and
``window_checks`` the power. See ``limits`` for the rule.
"""

from __future__ import annotations

import math

import numpy as np

from validation.energy.evidence import Evidence
from validation.energy.gap_checks import GAP_CHECKS
from validation.energy.limits import LEAST_WINDOWS, SIGMA, answer
from validation.energy.meter_checks import METER_CHECKS, check_recording
from validation.energy.model import PAD_SHARE
from validation.energy.report import Check
from validation.energy.window_checks import WINDOW_CHECKS

MAX_SUSPENDED_NS = 1_000_000  # above what reading two clocks one after the other makes them differ
MAX_DRIFT_PPM = 200.0  # two quartz clocks at their worst, 100 ppm each
PLACE_SIGMA = 5.5  # 1 % over as many places as the longest trace has
EDGE_SAMPLES = 0.75  # by which clocks that rise and layers of unlike power may move an edge
LEAST_SAMPLES = 5  # per window: three of them are then away from its edges
LEAST_GAP = 4  # samples
LEAST_IDLE_S = 0.5  # chosen: ten blocks of 50 ms, enough to see whether the gaps come down to it


def check_figure(evidence: Evidence) -> tuple[Check, ...]:
    """All checks on an aligned figure that its recording can be asked: none on controls or lengths that it has not."""
    asked = (question(evidence) for question in QUESTIONS)
    return (*check_recording(evidence.trace), *(check for check in asked if check is not None))


def _suspended(evidence: Evidence) -> Check:
    slept = evidence.stamps.suspended_ns
    reason = f"the device was suspended for {slept / 1e6:.0f} ms during the run"
    return answer("suspended", slept / 1e6, MAX_SUSPENDED_NS / 1e6, reason, unit="ms")


def _pulses(evidence: Evidence) -> Check:
    bursts, pulses = evidence.stamps.bursts, evidence.stamps.pulses
    before = sum(pulse.end_ns <= bursts[0].start_ns for pulse in pulses)
    after = sum(pulse.start_ns >= bursts[-1].end_ns for pulse in pulses)
    reason = (
        "no sync pulses on both sides of the run: nothing proves the clocks, nor that the meter shows more than an "
        "inference draws; record with them"
    )
    return answer("sync pulses", min(before, after), 1, reason, least=True)


def _place(evidence: Evidence) -> Check:
    sigma = min(evidence.alignment.place_sigma, 1e6)
    reason = f"the stamps fit other places of the trace as well ({sigma:.1f} sigma apart, at least {PLACE_SIGMA})"
    return answer("place", sigma, PLACE_SIGMA, reason, unit="sigma", least=True)


def _drift(evidence: Evidence) -> Check:
    drift = evidence.alignment.drift * 1e6
    reason = f"clocks drift by {drift:.0f} ppm (at most {MAX_DRIFT_PPM:.0f})"
    sure = abs(drift) - MAX_DRIFT_PPM > SIGMA * evidence.alignment.drift_error * 1e6
    return answer("drift", abs(drift), MAX_DRIFT_PPM, reason, unit="ppm", counts=sure)


def _sections(evidence: Evidence) -> Check:
    """What a section is off may be as much as the largest pad, in which the figure does not depend on it."""
    off_ms, limit_ms = evidence.alignment.residual_s * 1e3, evidence.largest_pad_s * 1e3
    reason = f"a section of the run is {off_ms:.2f} ms off the common clock (at most {limit_ms:.2f} ms)"
    if not math.isfinite(off_ms):
        reason = "no power step is visible at the stamped moments"
    return answer("clock", off_ms, limit_ms, reason, unit="ms")


def _lengths(evidence: Evidence) -> Check:
    """Longer stamps would take in tails, shorter ones leave out power; clocks that rise show as half a sample."""
    bursts, period_s = evidence.model.bursts, evidence.signal.period_s
    longer_ms = evidence.alignment.longer_s * 1e3
    limit_ms = (EDGE_SAMPLES * period_s + PAD_SHARE * float(bursts.durations_s.min())) * 1e3
    word = "longer" if longer_ms > 0 else "shorter"
    reason = f"the stamps are {abs(longer_ms):.2f} ms {word} than the power (at most {limit_ms:.2f} ms)"
    if not math.isfinite(longer_ms):
        reason = "the inferences' starts and ends do not show in the power"
    return answer("lengths", abs(longer_ms), limit_ms, reason, unit="ms")


def _windows(evidence: Evidence) -> Check:
    used = int(evidence.estimate.used.sum())
    reason = f"{used} windows tell the figure: at least {LEAST_WINDOWS} are needed"
    return answer("windows", used, LEAST_WINDOWS, reason, least=True)


def _samples(evidence: Evidence) -> Check:
    samples = float(evidence.model.bursts.durations_s.min()) * evidence.signal.rate_hz
    k = math.ceil(LEAST_SAMPLES / max(samples, 1e-9)) * evidence.stamps.inferences_per_burst
    reason = f"the shortest window has {samples:.1f} samples (at least {LEAST_SAMPLES}): bursts of {k} would be enough"
    return answer("samples", samples, LEAST_SAMPLES, reason, least=True)


def _gaps(evidence: Evidence) -> Check:
    starts, ends = evidence.alignment.to_trace(evidence.windows)
    free_s = float(np.median(starts[1:] - ends[:-1])) - 2 * evidence.model.pad_s if len(starts) > 1 else 0.0
    gap = max(0.0, free_s * evidence.signal.rate_hz)
    needed_ms = (LEAST_GAP / evidence.signal.rate_hz + 2 * evidence.model.pad_s) * 1e3
    reason = f"the gaps have {gap:.1f} samples to tell the background: --gap {math.ceil(needed_ms)} would be enough"
    return answer("gaps", gap, LEAST_GAP, reason, unit="samples", least=True)


def _idle(evidence: Evidence) -> Check:
    before, after = (max(0.0, end - start) for start, end in evidence.idle)
    where = "before" if before < after else "after"
    reason = f"{min(before, after):.1f} s of idle {where} the run (at least {LEAST_IDLE_S} s)"
    return answer("idle", min(before, after), LEAST_IDLE_S, reason, unit="s", least=True)


QUESTIONS = (
    _suspended, _pulses, _place, _drift, _sections, _lengths, _windows, _samples, _gaps, _idle, *METER_CHECKS,
    *GAP_CHECKS,
    *WINDOW_CHECKS,
)  # fmt: skip
