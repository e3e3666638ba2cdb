"""When an energy figure counts as verified: every check is one function that returns reasons against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.alignment import Alignment
from validation.energy.background import Background
from validation.energy.regions import Regions
from validation.energy.report import WholeBurst
from validation.energy.signal import Doubles, Signal
from validation.energy.windows import Windows

# All chosen. Together they were tried on simulated traces (benchmarks/energy_accuracy.py, docs/energy.md): of 510 with
# everything varied at random, none that they let pass is more than 3 % off.
MAX_LOST = 0.01  # of the samples: as much as the error that is allowed
MAX_RATE_ERROR = 0.001  # five times what two quartz clocks at their worst differ by
MIN_IDLE_S = 2.0  # on each side: 40 blocks, whose mean is known to a sixth of their scatter
MAX_IDLE_CHANGE = 0.10  # of the burst's power, when the gaps cannot follow the background
MAX_ABOVE_IDLE = 0.05  # of the burst's power
MAX_DRIFT_PPM = 200.0  # two quartz clocks at their worst, 100 ppm each
MAX_RESIDUAL_S = 0.002  # one block of the coarse alignment
MAX_RESIDUAL_SHARE = 0.1  # of an inference
MIN_PEAK_RATIO = 1.01
MIN_PEAK_SIGMA = 5.0
MIN_SAMPLES = 20  # per window: its two edges are then a tenth of it at most
MAX_REPLACED = 0.2  # of the windows
MAX_CARRIED = 0.01  # of an inference's energy
MAX_ERROR = 0.01  # relative standard error of the mean, from noise alone
MIN_LEVEL_SPAN = 0.08  # of the way from floor to burst: more than three steps of the levels that are tried
MIN_OVERLAP = 0.75  # common over united time of a region and its stamped window
MAX_DURATION_DIFFERENCE = 0.10
MAX_ENERGY_DIFFERENCE = 0.05
MAX_SUSPENDED_NS = 1_000_000  # above what reading two clocks one after the other makes them differ


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the verdict on an aligned figure looks at."""

    trace: PowerTrace
    signal: Signal
    stamps: RunStamps
    alignment: Alignment
    background: Background
    windows: Windows
    regions: Regions
    region_windows: Windows | None
    whole: WholeBurst | None
    error_share: float


def reasons_against(evidence: Evidence) -> tuple[str, ...]:
    """Everything that keeps the aligned figure from being verified; empty when it is."""
    power_mw = float(np.median(evidence.windows.power_mw))
    return (
        *recording_reasons(evidence.trace),
        *_stamp_reasons(evidence.stamps),
        *idle_reasons(evidence.background, power_mw),
        *_alignment_reasons(evidence),
        *_window_reasons(evidence, power_mw),
        *_tail_reasons(evidence),
        *_agreement_reasons(evidence),
    )


def recording_reasons(trace: PowerTrace) -> list[str]:
    """What speaks against the recording itself."""
    reasons = []
    if trace.lost_share > MAX_LOST:
        reasons.append(f"{trace.lost_share:.1%} of the samples are lost (at most {MAX_LOST:.0%})")
    if trace.over_current:
        reasons.append("the meter reported its current limit: the trace is clipped there")
    measured = trace.measured_rate_hz()
    if measured is not None and abs(measured / trace.rate_hz - 1) > MAX_RATE_ERROR:
        reasons.append(
            f"{measured:.1f} samples a second by the host's clock, {trace.rate_hz:.1f} expected: time is off"
        )
    return reasons


def _stamp_reasons(stamps: RunStamps) -> list[str]:
    if stamps.suspended_ns > MAX_SUSPENDED_NS:
        return [f"the device was suspended for {stamps.suspended_ns / 1e6:.0f} ms during the run"]
    return []


def idle_reasons(background: Background, power_mw: float) -> list[str]:
    """What speaks against the background."""
    idle = background.idle
    reasons = [
        f"{seconds:.1f} s of idle {place} the run (at least {MIN_IDLE_S:.0f} s)"
        for place, seconds in (("before", idle.before_s), ("after", idle.after_s))
        if seconds < MIN_IDLE_S
    ]
    change = abs(idle.after_mw - idle.before_mw)
    if background.method == "idle line" and change > MAX_IDLE_CHANGE * power_mw:
        reasons.append(
            f"idle power changed by {change:.0f} mW during the run, {change / power_mw:.0%} of the inference's power, "
            "and there are no gaps to follow it in"
        )
    if background.above_idle_mw > MAX_ABOVE_IDLE * power_mw:
        reasons.append(
            f"between inferences power stays {background.above_idle_mw:.0f} mW above idle: the device does not rest"
        )
    return reasons


def _alignment_reasons(evidence: Evidence) -> list[str]:
    alignment, reasons = evidence.alignment, []
    typical_s = float(np.median(evidence.windows.durations_s))
    if abs(alignment.drift) * 1e6 > MAX_DRIFT_PPM:
        reasons.append(f"clocks drift by {alignment.drift * 1e6:.0f} ppm (at most {MAX_DRIFT_PPM:.0f})")
    limit_s = min(MAX_RESIDUAL_S, MAX_RESIDUAL_SHARE * typical_s)
    if not alignment.residual_s <= limit_s:
        reasons.append(
            f"sections of the run are {alignment.residual_s * 1e3:.2f} ms off the common fit (at most "
            f"{limit_s * 1e3:.2f} ms)"
            if np.isfinite(alignment.residual_s)
            else "no power step is visible at the stamped moments"
        )
    if alignment.peak_ratio < MIN_PEAK_RATIO or alignment.peak_sigma < MIN_PEAK_SIGMA:
        reasons.append(
            f"the stamps fit other places of the trace as well (peak {alignment.peak_ratio:.3f} times the next, "
            f"{alignment.peak_sigma:.1f} sigma)"
        )
    return reasons


def _window_reasons(evidence: Evidence, power_mw: float) -> list[str]:
    windows, reasons = evidence.windows, []
    samples = float(np.min(windows.durations_s)) * evidence.signal.rate_hz
    if samples < MIN_SAMPLES:
        reasons.append(f"the shortest inference has {samples:.0f} samples (at least {MIN_SAMPLES}): run k per burst")
    replaced = int(np.sum(windows.disturbed | windows.incomplete))
    if replaced > MAX_REPLACED * len(windows.starts_s):
        reasons.append(f"{replaced} of {len(windows.starts_s)} windows are disturbed by other activity or hold holes")
    silent = np.flatnonzero(windows.measured_mj / windows.durations_s < 0.5 * power_mw)
    if len(silent):
        reasons.append(f"no inference in window {silent[0] + 1} of the stamps ({len(silent)} such windows)")
    if outside := _bursts_outside(evidence, power_mw):
        reasons.append(outside)
    if evidence.error_share > MAX_ERROR:
        reasons.append(f"noise alone puts {evidence.error_share:.1%} on the mean (at most {MAX_ERROR:.0%})")
    return reasons


def _bursts_outside(evidence: Evidence, power_mw: float) -> str | None:
    """One more burst at the regular distance before the first or after the last says that the stamps are shifted."""
    windows, stamps = evidence.windows, evidence.stamps
    if len(windows.starts_s) < 3:
        return None
    period = float(np.median(np.diff(windows.starts_s)))
    known = evidence.alignment.to_trace((*stamps.pulses, *stamps.warmup, *stamps.other))
    for place, index, shift in (("before the first", 0, -period), ("after the last", -1, period)):
        start, end = float(windows.starts_s[index]) + shift, float(windows.ends_s[index]) + shift
        if np.any((known[0] < end) & (known[1] > start)) or start < 0 or end > evidence.signal.seconds:
            continue
        above = evidence.signal.mean_mw(start, end) - float(evidence.background.window_mw[index])
        if above > 0.5 * power_mw:
            return f"a further burst lies one period {place} stamp: the stamps are shifted or incomplete"
    return None


def _tail_reasons(evidence: Evidence) -> list[str]:
    energy = float(evidence.windows.energy_mj.mean())
    carried = evidence.background.carried_mj
    gaps = evidence.windows.starts_s[1:] - evidence.windows.ends_s[:-1]
    hidden = len(gaps) > 0 and evidence.background.tail_s > float(np.median(gaps)) > 0
    if carried > MAX_CARRIED * energy or hidden:
        return [
            f"tails of {evidence.background.tail_s * 1e3:.0f} ms run into the next inference "
            f"(up to {carried / energy:.0%} of its energy): leave longer gaps"
        ]
    return []


def _agreement_reasons(evidence: Evidence) -> list[str]:
    windows, regions, found = evidence.windows, evidence.regions, evidence.region_windows
    whole = evidence.whole
    reasons = []
    if whole is None:
        reasons.append("no idle line to integrate the whole burst above")
    elif abs(whole.deviation) > MAX_ENERGY_DIFFERENCE:
        reasons.append(f"the whole-burst integral is {whole.deviation:+.1%} off the sum of inferences and tails")
    if regions.found != regions.wanted or found is None:
        return [*reasons, f"segmentation found {regions.found} regions, not {regions.wanted}"]
    if regions.level_span < MIN_LEVEL_SPAN:
        reasons.append(f"segmentation finds {regions.wanted} regions at single threshold levels only")
    overlap = _overlap(windows.starts_s, windows.ends_s, found.starts_s, found.ends_s)
    if float(overlap.min()) < MIN_OVERLAP:
        where = int(np.argmin(overlap))
        reasons.append(f"region {where + 1} covers {overlap[where]:.0%} of its stamped window")
    longer = float(found.durations_s.mean() / windows.durations_s.mean()) - 1
    if abs(longer) > MAX_DURATION_DIFFERENCE:
        reasons.append(f"regions are {longer:+.1%} longer than the stamped inferences")
    more = float(found.energy_mj.mean() / windows.energy_mj.mean()) - 1
    if not abs(more) <= MAX_ENERGY_DIFFERENCE:
        reasons.append(f"regions hold {more:+.1%} more energy than the stamped windows")
    return reasons


def _overlap(starts: Doubles, ends: Doubles, other_starts: Doubles, other_ends: Doubles) -> Doubles:
    """Common time over united time, window by window: (n,) s each to (n,) shares."""
    common = np.minimum(ends, other_ends) - np.maximum(starts, other_starts)
    share: Doubles = np.maximum(common, 0.0) / (np.maximum(ends, other_ends) - np.minimum(starts, other_starts))
    return share
