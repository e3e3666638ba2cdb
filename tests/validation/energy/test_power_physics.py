"""The second generator of recordings: its truth against brute force, its meter, its clocks, and every kind of it."""

from dataclasses import replace

import numpy as np
import pytest
from power_course import Course, Sine, Supply, boxes, exponential_tail, inference_shape, low_pass, polylines
from power_hostile import BASES, HOSTILE, UNKNOWABLE
from power_physics import Case, Layout, Setup, build, layout_of
from power_sound import draw, draw_two_lengths, sound, sound_loaded, sound_two_lengths, sound_two_lengths_loaded
from power_twist import Draw

from runtimes.power.stamps import Window

SOUND = {make.__name__: make for make in (sound, sound_two_lengths, sound_loaded, sound_two_lengths_loaded)}
MAKERS = {**SOUND, **HOSTILE, **UNKNOWABLE}
ONE_OF_EACH = [kind for kind in (*HOSTILE, *UNKNOWABLE) if not kind.endswith(":two")]
NOTHING_ELSE = {
    "idle_mw": 0.0,
    "tail_height": 0.0,
    "sines": (),
    "wander_mw": 0.0,
    "pulses": False,
    "loading_s": 0.0,
    "warmup": 0,
    "noise_mw": 0.0,
    "lsb_mw": 0.0,
    "lost_share": 0.0,
    "lost_runs": 0,
    "calibration_s": 0.0,
    "meter": "mean",
}


def energy_mj(case: Case) -> float:
    return float(np.nansum(case.trace.power_mw) / case.trace.rate_hz)


def same(one: Case, other: Case) -> bool:
    return (
        one.trace.rate_hz == other.trace.rate_hz
        and one.stamps == other.stamps
        and np.array_equal(one.trace.power_mw, other.trace.power_mw, equal_nan=True)
        and np.array_equal(one.trace.flags, other.trace.flags)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("drawn", [draw, draw_two_lengths])
def test_truth_is_all_that_a_meter_sees_where_nothing_else_draws(drawn: Draw, seed: int) -> None:
    setup = replace(drawn(seed)[0], **NOTHING_ELSE)
    case = build(setup, seed)
    assert energy_mj(case) / sum(setup.plan) == pytest.approx(case.truth_mj, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_truth_is_the_sum_of_points_within_the_windows(seed: int) -> None:
    setup = replace(draw(seed)[0], **NOTHING_ELSE, plan=(2, 1, 3, 2))
    layout, case = layout_of(setup, seed), build(replace(setup, rate_hz=200_000.0, meter="point"), seed)
    times = (np.arange(len(case.trace.power_mw)) + 0.5) / 200_000.0
    within = np.zeros(len(times), bool)
    for start, end in layout.bursts:
        within |= (times >= start) & (times < end)
    summed = np.sum(case.trace.power_mw[within]) / 200_000.0 / 8
    assert summed == pytest.approx(case.truth_mj, rel=2e-3)


def test_truth_knows_nothing_of_tails_background_and_loads() -> None:
    setup = replace(Setup(), **NOTHING_ELSE)

    def load(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        return boxes(1.0, 2.0, 300.0)

    bare, loaded = build(setup, 1), build(setup, 1, load=load)
    tailed = build(replace(setup, tail_height=0.5), 1)
    idle = build(replace(setup, idle_mw=100.0), 1)
    assert bare.truth_mj == loaded.truth_mj == tailed.truth_mj == idle.truth_mj
    assert energy_mj(loaded) - energy_mj(bare) == pytest.approx(300.0)
    assert energy_mj(idle) - energy_mj(bare) == pytest.approx(100.0 * bare.trace.seconds)
    tails = 0.5 * setup.tail.area * setup.tail_s * 50 * setup.power_mw
    assert energy_mj(tailed) - energy_mj(bare) == pytest.approx(tails, rel=0.01)


def test_the_integral_of_a_course_is_that_of_its_points() -> None:
    rng = np.random.default_rng(3)
    course = polylines(np.sort(rng.uniform(0, 1, (20, 6))), rng.uniform(-5, 5, (20, 6)))
    course = course + exponential_tail(0.7).at(rng.uniform(0, 0.5, 9), 0.02, 7.0) + boxes(0.2, 0.3, 4.0)
    supply = Supply(course, (Sine(2.0, 30.0, 0.4),))
    edges = np.linspace(0, 1, 200_001)
    middles = supply.power((edges[1:] + edges[:-1]) / 2)
    coarse = supply.mean_power(edges[::1000])
    np.testing.assert_allclose(coarse, middles.reshape(200, 1000).mean(axis=1), atol=0.02)


def test_a_shape_has_its_phases_and_comes_up() -> None:
    shape = inference_shape([1, 3], [2.0, 1.0], 0.1, 0.5, False)
    course = shape.at(np.array([5.0]), 1.0, 10.0)
    power = course.power(np.array([4.999, 5.0, 5.05, 5.1001, 5.2, 5.3, 5.999, 6.001]))
    np.testing.assert_allclose(power, [0, 10, 15, 20, 20, 10, 10, 0], atol=0.02)
    assert shape.area == pytest.approx(0.25 * 2 + 0.75 - 0.1 * 2 * 0.5 / 2)


@pytest.mark.parametrize("seconds", [0.0003, 0.004, 0.1])
def test_a_low_pass_answers_a_step_with_an_exponential(seconds: float) -> None:
    edges = np.arange(0, 3, 0.001)
    passed = low_pass(Supply(boxes(0.0, 5.0, 10.0) + boxes(1.0, 5.0, 100.0)), edges, seconds)
    begin, end = np.maximum(edges[:-1] - 1, 0) / seconds, np.maximum(edges[1:] - 1, 0) / seconds
    rise = 1 - seconds / 0.001 * (np.exp(-begin) - np.exp(-end))  # its mean between edges
    np.testing.assert_allclose(passed, 10 + 100 * np.where(edges[1:] > 1.0005, rise, 0), atol=0.1)
    assert passed[-1] == pytest.approx(110)


@pytest.mark.parametrize("seed", range(6))
def test_stamps_tell_the_layout_on_the_devices_clock(seed: int) -> None:
    setup, _ = draw_two_lengths(seed)
    layout, stamps = layout_of(setup, seed), build(setup, seed).stamps
    assert stamps.burst_counts == layout.counts
    assert (len(stamps.controls), len(stamps.warmup), len(stamps.pulses)) == (setup.plan.count(0), setup.warmup, 6)

    def seconds(windows: tuple[Window, ...]) -> np.ndarray:
        return np.array([(window.start_ns, window.end_ns) for window in windows]) * 1e-9

    for windows, times in ((stamps.bursts, layout.bursts), (stamps.pulses, layout.pulses)):
        said = setup.epoch_s + times * (1 + setup.drift_ppm * 1e-6)
        assert np.abs(seconds(windows) - said).max() < 3.1 * setup.stamp_jitter_s + 1e-6


@pytest.mark.parametrize("seed", range(200))
def test_sound_recordings_can_be_resolved(seed: int) -> None:
    for setup in (draw(seed)[0], draw_two_lengths(seed)[0]):
        assert setup.rate_hz * setup.burst_s > 7.99
        assert 99 < setup.rate_hz <= 5000
        assert setup.tail_s * setup.tail.x[-1] <= 0.501 * setup.gap_s * (1 - setup.gap_spread)
        samples = sum(setup.plan) * setup.latency_s * setup.rate_hz
        assert setup.noise_mw / setup.power_mw / np.sqrt(samples / 2) < 0.004
        assert abs(setup.drift_ppm) <= 100


@pytest.mark.parametrize("kind", [*SOUND, *ONE_OF_EACH])
def test_a_seed_makes_the_same_recording_again(kind: str) -> None:
    make = MAKERS[kind]
    case = make(1)
    assert (case.name, case.seed) == (kind, 1)
    assert same(case, make(1))


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_what_is_spoilt_differs_from_the_same_unspoilt(kind: str) -> None:
    assert not same(MAKERS[kind](3), BASES[kind](3))


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind not in ONE_OF_EACH])
def test_kinds_can_be_made_of_recordings_of_two_lengths(kind: str) -> None:
    case = MAKERS[kind](2)
    assert case.stamps.counts
    assert case.truth_mj > 0


def test_seeds_differ() -> None:
    assert not same(sound(1), sound(2))
    assert len({make(1).truth_mj for make in list(HOSTILE.values())[:5]}) == 5, "kinds share their draws"


def test_there_are_enough_kinds() -> None:
    assert len(ONE_OF_EACH) >= 30
    assert not set(HOSTILE) & set(UNKNOWABLE)
