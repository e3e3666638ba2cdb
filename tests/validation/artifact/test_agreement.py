"""The arithmetic of parity against plain numpy and slow counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from validation.artifact.agreement import (
    MOST_DB,
    InputParity,
    compare_arrays,
    cosine_of,
    sqnr_db_of,
    yardstick_floor,
)

finite = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: value if abs(value) > 1e-6 else 0.0)


pairs = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, (2, *shape), elements=finite), hnp.arrays(np.float64, (2, *shape), elements=finite)
    )
)


@given(pairs, st.floats(1e-6, 1.0))
def test_numbers_are_those_of_plain_numpy(pair: tuple[np.ndarray, np.ndarray], yardstick: float) -> None:
    answer, reference = pair
    rows = compare_arrays("y", answer, reference, ["a", "b"], yardstick, 1)
    assert len(rows) == 2
    for i, row in enumerate(rows):
        error = np.abs(answer[i] - reference[i])
        assert row.max_abs_error == pytest.approx(error.max())
        assert row.mean_abs_error == pytest.approx(error.mean())
        assert row.multiple == pytest.approx(error.max() / yardstick)
        noise, signal = (error**2).sum(), (reference[i] ** 2).sum()
        if noise and signal:
            assert row.sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=1e-6)
        a, b = answer[i].ravel(), reference[i].ravel()
        if a.any() and b.any():
            assert row.cosine == pytest.approx(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), abs=1e-9)


@given(hnp.arrays(np.float64, (1, 8), elements=st.integers(-3, 3).map(float), unique=False), st.permutations(range(8)))
def test_classes_agree_with_a_slow_count_and_forgive_ties(reference: np.ndarray, order: list[int]) -> None:
    answer = reference[:, order]
    row = compare_arrays("y", answer, reference, ["a"], 1.0, 1)[0]
    best = sorted(reference[0], reverse=True)
    assert row.margin == best[0] - best[1]
    chosen = max(range(8), key=lambda k: (answer[0, k], -k))
    assert row.top1_equal == (reference[0, chosen] == best[0])
    five = sorted(range(8), key=lambda k: (-answer[0, k], k))[:5]
    assert row.top5_overlap == sum(reference[0, k] >= best[4] for k in five) / 5


def test_sqnr_and_cosine_at_their_edges() -> None:
    zero, one, huge = np.zeros(3), np.ones(3), np.full(3, 1e300)
    assert (sqnr_db_of(zero, zero), cosine_of(zero, zero)) == (MOST_DB, 1.0)
    assert (sqnr_db_of(one, zero), cosine_of(one, zero), cosine_of(zero, one)) == (0.0, 0.0, 0.0)
    assert (sqnr_db_of(zero, huge), cosine_of(-huge, huge)) == (0.0, pytest.approx(-1.0))


def test_the_floor_is_half_a_float32_step_at_the_largest_value() -> None:
    assert yardstick_floor(np.array([[1.0, -4.0], [2.0, 3.0]])) == 2.0**-22  # float32 steps by 2**-21 at 4
    assert yardstick_floor(np.array([[1.0, np.inf], [np.nan, -2.0]])) == 2.0**-23
    for nothing in (np.zeros((2, 3)), np.zeros((0, 3)), np.full((1, 2), np.nan)):
        assert yardstick_floor(nothing) == float(np.finfo(np.float32).tiny)


def test_sqnr_is_a_ratio_of_lengths_within_its_bounds() -> None:
    one = np.array([3.0, 4.0])  # length 5
    assert sqnr_db_of(one + np.array([0.0, 0.05]), one) == pytest.approx(40.0)
    assert sqnr_db_of(one + np.array([0.0, 50.0]), one) == pytest.approx(-20.0)
    assert sqnr_db_of(np.array([1e200, 0.0]), one) == -300.0
    tiny = np.array([1e-300, 1e-320])
    assert sqnr_db_of(tiny, np.array([1e-300, 0.0])) == 300.0
    assert sqnr_db_of(1.1 * one * 1e-200, one * 1e-200) == pytest.approx(20.0)
    assert cosine_of(one * 1e-200, np.array([-4.0, 3.0]) * 1e200) == pytest.approx(0.0, abs=1e-15)


def row(answer: list[float], reference: list[float]) -> InputParity:
    return compare_arrays("y", np.array([answer]), np.array([reference]), ["a"], 0.5, 3)[0]


def test_values_that_are_not_finite_count_as_zeros_and_never_as_the_right_class() -> None:
    nan, inf = float("nan"), float("inf")
    assert (row([1.0, 4.0], [1.0, 4.0]).top1_equal, row([1.0, 4.0], [1.0, 4.0]).non_finite) == (True, 0)
    for answer, reference, error in (
        ([nan, 4.0], [1.0, 4.0], 1.0),
        ([1.0, inf], [1.0, 4.0], 4.0),
        ([1.0, 4.0], [nan, 4.0], 0.0),
    ):
        found = row(answer, reference)
        assert (found.non_finite, found.top1_equal, found.max_abs_error) == (1, False, error)
        assert (found.mean_abs_error, found.multiple, found.batch) == (error / 2, 2 * error, 3)
    assert row([nan, nan], [1.0, 4.0]).non_finite == 2


def test_classes_are_those_of_vectors_of_two_or_more() -> None:
    assert (row([2.0], [2.0]).margin, row([2.0], [2.0]).top1_equal) == (None, None)
    planes = compare_arrays("y", np.full((1, 2, 2), np.nan), np.ones((1, 2, 2)), ["a"], 1.0, 1)[0]
    assert (planes.margin, planes.top1_equal, planes.top5_overlap, planes.non_finite) == (None, None, None, 4)
    two = row([1.0, 2.0], [5.0, 2.0])
    assert (two.margin, two.top1_equal, two.top5_overlap) == (3.0, False, 1.0)
    six = row([6.0, 5.0, 4.0, 3.0, 0.0, 2.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert (six.margin, six.top1_equal, six.top5_overlap) == (1.0, True, 0.8)


def test_an_empty_output_has_no_error() -> None:
    empty = compare_arrays("y", np.zeros((1, 0)), np.zeros((1, 0)), ["a"], 1.0, 1)[0]
    assert (empty.max_abs_error, empty.mean_abs_error, empty.sqnr_db, empty.cosine) == (0.0, 0.0, MOST_DB, 1.0)


def test_each_input_may_have_a_unit_of_its_own() -> None:
    answer, reference = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    rows = compare_arrays("y", answer, reference, ["a", "b"], np.array([0.5, 4.0]), 1)
    assert [row.multiple for row in rows] == [2.0, 0.25]
