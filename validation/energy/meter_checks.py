"""What the samples themselves say against a figure: cut off, held, too coarse, or in another unit."""

from __future__ import annotations

import math

import numpy as np

from runtimes.power.plausible import POWER_MW
from runtimes.power.trace import PowerTrace
from validation.energy.evidence import Evidence
from validation.energy.limits import SHARE, answer
from validation.energy.report import Check
from validation.energy.signal import Bools, Doubles, moving_mean
from validation.statistics import robust_sd

MAX_RATE_ERROR = 0.001  # five times what two quartz clocks at their worst differ by
MAX_AT_TOP = 0.05  # of the samples in windows: as much again as they hold may be cut off, and be within the budget
MAX_AT_FLOOR = 0.05  # of the samples in gaps, for the same reason
MAX_HELD = 0.05  # of the samples: what was not measured anew
LEAST_NOISE = 0.5  # of that in the gaps: fifty samples tell it to 15 %
TOP_SIGMA = 2.0  # of the noise that is left: where a sample counts as at the top
STEADY = 40.0  # inverse of the share of the power that noise may put on what is looked at, where time allows
SHOWN_S = 0.3  # for so long the trace must be above the inferences: half of the shorter pulses, so that noise is not it
FINE = 10.0  # steps of the converter in the noise: then two equal samples in a row are chance, and levels are dithered
STEADY_STEPS = 3.0  # of the converter, between samples in windows: with more, the lowest of its values is rare in gaps


def check_recording(trace: PowerTrace) -> list[Check]:
    """What can be asked of a trace alone."""
    reason = "the meter reported its current limit: the trace is clipped there"
    checks = [answer("current limit", float(trace.over_current), 0.0, reason)]
    if (measured := trace.measured_rate_hz()) is not None:
        off = abs(measured / trace.rate_hz - 1)
        reason = f"{measured:.1f} samples a second by the host's clock, {trace.rate_hz:.1f} expected: time is off"
        checks.append(answer("sample rate", off * 1e6, MAX_RATE_ERROR * 1e6, reason, unit="ppm"))
    mean = float(np.nanmean(trace.power_mw)) if np.any(np.isfinite(trace.power_mw)) else float("nan")
    reason = f"a mean power of {mean:.3g} mW: no device that runs a model draws that; is it another unit?"
    least = answer("least power", mean, POWER_MW[0], reason, unit="mW", least=True)
    most = answer("most power", mean, POWER_MW[1], reason, unit="mW")
    return [*checks, least if not least.passed else most]


def _ceiling(evidence: Evidence) -> Check:
    """The sync pulses must show more than the inferences draw: at the top of the trace these may be cut off.

    Whatever the limit is of (meter, supply, converter), nothing lies above it; noise of the meter comes behind it. It
    may move during the run: above their background the pulses on both sides must show more. The median window counts,
    since another load may lift single ones to the top.
    """
    signal, inside = evidence.signal, evidence.in_bursts
    if not np.any(inside):
        return answer("ceiling", float("nan"), 100 * MAX_AT_TOP, "no sample lies within the inferences")
    bursts = evidence.model.bursts
    most = max(1, int(evidence.typical_s / float(bursts.counts.min()) * signal.rate_hz / 4))  # of one inference
    width = int(np.clip((STEADY * signal.noise_mw / max(evidence.power_mw, 1e-9)) ** 2, 1, most))
    smooth, noise_mw = moving_mean(signal.power_mw, width), TOP_SIGMA * signal.noise_mw / math.sqrt(width)
    moments = np.asarray((np.arange(len(smooth)) + 0.5) * signal.period_s, np.float64)
    above: Doubles = smooth - evidence.model.background_mw(moments)
    first, last = (round(float(moment) * signal.rate_hz) for moment in (bursts.starts_s[0], bursts.ends_s[-1]))
    count = max(1, round(SHOWN_S * signal.rate_hz))
    low, top = float(np.median(evidence.model.levels_mw)), _shown(smooth, count)
    both = min(_shown(above[:first], count), _shown(above[last:], count))
    share = max(
        _share_at_top(evidence, inside & (smooth > top - noise_mw - SHARE * (top - low))),
        _share_at_top(evidence, inside & (above > both - noise_mw - SHARE * both)),
    )
    reason = (
        f"{share:.0%} of the samples in the windows are as high as anything in the trace: a limit of the meter or the "
        f"supply may cut them off{_plateau(signal.power_mw, inside)}"
    )
    return answer("ceiling", 100 * share, 100 * MAX_AT_TOP, reason, unit="%")


def _shown(power_mw: Doubles, count: int) -> float:
    """What (n,) mW reach for ``count`` samples, in mW; nothing is shown where there are none."""
    at = max(0, len(power_mw) - count)
    return float(np.partition(power_mw, at)[at]) if len(power_mw) else 0.0


def _share_at_top(evidence: Evidence, at_top: Bools) -> float:
    """Share of the samples in the median window that are ``at_top``, (samples,)."""
    bursts = evidence.model.bursts
    of_windows = [evidence.shares(bursts.starts_s, bursts.ends_s, mask) for mask in (at_top, evidence.in_bursts)]
    return float(np.median(of_windows[0] / np.maximum(of_windows[1], 1e-9)))


def _plateau(power_mw: Doubles, inside: Bools) -> str:
    """In words, how many samples of the windows are equal to the highest."""
    top = float(power_mw[inside].max())
    share = float(np.mean(power_mw[inside] >= top - 1e-6 * abs(top)))
    return f" ({share:.0%} are at exactly {top:.0f} mW)" if share > 0.01 else ""


def _floor(evidence: Evidence) -> Check:
    """A meter that cannot show little shows the same lowest value again and again, and above it what changes."""
    power = evidence.signal.power_mw
    resting = power[evidence.in_gaps]
    if not len(resting):
        return answer("floor", float("nan"), 100 * MAX_AT_FLOOR, "no sample lies within the gaps")
    lowest = float(resting.min())
    share = float(np.mean(resting <= lowest + 1e-6 * abs(lowest)))
    changes = np.diff(power[evidence.in_bursts])
    steady = robust_sd(changes) < STEADY_STEPS * evidence.step_mw if len(changes) else True
    coarse = (evidence.step_mw > SHARE / 10 * evidence.power_mw and steady) or not np.any(changes)
    reason = f"{share:.0%} of the samples in the gaps are at exactly {lowest:.1f} mW: the meter may not show less"
    return answer("floor", 100 * share, 100 * MAX_AT_FLOOR, reason, unit="%", counts=not coarse)


def _coarse(evidence: Evidence) -> Check:
    """Steps of the converter: noise dithers them, without noise each level is off by up to half a step."""
    off = evidence.step_mw / math.sqrt(6) / evidence.power_mw
    reason = f"the meter tells power in steps of {evidence.step_mw:.1f} mW, which is {off:.1%} of the inference's power"
    return answer("steps of the meter", 100 * off, 100 * SHARE, reason, unit="%", counts=not _dithered(evidence))


def _held(evidence: Evidence) -> Check:
    """Of all samples, and of those in the windows: what is cut off there alone repeats itself there alone."""
    repeated = np.diff(evidence.signal.power_mw, prepend=np.nan) == 0
    share, where = float(np.mean(repeated)), ""
    inside = repeated[evidence.in_bursts]
    if len(inside) and float(np.mean(inside)) > share:
        share, where = float(np.mean(inside)), " in the windows"
    reason = f"{share:.0%} of the samples{where} repeat the one before: the meter holds its value, or a limit cuts off"
    in_gaps = _noise(evidence, evidence.in_gaps)  # where most of the trace is held, that has none
    counts = max(evidence.signal.noise_mw, in_gaps) > FINE * evidence.step_mw
    return answer("repeated samples", 100 * share, 100 * MAX_HELD, reason, unit="%", counts=counts)


def _quiet(evidence: Evidence) -> Check:
    """Noise is as large in the windows as in the gaps, at least: a limit behind it takes it away, wherever it lies."""
    in_gaps, inside = _noise(evidence, evidence.in_gaps), _noise(evidence, evidence.in_bursts)
    share = inside / in_gaps if in_gaps > 0 else 1.0
    reason = f"the noise in the windows is {share:.0%} of that in the gaps: a limit of the meter cuts the windows off"
    counts = in_gaps > FINE * evidence.step_mw
    return answer("noise in windows", 100 * share, 100 * LEAST_NOISE, reason, unit="%", least=True, counts=counts)


def _noise(evidence: Evidence, mask: Bools) -> float:
    """Standard deviation of the white noise in mW within ``mask``, (samples,), from neighbours that both lie there."""
    power, pairs = evidence.signal.power_mw, mask[1:] & mask[:-1]
    return robust_sd(np.diff(power)[pairs]) / math.sqrt(2.0)


def _dithered(evidence: Evidence) -> bool:
    return evidence.signal.noise_mw > evidence.step_mw / 2


METER_CHECKS = (_ceiling, _floor, _coarse, _held, _quiet)
