"""Checks on the samples: cut off, held, too coarse, or in another unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from power_course import Course, boxes, inference_shape
from power_front_faults import clipped
from power_judged import SOUND, Doubles, check_of, error_of, failing, load_by_bursts, with_power
from power_physics import Layout, Setup, build, layout_of

from runtimes.power.trace import OVER_CURRENT
from validation.energy.analysis import examine
from validation.energy.meter_checks import check_recording

BASE = build(SOUND, 1)
POWER = BASE.trace.power_mw


@pytest.mark.parametrize("level", [1500.0, 1900.0, 2200.0, 2280.0])
def test_power_that_is_cut_off_before_the_noise_is_never_verified(level: float) -> None:
    assert "ceiling" in failing(build(SOUND, 1, front=clipped(level)))


@pytest.mark.parametrize("level", [1500.0, 2200.0, 2295.0])
def test_power_that_is_cut_off_behind_the_noise_is_never_verified(level: float) -> None:
    reasons = failing(with_power(BASE, np.minimum(POWER, level)))
    assert f"are at exactly {level:.0f} mW" in reasons["ceiling"]


@pytest.mark.parametrize("limits", [(2500.0, 2000.0), (2000.0, 2500.0)])
@pytest.mark.parametrize("sudden", [False, True])
def test_a_limit_that_moves_during_the_run_is_never_verified(limits: tuple[float, float], sudden: bool) -> None:
    """A supply that sags, or a meter that changes its range: both halves of the pulses are higher than some windows."""

    def front(power: Doubles, layout: Layout, setup: Setup, rng: np.random.Generator) -> Doubles:
        share = np.linspace(0.0, 1.0, len(power))
        return np.minimum(power, np.interp(np.rint(share) if sudden else share, (0.0, 1.0), limits))

    assert "ceiling" in failing(build(SOUND, 1, front=front))


@pytest.mark.parametrize("level", [2250.0, 2200.0, 1900.0])
@pytest.mark.parametrize("latency_s", [0.01, 0.6])
def test_a_limit_that_is_there_during_the_run_only_is_never_verified(level: float, latency_s: float) -> None:
    """As the pulses show more, only samples that are equal, or nearly so, tell; in the whole trace they are few."""
    setup = replace(SOUND, latency_s=latency_s, gap_s=0.25)
    case, bursts = build(setup, 1), layout_of(setup, 1).bursts
    power = case.trace.power_mw.copy()
    first, last = (int(moment * case.trace.rate_hz) for moment in (bursts[0, 0] - 0.01, bursts[-1, 1] + 0.01))
    power[first:last] = np.minimum(power[first:last], level)
    assert failing(case) == {}
    assert set(failing(with_power(case, power))) == {"repeated samples", "noise in windows"}
    power = case.trace.power_mw.copy()
    moving = level - 20.0 * np.sin(np.arange(len(power)) / case.trace.rate_hz)
    power[first:last] = np.minimum(power, moving)[first:last]
    assert set(failing(with_power(case, power))) == {"noise in windows"}


def test_pulses_that_are_cut_off_above_the_inferences_are_no_reason() -> None:
    case = build(SOUND, 1, front=clipped(2700.0))
    assert failing(case) == {} and abs(error_of(case)) < 0.01


def test_inferences_as_high_as_anything_are_not_verified() -> None:
    assert set(failing(build(replace(SOUND, pulse_ratio=1.0), 1))) == {"ceiling"}


def test_the_meters_own_word_and_the_hosts_clock_count() -> None:
    flags = BASE.trace.flags.copy()
    flags[5000] |= OVER_CURRENT
    assert set(failing(replace(BASE, trace=replace(BASE.trace, flags=flags)))) == {"current limit"}
    for factor, expected in ((1.0005, set()), (1.002, {"sample rate"}), (0.998, {"sample rate"})):
        stamps = BASE.trace.host_stamps * np.array([1.0, factor])
        assert set(failing(replace(BASE, trace=replace(BASE.trace, host_stamps=stamps)))) == expected


@pytest.mark.parametrize(("factor", "name"), [(1e-3, "least power"), (1e3, "most power")])
def test_power_in_another_unit_is_told(factor: float, name: str) -> None:
    reasons = failing(with_power(BASE, POWER * factor))
    assert set(reasons) == {name} and "another unit" in reasons[name]


def test_power_that_is_negated_is_never_verified() -> None:
    assert "least power" in failing(with_power(BASE, -POWER))


def test_a_floor_that_hides_the_background_is_told() -> None:
    case = with_power(BASE, np.maximum(POWER, 1000.0))
    assert error_of(case) < -0.1
    reasons = failing(case)
    assert set(reasons) == {"floor"} and "at exactly 1000.0 mW" in reasons["floor"]


def test_coarse_steps_are_told_unless_noise_dithers_them() -> None:
    assert set(failing(with_power(BASE, np.round(POWER / 600) * 600))) == {"steps of the meter"}
    fine = with_power(BASE, np.round(POWER / 15) * 15)
    assert failing(fine) == {} and abs(error_of(fine)) < 0.01


def test_values_that_are_held_instead_of_measured_are_told() -> None:
    held = POWER.copy()
    held[1::3] = held[0::3][: len(held[1::3])]
    assert set(failing(with_power(BASE, held))) == {"repeated samples"}


def test_a_trace_of_nothing_fails_in_words() -> None:
    nothing = replace(BASE.trace, power_mw=np.full(len(POWER), np.nan))
    assert [check.name for check in check_recording(nothing) if not check.passed] == ["least power"]


def test_one_sample_in_each_inference_that_is_cut_off_is_told() -> None:
    shape = inference_shape([5, 1], [1.0, 1.8], 0.0, 1.0, False)
    setup = replace(
        SOUND,
        latency_s=0.045,
        plan=(2,) * 50,
        rate_hz=137.0,
        noise_mw=35.0,
        meter="point",
        shape=shape,
        pulse_ratio=2.2,
    )
    sound, level = build(setup, 1), 800.0 + 1.25 * 1500
    assert "ceiling" not in failing(sound)
    cut = build(setup, 1, front=clipped(level))
    assert error_of(cut) < error_of(sound) - 0.04
    assert "ceiling" in failing(cut)


@pytest.mark.parametrize("hidden", [np.maximum, lambda power, level: np.where(power < level, 0.0, power)])
def test_a_floor_is_told_for_little_power_as_well(hidden: Callable[[Doubles, float], Doubles]) -> None:
    case = build(replace(SOUND, idle_mw=1200.0, power_mw=250.0, latency_s=0.09, pulse_ratio=2.0, lsb_mw=0.5), 1)
    assert "floor" not in failing(case)
    cut = with_power(case, hidden(case.trace.power_mw, 1300.0))
    assert abs(error_of(cut)) > 0.2
    assert "floor" in failing(cut)


@pytest.mark.parametrize(("factor", "held"), [(1.0009, True), (1.0011, False), (0.9991, True), (0.9989, False)])
def test_the_hosts_clock_may_differ_by_a_thousandth(factor: float, held: bool) -> None:
    index = np.arange(0, 10_000, 100.0)
    stamps = np.stack([index, 5.0 + index / 1000 * factor], axis=1)
    checks = check_recording(replace(BASE.trace, host_stamps=stamps))
    assert next(check for check in checks if check.name == "sample rate").passed == held


@pytest.mark.parametrize(("power_mw", "held"), [(19.9, False), (20.1, True), (99_900.0, True), (100_100.0, False)])
def test_a_mean_power_is_that_of_a_device(power_mw: float, held: bool) -> None:
    checks = check_recording(replace(BASE.trace, power_mw=np.full(len(POWER), power_mw)))
    assert all(check.passed for check in checks) == held


@pytest.mark.parametrize(("share", "held"), [(0.045, True), (0.055, False)])
def test_a_twentieth_of_the_samples_may_be_held(share: float, held: bool) -> None:
    chosen = np.flatnonzero(np.random.default_rng(1).random(len(POWER) - 1) < share) + 1
    power = POWER.copy()
    for index in chosen:
        power[index] = power[index - 1]
    known = examine(BASE.trace, BASE.stamps)
    doctored = replace(known, signal=replace(known.signal, power_mw=power))
    assert check_of(doctored, "repeated samples").passed == held


@pytest.mark.parametrize(("share", "held"), [(0.04, True), (0.06, False)])
def test_a_twentieth_of_the_gaps_may_be_at_the_floor(share: float, held: bool) -> None:
    known = examine(BASE.trace, BASE.stamps)
    gaps = known.model.gaps
    level = float(np.quantile(POWER[known.inside(gaps.starts_s, gaps.ends_s)], share))
    assert check_of(examine(BASE.trace, BASE.stamps), "floor").passed
    case = with_power(BASE, np.maximum(POWER, level))
    assert check_of(examine(case.trace, case.stamps), "floor").passed == held


@pytest.mark.parametrize(("step_mw", "held"), [(50.0, True), (75.0, False)])
def test_steps_without_noise_may_be_off_by_a_third_of_the_budget(step_mw: float, held: bool) -> None:
    known = examine(BASE.trace, BASE.stamps)  # half a step is off by step / sqrt(6) of 1500 mW: 61 mW are 1.67 %
    trace = replace(known.trace, power_mw=np.round(POWER / step_mw) * step_mw)
    doctored = replace(known, trace=trace, signal=replace(known.signal, noise_mw=0.0))
    assert check_of(doctored, "steps of the meter").passed == held
    dithered = replace(known, trace=trace, signal=replace(known.signal, noise_mw=0.51 * step_mw))
    assert check_of(dithered, "steps of the meter").passed


@pytest.mark.parametrize(("seconds", "held"), [(0.2, False), (0.45, True)])
def test_the_trace_must_be_above_the_inferences_for_as_long_as_pulses_are(seconds: float, held: bool) -> None:
    def both(w: Doubles) -> Course:
        starts = np.array([1.0, float(w[-1, 1]) + 4.0])
        return boxes(starts, starts + seconds, 3000.0)

    case = build(replace(SOUND, pulse_ratio=1.0), 1, load=load_by_bursts(both))
    assert check_of(examine(case.trace, case.stamps), "ceiling").passed == held
    case = build(replace(SOUND, pulse_ratio=1.0), 1, load=load_by_bursts(lambda w: boxes(1.0, 1.0 + seconds, 3000.0)))
    assert not check_of(examine(case.trace, case.stamps), "ceiling").passed, "on one side only"


@pytest.mark.parametrize(("ratio", "held"), [(1.01, False), (1.05, True)])
def test_pulses_must_be_above_the_inferences_by_a_third_of_the_budget(ratio: float, held: bool) -> None:
    case = build(replace(SOUND, pulse_ratio=ratio, noise_mw=1.0, power_jitter=0.0), 1)
    assert check_of(examine(case.trace, case.stamps), "ceiling").passed == held


@pytest.mark.parametrize(("lsb_mw", "noise_mw"), [(25.0, 10.0), (20.0, 6.5), (5.0, 10.0)])
def test_a_coarse_converter_has_no_floor_and_holds_nothing(lsb_mw: float, noise_mw: float) -> None:
    case = build(replace(SOUND, lsb_mw=lsb_mw, noise_mw=noise_mw), 1)
    assert failing(case) == {} and abs(error_of(case)) < 0.01


def test_values_of_fine_steps_that_are_held_are_told() -> None:
    fine = build(replace(SOUND, lsb_mw=0.5), 1)
    power = fine.trace.power_mw.copy()
    power[1::5] = power[0::5][: len(power[1::5])]
    assert "repeated samples" in failing(with_power(fine, power))
