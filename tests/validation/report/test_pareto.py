"""Pareto fronts against their definition."""

import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from validation.report.pareto import dominators

# Few distinct numbers, so that ties happen.
POINTS = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=12)


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def front_of_points(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted(point for point, by in zip(points, dominators(points), strict=True) if by is None)


@given(POINTS)
def test_a_point_is_dominated_exactly_when_some_other_point_dominates_it(points: list[tuple[float, float]]) -> None:
    for point, by in zip(points, dominators(points), strict=True):
        assert (by is not None) == any(dominates(other, point) for other in points)
        if by is not None:
            assert dominates(points[by], point)


@given(POINTS)
@example([(1.0, 5.0), (2.0, 4.0), (2.0, 6.0), (3.0, 6.0), (3.0, 1.0)])
def test_who_dominates_is_on_the_front_and_the_most_accurate_that_costs_no_more(
    points: list[tuple[float, float]],
) -> None:
    found = dominators(points)
    for point, by in zip(points, found, strict=True):
        if by is not None:
            assert found[by] is None
            assert points[by][1] == max(value for cost, value in points if cost <= point[0])


@given(POINTS, st.randoms())
def test_the_front_rises_in_both_and_does_not_depend_on_the_order(
    points: list[tuple[float, float]], random: Random
) -> None:
    distinct = list(dict.fromkeys(front_of_points(points)))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(distinct))
    assert front_of_points(random.sample(points, len(points))) == front_of_points(points)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_cannot_be_compared_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        dominators([(1.0, 2.0), (bad, 3.0)])
