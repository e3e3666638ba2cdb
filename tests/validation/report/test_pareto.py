"""Fronts against their definition, and the paper's own."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.report.paper import paper_report_tables
from validation.report.pareto import dominators, front
from validation.report.rows import Accuracy, Cost, Metric, Quantity, ReportRow, front_models, with_standings

# Few distinct numbers, so that ties happen.
POINTS = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=12)


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(POINTS)
def test_a_point_is_dominated_exactly_when_some_other_point_dominates_it(points: list[tuple[float, float]]) -> None:
    for point, by in zip(points, dominators(points), strict=True):
        assert (by is not None) == any(dominates(other, point) for other in points)
        if by is not None:
            assert dominates(points[by], point)


@given(POINTS)
def test_who_dominates_is_on_the_front_and_the_most_accurate_that_costs_no_more(
    points: list[tuple[float, float]],
) -> None:
    found = dominators(points)
    for point, by in zip(points, found, strict=True):
        if by is not None:
            assert found[by] is None
            assert points[by][1] == max(value for cost, value in points if cost <= point[0])


@given(POINTS, st.randoms())
def test_the_front_rises_in_both_and_does_not_depend_on_the_order(points: list[tuple[float, float]], random) -> None:  # type: ignore[no-untyped-def]
    on_front = [points[index] for index in front(points)]
    assert on_front == sorted(on_front)
    distinct = list(dict.fromkeys(on_front))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(distinct))
    shuffled = random.sample(points, len(points))
    assert [shuffled[index] for index in front(shuffled)] == on_front


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_cannot_be_compared_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        dominators([(1.0, 2.0), (bad, 3.0)])


FRONTS = {
    ("paper-table-2", Cost.LATENCY): [
        "MobileNet-v3-0.75", "EdgeViT-XXS", "EfficientNet-B0", "EdgeViT-XS", "LeViT-384†", "EdgeViT-S",
    ],
    ("paper-table-3", Cost.ENERGY): [
        "MobileNet-v3-0.75", "EdgeViT-XXS", "EfficientNet-B0", "EdgeViT-XS", "PVT-v2-B1", "EdgeViT-S",
    ],
    ("paper-table-7", Cost.LATENCY): ["ResNet18", "EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
    ("paper-table-7", Cost.ENERGY): ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
    ("paper-table-8", Cost.LATENCY): ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
    ("paper-table-8", Cost.ENERGY): ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
}  # fmt: skip


@pytest.mark.parametrize(("slug", "cost"), FRONTS, ids=str)
def test_the_papers_fronts_come_out_of_its_tables(slug: str, cost: Cost) -> None:
    (table,) = (table for table in paper_report_tables() if table.slug == slug)
    assert cost in table.plots
    assert front_models(table, cost) == FRONTS[slug, cost]


def test_the_paper_prints_efficiencies_that_follow_from_its_accuracy_and_energy() -> None:
    """Within its rounding: LeViT's 0.173 against 79.5 / 455.2 = 0.1746 is the farthest off."""
    seen = 0
    for table in paper_report_tables():
        for row in table.rows:
            if row.efficiency is not None and row.energy_mj is not None and row.accuracy is not None:
                seen += 1
                assert row.efficiency == pytest.approx(row.accuracy.value / row.energy_mj.mean, abs=0.002)
    assert seen == 17 + 7 + 7


def row(model: str, latency: float | None, accuracy: float | None, status: str = "valid") -> ReportRow:
    return ReportRow(
        model=model,
        latency_ms=None if latency is None else Quantity(mean=latency),
        accuracy=None if accuracy is None else Accuracy(metric=Metric.TOP1, value=accuracy, kind="stated"),
        latency_status=status,
    )


def test_failed_rows_neither_stand_on_a_front_nor_push_others_off() -> None:
    rows = with_standings([row("good", 10, 70), row("wrong", 1, 99, "failed"), row("noisy", 20, 60, "noisy")])
    standings = {each.model: each.latency_standing for each in rows}
    assert standings["wrong"] is None
    assert standings["good"] is not None and standings["good"].on_front
    assert standings["noisy"] is not None and standings["noisy"].dominated_by == "good"


def test_rows_without_accuracy_or_cost_stand_in_no_comparison() -> None:
    rows = with_standings([row("a", 10, None), row("b", None, 70), row("c", 30, 60)])
    assert [each.latency_standing is not None for each in rows] == [False, False, True]
    assert all(each.energy_standing is None for each in rows)
