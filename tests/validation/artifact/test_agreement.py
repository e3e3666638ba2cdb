"""The arithmetic of parity against plain numpy and slow counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from validation.artifact.agreement import MOST_DB, compare_arrays, cosine_of, sqnr_db_of

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
