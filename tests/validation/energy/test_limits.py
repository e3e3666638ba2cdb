"""How a check is written down, and the error budget behind them all."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from validation.energy.limits import BUDGET, CHECKS, LEVEL, SHARE, SIGMA, answer, variance_error


def test_a_check_holds_up_to_its_limit_and_says_why_not() -> None:
    held, broken = answer("drift", 3.0, 3.0, "why", unit="ppm"), answer("drift", 3.0001, 3.0, "why", unit="ppm")
    assert held.passed and held.reason == ""
    assert not broken.passed and broken.reason == "why"
    assert (broken.name, broken.value, broken.limit, broken.bound, broken.unit) == (
        "drift",
        3.0001,
        3.0,
        "at most",
        "ppm",
    )


def test_a_check_may_have_a_least() -> None:
    assert answer("windows", 8, 8, "why", least=True).passed
    broken = answer("windows", 7, 8, "why", least=True)
    assert not broken.passed and broken.bound == "at least"


@pytest.mark.parametrize("least", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_what_cannot_be_told_never_holds(least: bool, counts: bool) -> None:
    check = answer("rest", float("nan"), 1.0, "why", least=least, counts=counts)
    assert not check.passed and check.value is None and check.reason == "why"


def test_what_is_without_bound_holds_in_one_direction_only_even_where_it_does_not_count() -> None:
    assert not answer("x", float("inf"), 1.0, "why", counts=False).passed
    assert answer("x", float("inf"), 1.0, "why", least=True).passed


def test_what_is_not_significant_holds_and_is_still_written_down() -> None:
    check = answer("rest", 9.0, 1.0, "why", counts=False)
    assert check.passed and check.value == 9.0 and check.reason == ""
    assert not answer("rest", 9.0, 1.0, "why", counts=True).passed


def test_all_checks_together_are_wrong_in_one_of_a_hundred() -> None:
    assert 1 - NormalDist().cdf(SIGMA) == pytest.approx(0.01 / CHECKS)
    assert pytest.approx(1 - 0.01 / CHECKS) == LEVEL
    assert pytest.approx(BUDGET / 3) == SHARE


def test_the_error_of_a_variance_is_that_of_repeated_draws() -> None:
    draws = np.random.default_rng(1).normal(0, 2.0, (2000, 50))
    errors = [variance_error(values) for values in draws]
    assert np.mean(errors) == pytest.approx(np.std(draws.var(axis=1)), rel=0.05)
    assert variance_error(np.array([0.0, 2.0, 0.0, 4.0])) == pytest.approx(math.sqrt(4.75) / 2)


def test_the_variance_of_one_value_is_no_error() -> None:
    assert variance_error(np.array([5.0])) == variance_error(np.zeros(0)) == 0.0
