"""Properties that the statistics must have, and agreement with scipy where it has the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from validation.statistics import (
    MAX_EXACT,
    bootstrap_interval,
    interval_of,
    outliers,
    pooled,
    rank_test,
    resample,
    robust_sd,
    student_quantile,
    trend,
    widened,
)

values = arrays(np.float64, st.integers(3, 60), elements=st.floats(0.1, 1e4))


@given(first=values, second=values)
def test_rank_test_is_scipys(first: np.ndarray, second: np.ndarray) -> None:
    if len(np.unique(np.concatenate([first, second]))) == 1:
        assert rank_test(first, second) == 1.0
        return
    assume(len(first) + len(second) > MAX_EXACT)
    expected = stats.mannwhitneyu(first, second, method="asymptotic").pvalue
    assert rank_test(first, second) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(values=st.lists(st.floats(0.1, 1e4), min_size=2, max_size=MAX_EXACT, unique=True), data=st.data())
def test_rank_test_of_few_is_scipys_exact_one(values: list[float], data: st.DataObject) -> None:
    split = data.draw(st.integers(1, len(values) - 1))
    first, second = np.array(values[:split]), np.array(values[split:])
    expected = stats.mannwhitneyu(first, second, method="exact").pvalue
    assert rank_test(first, second) == pytest.approx(expected, rel=1e-9)


def test_rank_test_of_few_with_ties_is_the_share_of_all_ways_to_share_them_out() -> None:
    first, second = np.array([1.0, 1.0, 2.0]), np.array([2.0, 3.0, 3.0])
    by_chance = stats.permutation_test(
        (first, second), lambda a, b, axis: stats.rankdata(np.concatenate([a, b], axis), axis=axis)[..., :3].sum(axis),
        permutation_type="independent", n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    assert rank_test(first, second) == pytest.approx(by_chance.pvalue)


@given(samples=values)
def test_trend_is_scipys_slope(samples: np.ndarray) -> None:
    slope = stats.theilslopes(samples).slope
    assert trend(samples).growth == pytest.approx(slope * (len(samples) - 1) / np.median(samples), rel=1e-9, abs=1e-9)


@given(samples=values, factor=st.floats(0.01, 100))
def test_trend_does_not_depend_on_the_unit(samples: np.ndarray, factor: float) -> None:
    assert trend(samples * factor).growth == pytest.approx(trend(samples).growth, rel=1e-6, abs=1e-9)


@given(samples=values)
def test_trend_turns_round_with_time(samples: np.ndarray) -> None:
    forward, backward = trend(samples), trend(samples[::-1])
    assert forward.growth == pytest.approx(-backward.growth, rel=1e-9, abs=1e-9)
    assert forward.p_value == pytest.approx(backward.p_value)


def test_trend_is_seen_and_noise_is_not() -> None:
    generator = np.random.default_rng(1)
    noise = generator.normal(10, 0.2, 50)
    assert trend(noise).p_value > 0.01
    rising = noise + np.linspace(0, 2, 50)
    assert trend(rising).p_value < 1e-6
    assert trend(rising).growth == pytest.approx(2 / 11, rel=0.2)


def test_trend_of_many_samples_is_that_of_few() -> None:
    rising = np.linspace(10, 12, 20_000) + np.random.default_rng(2).normal(0, 0.1, 20_000)
    assert trend(rising).growth == pytest.approx(2 / 11, rel=0.02)


@given(samples=values, seed=st.integers(0, 100))
def test_interval_holds_the_median_and_is_the_same_again(samples: np.ndarray, seed: int) -> None:
    low, high = bootstrap_interval([samples], np.median, seed=seed, resamples=200)
    assert low <= np.median(samples) <= high
    assert (low, high) == bootstrap_interval([samples], np.median, seed=seed, resamples=200)


def test_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    samples = np.random.default_rng(3).normal(100, 5, 50)
    low, high = bootstrap_interval([samples], np.mean, seed=0)
    assert low < samples.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 5 / np.sqrt(50), rel=0.3)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for seed in range(200):
        low, high = bootstrap_interval([generator.exponential(1.0, 50)], np.median, seed=seed, resamples=400)
        covered += low <= np.log(2) <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_is_wider_when_rounds_differ() -> None:
    generator = np.random.default_rng(4)
    offsets = [-0.5, -0.2, 0.0, 0.3, 0.6]
    rounds = [generator.normal(10 + offset, 0.05, 10) for offset in offsets]
    shuffled = generator.permutation(np.concatenate(rounds)).reshape(5, 10)
    low, high = bootstrap_interval(rounds, np.median, seed=0)
    other_low, other_high = bootstrap_interval(list(shuffled), np.median, seed=0)
    assert high - low > 1.3 * (other_high - other_low)


def test_rounds_of_unequal_size_and_empty_rounds() -> None:
    low, high = bootstrap_interval([np.ones(5), np.ones(3)], np.median, seed=0)
    assert (low, high) == (1.0, 1.0)
    with pytest.raises(ValueError, match="without samples"):
        bootstrap_interval([np.ones(5), np.ones(0)], np.median, seed=0)


@given(samples=values)
def test_robust_sd_is_scipys(samples: np.ndarray) -> None:
    expected = stats.median_abs_deviation(samples, scale="normal")
    assert robust_sd(samples) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@given(samples=arrays(np.float64, st.integers(10, 40), elements=st.floats(9.9, 10.1)))
def test_outliers_are_what_lies_far_away(samples: np.ndarray) -> None:
    assert outliers(samples) == 0
    assert outliers(np.append(samples, 30.0)) == 1


@given(groups=st.lists(arrays(np.float64, st.integers(1, 20), elements=st.floats(1, 100)), min_size=1, max_size=5))
def test_pooled_is_what_all_samples_together_give(groups: list[np.ndarray]) -> None:
    mean, deviation = pooled([len(g) for g in groups], [g.mean() for g in groups], [g.std() for g in groups])
    joined = np.concatenate(groups)
    assert mean == pytest.approx(joined.mean())
    assert deviation == pytest.approx(joined.std(), abs=1e-6)


def test_a_trend_needs_three_points_and_a_centre() -> None:
    assert (trend(np.array([1.0, 5.0])).growth, trend(np.array([1.0, 5.0])).p_value) == (0.0, 1.0)
    assert trend(np.array([1.0, 2.0, 3.0])).growth == 1.0
    assert trend(np.array([-1.0, 0.0, 1.0])).growth == 0.0


@given(samples=arrays(np.float64, st.integers(3, 60), elements=st.integers(0, 8).map(float)))
def test_trend_has_kendalls_p_with_ties(samples: np.ndarray) -> None:
    """By the pairs themselves, with the continuity correction: Kendall's rank correlation methods, 1970."""
    n = len(samples)
    score = sum(np.sign(samples[j] - samples[i]) for i in range(n) for j in range(i + 1, n))
    groups = np.unique(samples, return_counts=True)[1]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in groups.tolist())) / 18
    expected = 1.0 if variance <= 0 else 2 * stats.norm.sf(max(abs(score) - 1, 0) / np.sqrt(variance))
    assert trend(samples).p_value == pytest.approx(min(expected, 1.0), rel=1e-9)


def test_more_than_four_hundred_samples_are_medians_of_neighbours() -> None:
    exact = np.linspace(1, 2, 400)
    assert trend(np.repeat(exact, 3)) == trend(exact)
    spiked = np.repeat(exact, 3)
    spiked[1::3] = 50.0
    assert trend(spiked).growth == pytest.approx(trend(exact).growth)
    assert trend(np.append(exact, 3.0)).growth == pytest.approx(
        trend(np.array([np.median(part) for part in np.array_split(np.append(exact, 3.0), 400)])).growth
    )


def test_the_interval_is_the_middle_95_percent() -> None:
    assert interval_of(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
    draws = resample([np.array([1.0, 2.0]), np.array([10.0, 20.0])], np.random.default_rng(0), 4000)
    assert draws.shape == (4000, 4)
    assert set(np.unique(draws)) == {1.0, 2.0, 10.0, 20.0}
    one_round = (draws < 5).sum(axis=1)
    assert set(one_round.tolist()) == {0, 2, 4}, "whole rounds are drawn"
    assert np.mean(one_round == 2) == pytest.approx(0.5, abs=0.03)
    runs = draws[:, 0] == draws[:, 1]
    assert runs.mean() == pytest.approx(0.5, abs=0.03), "runs are drawn with replacement"


def test_unequal_rounds_are_drawn_at_the_size_of_the_smallest_from_all_their_runs() -> None:
    long, short = np.arange(100.0), np.full(3, -1.0)
    seen = [resample([long, short], np.random.default_rng(seed), 50) for seed in range(40)]
    assert {draws.shape for draws in seen} == {(50, 6)}
    assert max(draws.max() for draws in seen) > 80 and len(np.unique(np.concatenate(seen))) > 60


def test_outliers_are_counted_beyond_five_deviations_of_at_least_a_hundredth() -> None:
    steady = np.full(20, 100.0)
    assert outliers(np.append(steady, [105.0, 95.0])) == 0
    assert outliers(np.append(steady, [105.01, 94.99])) == 2
    assert outliers(-np.append(steady, 105.01)) == 1
    wide = np.arange(80.0, 121.0)  # median 100, median absolute deviation 10
    far = 5 * 1.4826 * 10
    assert outliers(np.append(wide, [100 + far - 0.1, 100 - far + 0.1]), deviations=5.0) == 0
    assert outliers(np.append(wide, [140.0, 60.0]), deviations=2.0) >= 2
    assert robust_sd(np.array([])) == 0.0


def test_rank_test_is_exact_up_to_twelve_samples() -> None:
    first, second = np.arange(6.0), np.arange(6.0) + 5.5
    assert rank_test(first, second) == pytest.approx(stats.mannwhitneyu(first, second, method="exact").pvalue)
    more = np.arange(7.0) + 5.5
    assert rank_test(first, more) == pytest.approx(stats.mannwhitneyu(first, more, method="asymptotic").pvalue)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 20, 60, 10**9])
def test_students_quantiles_are_scipys(freedom: int) -> None:
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)
    assert student_quantile(freedom, 0.99) == pytest.approx(stats.t.ppf(0.99, freedom), rel=0.02)
    if freedom < 3 or freedom > 4:
        assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.003)


@pytest.mark.parametrize("rounds", [2, 3, 5])
@pytest.mark.parametrize(("between", "within"), [(0.03, 0.01), (0.01, 0.03)])
def test_the_interval_covers_the_truth_where_rounds_differ(rounds: int, between: float, within: float) -> None:
    generator, covered = np.random.default_rng(rounds), 0
    for seed in range(150):
        levels = between * generator.normal(size=rounds)
        made = [100 * np.exp(level + within * generator.normal(size=30)) for level in levels]
        low, high = bootstrap_interval(made, np.median, seed=seed, resamples=400)
        covered += low <= 100 <= high
    assert covered / 150 >= 0.9


def test_an_interval_is_widened_by_factors_and_by_the_table() -> None:
    times = math.sqrt(5 / 4) * 2.306 / 1.96  # two records of five rounds: eight degrees of freedom
    low, high = widened((0.98, 1.06), 1.02, [5, 5])
    assert (low, high) == pytest.approx((1.02 * (0.98 / 1.02) ** times, 1.02 * (1.06 / 1.02) ** times), rel=1e-4)
    assert widened((0.9, 1.1), 1.0, [2])[1] == pytest.approx(1.1 ** (math.sqrt(2) * 12.706 / 1.96), rel=1e-3)
    assert widened((0.9, 1.1), 1.0, [1]) == widened((0.9, 1.1), 1.0, [5, 1]) == (0.9, 1.1), "nothing is known"
