"""Latencies over one another: as the paper prints them, and as two records have them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevit.paper import LatencyRow
from runtimes.bench.record import DeviceRun
from validation.latency.compare import Outcome, compare_runs
from validation.report.rows import Agreement, Ratio
from validation.statistics import Z95

PAPER_RUNS = 50  # of which Table 2 prints mean and deviation
_OTHER_NETWORKS = ("network", "input")  # what the two are to differ in


@dataclass(frozen=True)
class MeasuredRatio:
    """The second record over the first; ``ratio`` is None where the two cannot be compared, for ``reasons``.

    ``outcome`` is what the second is; ``in_turns`` whether the two were measured in turns.
    """

    ratio: Ratio | None
    outcome: Outcome
    reasons: tuple[str, ...]
    in_turns: bool


def reported_ratio(first: LatencyRow, second: LatencyRow) -> Ratio:
    """The second latency over the first, as Table 2 prints them, with the 95 % interval of the ratio of the means.

    The runs are taken as independent, since their order is not printed: it is the least that the uncertainty can be.
    """
    parts = [(row.latency_std_ms / row.latency_ms) ** 2 / PAPER_RUNS for row in (first, second)]
    value, factor = second.latency_ms / first.latency_ms, math.exp(Z95 * math.sqrt(sum(parts)))
    return Ratio(value=value, low=value / factor, high=value * factor)


def measured_ratio(first: DeviceRun, second: DeviceRun) -> MeasuredRatio:
    """The second record's median over the first's; two networks, measured on one device in one way."""
    compared = compare_runs(first, second, allow=_OTHER_NETWORKS)
    value, low, high = compared.ratio, compared.ratio_low, compared.ratio_high
    ratio = None if value is None or low is None or high is None else Ratio(value=value, low=low, high=high)
    return MeasuredRatio(ratio, compared.outcome, compared.reasons, _in_turns(first, second))


def _in_turns(first: DeviceRun, second: DeviceRun) -> bool:
    """Whether each record begins before the other's last round does, as in a bench that takes both in every round."""
    if not first.rounds or not second.rounds:
        return False
    return all(
        one.rounds[0].started_utc <= other.rounds[-1].started_utc for one, other in ((first, second), (second, first))
    )


def agreement(reported: Ratio, measured: MeasuredRatio) -> Agreement:
    """Whether the order of two latencies is the paper's.

    Where the paper's interval leaves the order open, the two are as fast as each other there: that holds where the
    measured interval lies within the paper's, and does not where the two have nothing in common.
    """
    ratio = measured.ratio
    if ratio is None:
        return Agreement.UNMEASURED
    if reported.low <= 1 <= reported.high:
        if reported.low <= ratio.low and ratio.high <= reported.high:
            return Agreement.HOLDS
        return Agreement.UNDECIDED if meet(reported, ratio) else Agreement.FAILS
    if measured.outcome not in (Outcome.FASTER, Outcome.SLOWER):
        return Agreement.UNDECIDED
    return Agreement.HOLDS if (measured.outcome is Outcome.SLOWER) == (reported.value > 1) else Agreement.FAILS


def meet(first: Ratio, second: Ratio) -> bool:
    """Whether two intervals have anything in common."""
    return first.low <= second.high and second.low <= first.high
