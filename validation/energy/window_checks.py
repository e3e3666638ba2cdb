"""What the windows of the inferences say against a figure: alike, whole, below the meter's limit, and certain."""

from __future__ import annotations

import math

import numpy as np

from validation.energy.estimate import standard_error, without_trend
from validation.energy.evidence import Evidence
from validation.energy.limits import BUDGET, MAX_SPREAD, SHARE, SIGMA, answer, variance_error
from validation.energy.report import Check
from validation.energy.signal import Doubles

MOST_UNCERTAIN = 0.6 * BUDGET  # half of the 95 % interval: 5 % are then more than three standard errors
MAX_SPLIT = 5.5  # distance of two kinds over the spread in each: one kind, normal, cut anywhere gives 2.7
RESTLESS = 0.6  # of the windows' variance: loads that come at random make gaps vary by as much or more
MAX_GAP_SPREAD = 0.09  # of the power: a background that swings at the run's own pace spreads gaps and windows unlike
SINGLE_SIGMA = 6.0  # of what gaps vary by: not one control in all runs lies there by chance
LEAST_OVERHEAD = 0.1  # of a short burst: a ramp of a third of it from half of the power takes 8 %
MIN_LONGER = 0.1  # of the mean length: what two kinds of windows must change it by
MAX_VOID = 0.2  # of the windows
SHORT_GAPS = 25.0  # percentile: in gaps that are shorter the block is as long as their quiet part, which is noise only
MAX_TREND = 2 * BUDGET  # of the power over the run: a load that grows from nothing to so much adds half of it


def _empty(evidence: Evidence) -> Check:
    bursts = evidence.model.bursts
    power = bursts.energy_mj / bursts.durations_s
    silent = np.flatnonzero((power < 0.5 * float(np.median(power))) & bursts.whole)
    where = f"{silent[0] + 1} of the stamps ({len(silent)} such windows)" if len(silent) else ""
    return answer("empty windows", len(silent), 0, f"no inference in window {where}")


def _off_shares(evidence: Evidence) -> Doubles:
    """(n,): what the power of each window is off the common one, without a trend, as a share.

    Power, and not energy: inferences take their own time. Bursts of two lengths may cost something besides.
    """
    used, bursts = evidence.estimate.used, evidence.model.bursts
    lasting, off = bursts.durations_s[used], evidence.estimate.off_mj[used]
    if evidence.estimate.overhead_mj is not None:
        off = bursts.energy_mj[used] - np.polyval(np.polyfit(lasting, bursts.energy_mj[used], 1), lasting)
    return without_trend(off / (lasting * evidence.power_mw))


def _rest_shares(evidence: Evidence) -> Doubles:
    """(m,): what windows without a model would show: the middle of each gap above its neighbours, as a share."""
    model = evidence.model
    inside = (model.level_times_s > model.bursts.starts_s[0]) & (model.level_times_s < model.bursts.ends_s[-1])
    times, levels = model.level_times_s[inside], model.levels_mw[inside]
    if len(times) < 3:
        return np.zeros(0)
    ends = np.append(model.gaps.ends_s, np.inf)[np.searchsorted(model.gaps.ends_s, times)]  # of the gap around each
    half_s = min(evidence.typical_s / 2, float(np.percentile(ends - times, SHORT_GAPS)))
    lows, highs = np.maximum(times - half_s, 2 * times - ends), np.minimum(times + half_s, ends)
    block = evidence.signal.means_mw(lows, highs)[1:-1]
    share: Doubles = (block - (levels[:-2] + levels[2:]) / 2) / evidence.power_mw
    return share[np.isfinite(share)]


def _spread(evidence: Evidence) -> Check:
    """Power may differ between windows by what it differs by between gaps, and a little more."""
    windows, gaps = _off_shares(evidence), _rest_shares(evidence)
    more = float(np.var(windows)) - (float(np.var(gaps)) if len(gaps) else 0.0)
    error = math.hypot(variance_error(windows), variance_error(gaps))
    spread = math.sqrt(max(more, 0.0))
    reason = f"the inferences' power spreads by {spread:.1%}: something else runs in some of them, or it runs unlike"
    return answer("spread", 100 * spread, 100 * MAX_SPREAD, reason, unit="%", counts=more > SIGMA * error)


def _trend(evidence: Evidence) -> Check:
    """The inferences' power is the same from the first to the last; what grows in the windows may be another load."""
    bursts, used = evidence.model.bursts, evidence.estimate.used
    off = evidence.estimate.off_mj[used] / (bursts.durations_s[used] * evidence.power_mw)
    order = np.linspace(-0.5, 0.5, len(off))
    grown = float(order @ off) / max(float(order @ order), 1e-12)
    rest = off - off.mean() - grown * order
    error = standard_error(order * rest / max(float(order @ order), 1e-12), max(1, len(off) - 2))
    reason = (
        f"the inferences' power changes by {grown:+.1%} over the run: the device heats up (warm up longer, leave long "
        "gaps), or something else grows in the windows"
    )
    return answer("trend", 100 * abs(grown), 100 * MAX_TREND, reason, unit="%", counts=abs(grown) > SIGMA * error)


def _gap_spread(evidence: Evidence) -> Check:
    """Gaps may differ from their neighbours no more than windows do: a load that fills some gaps only makes them."""
    power = (evidence.model.bursts.energy_mj / evidence.model.bursts.durations_s)[evidence.estimate.used]
    raw = power + evidence.model.background_mw(evidence.model.bursts.starts_s[evidence.estimate.used])
    windows = (raw[1:-1] - (raw[:-2] + raw[2:]) / 2) / evidence.power_mw
    gaps = _rest_shares(evidence)
    more = float(np.var(gaps) - np.var(windows)) if len(gaps) and len(windows) else 0.0
    error = math.hypot(variance_error(windows), variance_error(gaps))
    spread = math.sqrt(max(more, 0.0))
    reason = (
        f"the gaps spread by {spread:.1%} of the inference's power, the windows do not: a load fills some gaps only"
    )
    return answer("spread of gaps", 100 * spread, 100 * MAX_GAP_SPREAD, reason, unit="%", counts=more > SIGMA * error)


def _kinds(evidence: Evidence) -> Check:
    """Windows of two kinds, told by a distance far above the spread within each, unless gaps are as much of two."""
    windows, gaps = _off_shares(evidence), _rest_shares(evidence)
    split, extra = _split(windows)
    restless = len(gaps) > 0 and float(np.var(gaps)) > RESTLESS * float(np.var(windows)) and _split(gaps)[0] > split / 2
    reason = f"the windows are of two kinds, {extra:.1%} of the energy apart: something else runs in some of them"
    return answer(
        "kinds of windows",
        split,
        MAX_SPLIT,
        reason,
        counts=extra > SHARE and not restless,
    )


def _split(values: Doubles) -> tuple[float, float]:
    """How far apart the two parts of (n,) values are, cut where they are most: in standard deviations within the parts.

    Besides, what the upper part adds to the mean. Each part holds two values or more.
    """
    ordered = np.sort(values)
    count = len(ordered)
    best = (0.0, 0.0)
    for cut in range(2, count - 1):
        low, high = ordered[:cut], ordered[cut:]
        within = math.sqrt((low.var() * len(low) + high.var() * len(high)) / count)
        distance = float(high.mean() - low.mean())
        split = distance / max(within, 1e-12)
        if split > best[0]:
            best = (split, distance * len(high) / count)
    return best


def _lasting(evidence: Evidence) -> Check:
    """Inferences take about as long as each other; windows of two lengths hold different numbers of them."""
    bursts = evidence.model.bursts
    each = np.log(bursts.durations_s / bursts.counts)
    split, extra = _split(each)
    low, high = math.exp(float(each.min())) * 1e3, math.exp(float(each.max())) * 1e3
    reason = f"inferences take {low:.1f} or {high:.1f} ms: do all windows hold as many as the stamps say?"
    return answer("kinds of lengths", split, MAX_SPLIT, reason, counts=extra > MIN_LONGER)


def _void(evidence: Evidence) -> Check:
    share = 1 - float(np.mean(evidence.model.bursts.whole))
    reason = f"{share:.0%} of the windows hold holes of more than a fifth of their length (at most {MAX_VOID:.0%})"
    return answer("windows with holes", 100 * share, 100 * MAX_VOID, reason, unit="%")


def _missing(evidence: Evidence) -> Check:
    """Samples may be missing anywhere, but not in the windows more than in the gaps: a meter may lose what is high."""
    bursts, gaps, signal = evidence.model.bursts, evidence.model.gaps, evidence.signal
    in_windows = float(np.average(bursts.missing, weights=bursts.durations_s))
    lost = signal.missing_share(gaps.starts_s, gaps.ends_s) * gaps.lengths_s
    in_gaps = float(lost.sum()) / max(float(gaps.lengths_s.sum()), signal.period_s)
    samples = max(float(bursts.durations_s.sum()) * signal.rate_hz, 1.0)
    error = math.sqrt(max(in_gaps, 1 / samples) / samples) * math.sqrt(10.0)  # losses come in runs
    more = in_windows - in_gaps
    reason = f"{in_windows:.1%} of the samples are missing in the windows, {in_gaps:.1%} in the gaps"
    return answer("missing samples", 100 * more, 100 * SHARE, reason, unit="%", counts=more > SIGMA * error)


def _controls(evidence: Evidence) -> Check | None:
    """Windows in which the model did not run draw nothing, all together and each: gaps say what chance puts there."""
    windows, rest = evidence.model.controls, _rest_shares(evidence)
    if not len(windows.counts):
        return None
    kept = windows.energy_mj[windows.whole] / windows.durations_s[windows.whole]
    if not len(kept) or not len(rest):
        reason = "no control was measured, or no gap that tells what chance puts into one"
        return answer("controls", float("nan"), 100 * SHARE, reason, unit="%")
    shares, by_chance = kept / evidence.power_mw, float(np.std(rest))
    mean, most = float(shares.mean()), float(shares.max())
    sure = abs(mean) > SIGMA * by_chance / math.sqrt(len(shares))
    single = most > max(BUDGET, SINGLE_SIGMA * by_chance)
    reason = (
        f"windows in which the model did not run draw {mean * evidence.power_mw:+.0f} mW, one of them "
        f"{most * evidence.power_mw:+.0f} mW: something else keeps the run's schedule"
    )
    value = max(abs(mean), most * SHARE / BUDGET if single else 0.0)
    return answer("controls", 100 * value, 100 * SHARE, reason, unit="%", counts=sure or single)


def _overhead(evidence: Evidence) -> Check | None:
    """A burst may cost more than its inferences, and a little less where clocks come up first; not much less."""
    estimate = evidence.estimate
    if estimate.overhead_mj is None or estimate.overhead_half_mj is None:
        return None
    shortest_mj = estimate.energy_mj * evidence.stamps.inferences_per_burst
    share = estimate.overhead_mj / shortest_mj if shortest_mj > 0 else float("nan")
    sure = estimate.overhead_mj + estimate.overhead_half_mj < -LEAST_OVERHEAD * shortest_mj
    reason = f"a short burst costs {-share:.0%} less than its inferences in a long one: power changes within bursts"
    return answer("overhead", 100 * share, -100 * LEAST_OVERHEAD, reason, unit="%", least=True, counts=sure)


def _uncertain(evidence: Evidence) -> Check:
    estimate = evidence.estimate
    share = estimate.half_mj / estimate.energy_mj if estimate.energy_mj > 0 else float("inf")
    bursts = int(estimate.used.sum())
    enough = math.ceil(bursts * (share / MOST_UNCERTAIN) ** 2) if math.isfinite(share) else 0
    reason = f"the figure is known to {share:.1%} only (at most {MOST_UNCERTAIN:.1%}): {enough} bursts would tell"
    if estimate.energy_mj <= 0:
        reason = "the inferences draw no more than the background"
    return answer("uncertainty", 100 * share, 100 * MOST_UNCERTAIN, reason, unit="%")


WINDOW_CHECKS = (
    _empty, _spread, _trend, _gap_spread, _kinds, _lasting, _void, _missing, _controls, _overhead, _uncertain,
)  # fmt: skip
