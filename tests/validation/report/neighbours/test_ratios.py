"""Ratios as printed and as measured, and what one says of the other: hand-computed cases."""

from __future__ import annotations

import math

import pytest
from paper_records import paper_run

from edgevit.paper import LatencyRow, paper_tables, reported
from validation.latency.compare import Outcome
from validation.report.neighbours.ratios import MeasuredRatio, agreement, measured_ratio, meet, reported_ratio
from validation.report.rows import Agreement, Ratio


def row(model: str) -> LatencyRow:
    return reported(2, paper_tables().table_2, model)


def test_the_papers_ratio_has_the_interval_of_two_means_of_fifty_runs() -> None:
    """DeiT 46.2 ± 13.6 over XXS 32.8 ± 2.7: relative errors 13.6 / 46.2 / sqrt 50 and 2.7 / 32.8 / sqrt 50."""
    found = reported_ratio(row("EdgeViT-XXS"), row("DeiT-Tiny"))
    relative = math.hypot(0.29437 / 7.07107, 0.08232 / 7.07107)
    assert found.value == pytest.approx(1.40854, rel=1e-4)
    assert found.low == pytest.approx(1.40854 * math.exp(-1.95996 * relative), rel=1e-3)
    assert found.high == pytest.approx(1.40854 * math.exp(1.95996 * relative), rel=1e-3)
    assert (round(found.low, 2), round(found.high, 2)) == (1.29, 1.53)


def test_mobilenet_v2_is_as_fast_as_xxs_in_the_paper() -> None:
    found = reported_ratio(row("EdgeViT-XXS"), row("MobileNet-v2"))
    assert found.low < 1 < found.high


def test_a_measured_ratio_is_the_second_over_the_first_whatever_their_inputs() -> None:
    found = measured_ratio(paper_run("EdgeViT-XXS", 10.0), paper_run("MobileViT-XXS", 21.0))
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(2.1, rel=0.02)
    assert found.ratio.low < 2.1 < found.ratio.high
    assert (found.outcome, found.reasons, found.in_turns) == (Outcome.SLOWER, (), True)


def test_records_of_two_days_are_not_in_turns() -> None:
    later = paper_run("MobileViT-XXS", 21.0, started="2026-01-02T00:00:00+00:00")
    found = measured_ratio(paper_run("EdgeViT-XXS", 10.0), later)
    assert found.ratio is not None
    assert not found.in_turns


def test_a_failed_record_has_no_ratio_but_a_reason() -> None:
    found = measured_ratio(paper_run("EdgeViT-XXS", 10.0), paper_run("DeiT-Tiny", 21.0, suspended_ns=5_000_000))
    assert found.ratio is None
    assert "suspended" in found.reasons[0]


HERE_FASTER = MeasuredRatio(Ratio(value=0.8, low=0.7, high=0.9), Outcome.FASTER, (), True)
HERE_SLOWER = MeasuredRatio(Ratio(value=1.5, low=1.4, high=1.6), Outcome.SLOWER, (), True)
HERE_SAME = MeasuredRatio(Ratio(value=1.0, low=0.98, high=1.02), Outcome.SAME, (), True)
HERE_LOOSE = MeasuredRatio(Ratio(value=1.0, low=0.8, high=1.2), Outcome.SAME, (), True)
NOTHING = MeasuredRatio(None, Outcome.UNDECIDED, ("failed",), True)
THERE_SLOWER = Ratio(value=2.0, low=1.9, high=2.1)
THERE_FASTER = Ratio(value=0.5, low=0.4, high=0.6)
THERE_OPEN = Ratio(value=1.01, low=0.96, high=1.06)


@pytest.mark.parametrize(
    ("there", "here", "verdict"),
    [
        (THERE_SLOWER, HERE_SLOWER, Agreement.HOLDS),
        (THERE_SLOWER, HERE_FASTER, Agreement.FAILS),
        (THERE_SLOWER, HERE_SAME, Agreement.UNDECIDED),
        (THERE_FASTER, HERE_FASTER, Agreement.HOLDS),
        (THERE_FASTER, HERE_SLOWER, Agreement.FAILS),
        (THERE_FASTER, NOTHING, Agreement.UNMEASURED),
        (THERE_OPEN, HERE_SAME, Agreement.HOLDS),
        (THERE_OPEN, HERE_LOOSE, Agreement.UNDECIDED),
        (THERE_OPEN, HERE_FASTER, Agreement.FAILS),
        (THERE_OPEN, NOTHING, Agreement.UNMEASURED),
    ],
)
def test_verdicts(there: Ratio, here: MeasuredRatio, verdict: Agreement) -> None:
    assert agreement(there, here) is verdict


def test_intervals_meet_where_they_have_a_point_in_common() -> None:
    assert meet(Ratio(value=1, low=0, high=2), Ratio(value=2, low=2, high=3))
    assert not meet(Ratio(value=1, low=0, high=1.9), Ratio(value=2, low=2, high=3))
    assert not meet(Ratio(value=2, low=2, high=3), Ratio(value=1, low=0, high=1.9))
