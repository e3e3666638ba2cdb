"""Comparison of two records: real differences are found, noise is not, and regressions fail."""

from __future__ import annotations

import msgspec
import pytest
from latency_records import device_run, normal_rounds, summary_run

from runtimes.bench.record import DeviceRun, Verification
from runtimes.runners.tools.adapter import Summary
from validation.latency.compare import Comparison, ComparisonLimits, Outcome, compare_runs

FIVE_PERCENT = ComparisonLimits(max_regression=0.05)


def compare(ratio: float, *, sd: float = 0.01, limits: ComparisonLimits = FIVE_PERCENT, seed: int = 1) -> Comparison:
    first = device_run(normal_rounds(10.0, seed=seed, sd=sd))
    second = device_run(normal_rounds(10.0 * ratio, seed=seed + 1000, sd=sd))
    return compare_runs(first, second, limits)


def test_a_regression_fails() -> None:
    result = compare(1.10)
    assert (result.outcome, result.passed) == (Outcome.SLOWER, False)
    assert "slower by" in result.reasons[0]
    assert result.ratio == pytest.approx(1.10, abs=0.02)


def test_a_small_real_regression_passes_within_the_limit() -> None:
    result = compare(1.03)
    assert (result.outcome, result.passed) == (Outcome.SLOWER, True)


def test_without_a_limit_nothing_fails_on_speed() -> None:
    assert compare(1.5, limits=ComparisonLimits()).passed


def test_an_improvement_is_seen() -> None:
    result = compare(0.9)
    assert (result.outcome, result.passed) == (Outcome.FASTER, True)
    assert result.ratio_high is not None
    assert result.ratio_high < 1


def test_noise_is_called_noise() -> None:
    outcomes = [compare(1.0, sd=0.05, seed=seed).outcome for seed in range(60)]
    assert outcomes.count(Outcome.SAME) >= 58


def test_scatter_that_hides_a_difference_is_not_a_regression() -> None:
    result = compare(1.06, sd=0.4)
    assert (result.outcome, result.passed) == (Outcome.SAME, True)


def test_swapping_turns_the_ratio_round() -> None:
    first, second = (device_run(normal_rounds(mean, seed=3)) for mean in (10.0, 11.0))
    there, back = compare_runs(first, second), compare_runs(second, first)
    assert there.ratio is not None
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert (there.outcome, back.outcome) == (Outcome.SLOWER, Outcome.FASTER)


def test_a_failed_record_cannot_be_compared() -> None:
    wrong = device_run(normal_rounds(5.0, seed=1), verification=Verification(status="failed", reason="wrong"))
    result = compare_runs(device_run(normal_rounds(10.0, seed=2)), wrong)
    assert (result.outcome, result.passed, result.ratio) == (Outcome.UNDECIDED, False, None)
    assert "the second record" in result.reasons[0]


def test_too_few_samples_are_no_pass() -> None:
    few = device_run([[1.0, 1.1]])
    result = compare_runs(few, few, FIVE_PERCENT)
    assert (result.outcome, result.passed) == (Outcome.UNDECIDED, False)


def test_summaries_are_compared_by_their_rounds() -> None:
    def run(mean_ms: float) -> DeviceRun:  # five rounds, as a tool is run by default
        return summary_run([Summary(count=10, mean_ns=(mean_ms + 0.01 * i) * 1e6, sd_ns=1e4) for i in range(5)])

    assert compare_runs(run(10.0), run(12.0), FIVE_PERCENT).outcome is Outcome.SLOWER
    assert compare_runs(run(10.0), run(10.0), FIVE_PERCENT).outcome is Outcome.SAME


def test_what_else_differs_is_said() -> None:
    first = device_run(normal_rounds(10.0, seed=1))
    second = msgspec.structs.replace(device_run(normal_rounds(10.0, seed=2), threads=4), device="other")
    warnings = compare_runs(first, second).warnings
    assert any(warning.startswith("device differs: 8BC1") for warning in warnings)
    assert "threads differs: 1 and 4" in warnings
