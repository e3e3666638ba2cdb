"""Checks on the gaps: what fills them, keeps the run's pace, or comes behind the bursts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from power_course import Course, boxes
from power_judged import SOUND, check_of, error_of, failing, in_gaps, in_windows, load_by_bursts, with_stamps
from power_physics import Layout, Load, Setup, build, no_load

from runtimes.power.stamps import Window
from validation.energy.analysis import examine
from validation.energy.gap_checks import _as_many
from validation.energy.report import Check

BASE = build(SOUND, 1)


def test_gaps_that_do_not_come_down_to_idle_are_told() -> None:
    case = build(SOUND, 1, load=in_gaps(200.0))
    assert error_of(case) < -0.1
    reasons = failing(case)
    assert set(reasons) == {"rest"} and "mW off the idle beside the run" in reasons["rest"]


def test_a_load_that_starts_before_the_run_and_stays_is_no_reason() -> None:
    stays = build(SOUND, 1, load=load_by_bursts(lambda w: boxes(w[:1, 0] - 3.0, w[-1:, 1] + 9.0, 300.0)))
    assert failing(stays) == {}
    assert abs(error_of(stays)) < 0.01


@pytest.mark.parametrize("before_s", [0.004, 0.020])
def test_a_load_that_starts_before_every_window_is_told(before_s: float) -> None:
    case = build(SOUND, 1, load=in_windows(200.0, before_s=before_s))
    assert error_of(case) > 0.05
    assert "steps in gaps" in failing(case)


def test_a_load_in_the_middle_of_every_gap_is_told() -> None:
    case = build(SOUND, 1, load=load_by_bursts(lambda w: boxes(w[:, 1] + 0.06, w[:, 1] + 0.08, 400.0)))
    assert "steps in gaps" in failing(case)


@pytest.mark.parametrize("height", [0.1, 0.3, 0.6])
def test_a_tail_is_no_step_and_is_not_counted(height: float) -> None:
    case = build(replace(SOUND, tail_height=height), 3)
    assert failing(case) == {}
    assert abs(error_of(case)) < 0.01


def test_tails_that_run_into_the_next_inference_are_told_with_the_gap_that_would_do() -> None:
    reasons = failing(build(replace(SOUND, tail_s=0.06), 1))
    assert "tail" in reasons and "--gap" in reasons["tail"]


def test_a_load_that_outlasts_some_windows_is_told() -> None:
    case = build(SOUND, 1, load=in_windows(300.0, every=2, behind_s=0.02))
    assert "spread of tails" in failing(case)


def test_a_load_of_its_own_length_shows_behind_short_bursts_only() -> None:
    load = load_by_bursts(lambda w: boxes(w[:, 0], w[:, 0] + 0.06, 500.0))
    case = build(replace(SOUND, plan=(1, 3) * 25), 1, load=load)
    assert error_of(case) > 0.05
    assert "tails by length" in failing(case)


def test_a_meter_that_smears_both_edges_is_told_and_a_ramp_is_none() -> None:
    slow = replace(SOUND, meter="low-pass", low_pass_s=0.006, tail_height=0.0)
    assert error_of(build(slow, 1)) < -0.05
    assert "slow meter" in failing(build(slow, 1))
    assert failing(build(replace(slow, low_pass_s=0.0002), 1)) == {}


def test_an_inference_without_a_stamp_is_told() -> None:
    stamps = BASE.stamps.bursts
    for missing in (0, 20, 49):
        reasons = failing(with_stamps(BASE, bursts=stamps[:missing] + stamps[missing + 1 :]))
        assert set(reasons) == {"unstamped bursts"}, missing


def test_a_periodic_load_that_hides_in_the_windows_shows_in_the_idle() -> None:
    def load(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        period = setup.latency_s + setup.gap_s
        starts = np.arange(layout.bursts[0, 0] % period, layout.seconds - 1, period)
        return boxes(starts, starts + setup.latency_s, 300.0)

    case = build(replace(SOUND, latency_jitter=0.0), 1, load=load)
    assert error_of(case) > 0.1
    assert "loads in idle only" in failing(case)


def test_as_many_is_the_tail_of_the_binomial_distribution() -> None:
    assert _as_many(0, 10, 0.3) == pytest.approx(1.0)
    assert _as_many(10, 10, 0.5) == pytest.approx(0.5**10)
    assert _as_many(2, 3, 0.5) == pytest.approx(0.5)


def test_a_window_of_the_stamps_that_moved_into_a_gap_is_told() -> None:
    bursts = list(BASE.stamps.bursts)
    end = bursts[20].end_ns
    bursts[20] = Window(start_ns=end + 35_000_000, end_ns=end + 65_000_000)
    reasons = failing(with_stamps(BASE, bursts=tuple(bursts)))
    assert {"unstamped bursts", "empty windows"} <= set(reasons)
    assert "window 21 of the stamps" in reasons["empty windows"]


def _check(setup: Setup, name: str, load: Load = no_load) -> Check:
    case = build(setup, 1, load=load)
    return check_of(examine(case.trace, case.stamps), name)


@pytest.mark.parametrize(("power_mw", "held"), [(15.0, True), (-15.0, True), (35.0, False), (-35.0, False)])
def test_gaps_may_be_off_the_idle_by_a_third_of_the_budget(power_mw: float, held: bool) -> None:
    check = _check(SOUND, "rest", in_gaps(power_mw))  # of 1500 mW: 25 mW are 1.67 %
    assert check.passed == held and (check.value or 0) == pytest.approx(abs(power_mw) / 15, rel=0.2)


def test_gaps_off_the_idle_at_one_end_only_are_no_reason() -> None:
    half = load_by_bursts(lambda w: boxes(w[:25, 1], w[1:26, 0], 200.0))
    assert _check(SOUND, "rest", half).passed


@pytest.mark.parametrize(("power_mw", "held"), [(15.0, True), (40.0, False)])
def test_steps_in_gaps_may_be_a_third_of_the_budget(power_mw: float, held: bool) -> None:
    late = load_by_bursts(lambda w: boxes(w[:-1, 1] + 0.05, w[1:, 0], power_mw))
    assert _check(replace(SOUND, tail_height=0.0, noise_mw=5.0), "steps in gaps", late).passed == held


@pytest.mark.parametrize(("left", "held"), [(0.68, True), (0.72, False)])
def test_a_meter_may_smear_seven_tenths_of_the_power(left: float, held: bool) -> None:
    case = build(replace(SOUND, meter="low-pass", low_pass_s=0.006, tail_height=0.0), 1)
    known = examine(case.trace, case.stamps)
    check = check_of(known, "slow meter")
    assert not check.passed and (check.value or 0) > 72
    power = known.model.tail.power_mw.copy()
    power[:2] = left * known.power_mw
    doctored = replace(known, model=replace(known.model, tail=replace(known.model.tail, power_mw=power)))
    assert check_of(doctored, "slow meter").passed == held


@pytest.mark.parametrize(("power_mw", "held"), [(15.0, True), (60.0, False)])
def test_tails_behind_either_length_may_differ_by_a_third_of_the_budget(power_mw: float, held: bool) -> None:
    load = load_by_bursts(lambda w: boxes(w[::2, 1], w[::2, 1] + 0.05, power_mw))
    setup = replace(SOUND, plan=(1, 3) * 25, tail_height=0.0, noise_mw=3.0)  # 50 ms by two inferences of 45 mJ
    assert _check(setup, "tails by length", load).passed == held


@pytest.mark.parametrize(
    ("length", "height", "held"),
    [(1.0, 1.0, False), (0.5, 1.0, True), (2.2, 1.0, True), (1.0, 0.7, True), (1.0, 1.4, True)],
)
def test_what_is_like_an_inference_in_length_and_height_is_one(length: float, height: float, held: bool) -> None:
    load = load_by_bursts(lambda w: boxes(w[20:21, 1] + 0.03, w[20:21, 1] + 0.03 + 0.03 * length, 1500.0 * height))
    assert _check(replace(SOUND, gap_s=0.3), "unstamped bursts", load).passed == held


@pytest.mark.parametrize(("count", "held"), [(4, True), (30, False)])
def test_loads_in_the_idle_only_must_be_more_than_chance(count: int, held: bool) -> None:
    starts = np.linspace(0.2, 3.5, count)
    assert (
        _check(SOUND, "loads in idle only", load_by_bursts(lambda w: boxes(starts, starts + 0.04, 300.0))).passed
        == held
    )
    weak = load_by_bursts(lambda w: boxes(starts, starts + 0.04, 50.0))
    assert _check(SOUND, "loads in idle only", weak).passed, "less than a twentieth of the power is no load"


def test_loads_in_idle_and_gaps_alike_are_no_reason() -> None:
    def load(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        gaps = (layout.bursts[::2, 1] + 0.05)[:24]
        starts = np.concatenate([np.linspace(0.2, 3.5, 30), gaps])
        return boxes(starts, starts + 0.03, 300.0)

    assert _check(SOUND, "loads in idle only", load).passed


@pytest.mark.parametrize(("share", "held"), [(0.016, True), (0.018, False)])
def test_of_a_tail_no_more_than_a_third_of_the_budget_may_reach_into_the_next_window(share: float, held: bool) -> None:
    known = examine(BASE.trace, BASE.stamps)
    bursts = replace(known.model.bursts, before_mj=np.full(50, share * float(known.model.bursts.energy_mj.mean())))
    doctored = replace(known, model=replace(known.model, bursts=bursts))
    assert check_of(doctored, "tail").passed == held


def test_tails_that_differ_by_chance_are_no_reason() -> None:
    setup = replace(SOUND, plan=(1, 3) * 6, noise_mw=900.0, pulse_ratio=3.0)
    checks = []
    for seed in range(6):
        case = build(setup, seed)
        checks.append(check_of(examine(case.trace, case.stamps), "tails by length"))
    assert all(check.passed for check in checks)
    assert any((check.value or 0) > check.limit for check in checks)
