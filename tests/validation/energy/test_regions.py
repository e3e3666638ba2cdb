"""The paper's segmentation: how many regions, and where, without the runner's stamps."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from power_course import Sine
from power_physics import Setup, build, layout_of

from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import PowerTrace
from validation.energy.regions import Regions, find_regions
from validation.energy.signal import Signal, signal_of


def _find(setup: Setup, seed: int = 1, wanted: int | None = None) -> Regions:
    signal = signal_of(build(setup, seed).trace)
    return find_regions(signal, wanted or len(setup.plan), section=(0.0, signal.seconds))


def _signal(power_mw: np.ndarray, rate_hz: float = 1000.0) -> Signal:
    return signal_of(PowerTrace(rate_hz, power_mw, np.zeros(len(power_mw), np.uint8)))


@pytest.mark.parametrize("rate_hz", [100.0, 137.0, 200.0, 333.0, 500.0, 1250.0, 1667.0, 2500.0, 5000.0])
def test_edges_are_within_a_sample_at_any_rate(rate_hz: float) -> None:
    setup = Setup(rate_hz=rate_hz, latency_s=0.12, tail_height=0.0)
    layout, found = layout_of(setup, 1), _find(setup)
    assert (found.found, found.pulses) == (50, 6)
    np.testing.assert_allclose(found.starts_s, layout.bursts[:, 0], atol=1 / rate_hz)
    np.testing.assert_allclose(found.ends_s, layout.bursts[:, 1], atol=1 / rate_hz)
    assert len(found.busy_s) == 57, "six pulses, and the warm-up in one piece"


@pytest.mark.parametrize(
    "changes",
    [
        {"pulses": False, "warmup": 0},
        {"pulse_ratio": 2.2},
        {"plan": (1,) * 7},
        {"latency_s": 0.3, "gap_s": 0.3},
        {"noise_mw": 750.0, "rate_hz": 2000.0},
        {"sines": (Sine(600.0, 0.2, 1.0),)},
        {"wander_mw": 150.0, "growth": 0.2},
        {"loading_s": 0.6},
        {"lost_share": 0.02, "lost_runs": 5, "lost_run_s": 0.005},
        {"noise_mw": 0.0, "lsb_mw": 20.0},
        {"gap_spread": 0.6, "latency_jitter": 0.1},
        {"idle_before_s": 60.0},
        {"tail_s": 0.03, "tail_height": 0.4},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_inference_is_found_whatever_else_is_there(changes: dict[str, object], seed: int) -> None:
    setup = replace(Setup(), **changes)
    found, bursts = _find(setup, seed), layout_of(setup, seed).bursts
    assert found.found == len(bursts)
    np.testing.assert_array_less(np.abs(found.starts_s - bursts[:, 0]), 0.3 * setup.latency_s)


@pytest.mark.parametrize("wanted", [20, 49, 51, 70, 90])
def test_a_wrong_number_is_told_and_never_stretched_to_fit(wanted: int) -> None:
    assert _find(Setup(), wanted=wanted).found == 50


def test_what_lies_between_long_rests_is_the_run() -> None:
    power = np.full(20_000, 800.0) + np.random.default_rng(0).normal(0, 10, 20_000)
    starts = np.concatenate((1000 + 100 * np.arange(5), 4000 + 100 * np.arange(20)))
    for start in starts:
        power[start : start + 40] += 1500.0
    found = find_regions(_signal(power), 20, section=(0.0, 20.0))
    np.testing.assert_allclose(found.starts_s, starts[5:] / 1e3, atol=1e-3)
    assert find_regions(_signal(power), 21, section=(0.0, 20.0)).found == 25


@pytest.mark.parametrize("kind", ["white", "steps", "constant", "ramp"])
@pytest.mark.parametrize("wanted", [1, 5, 50])
def test_nothing_is_found_where_nothing_is(kind: str, wanted: int) -> None:
    power = np.random.default_rng(wanted).normal(800, 30, 20_000)
    power = {
        "white": power,
        "steps": np.round(power / 20) * 20,
        "constant": np.full(20_000, 800.0),
        "ramp": np.linspace(0, 3000, 20_000),
    }[kind]
    assert find_regions(_signal(power), wanted, section=(0.0, 20.0)).found == 0


@pytest.mark.parametrize(
    "section", [(0.0, 0.0), (5.0, 4.0), (-3.0, -1.0), (1e9, 2e9), (0.0, 0.003), (float("nan"), 1.0), (4.0, 4.02)]
)
@pytest.mark.parametrize("typical_s", [None, 0.06, 1e-9])
def test_odd_sections_hold_nothing(section: tuple[float, float], typical_s: float | None) -> None:
    signal = _signal(np.random.default_rng(0).normal(800, 30, 5_000))
    assert find_regions(signal, 50, section=section, typical_s=typical_s).found == 0


@pytest.mark.parametrize("section", [(4.9, 6.03), (-1.0, 1e9), (6.0, 6.06)])
@pytest.mark.parametrize("wanted", [1, 3, 10**9])
def test_sections_that_cut_the_run_are_no_error(section: tuple[float, float], wanted: int) -> None:
    signal = signal_of(build(Setup(), 1).trace)
    found = find_regions(signal, wanted, section=section, typical_s=0.03)
    assert np.all(found.ends_s >= found.starts_s)


def test_only_the_section_is_looked_at_and_times_stay_those_of_the_trace() -> None:
    made = simulate(scenario_named("no-pulses"), 6)
    signal, starts = signal_of(made.trace), np.array(made.truth.starts_s)
    section = (float(starts[10]) - 0.1, float(starts[30]) - 0.1)
    regions = find_regions(signal, 20, section=section, typical_s=made.truth.duration_ms / 1e3)
    np.testing.assert_allclose(regions.starts_s, starts[10:30], atol=1e-3)


def test_bursts_of_two_lengths_are_all_found_in_their_section() -> None:
    setup = Setup(plan=(1, 3) * 20, pulses=False, warmup=0)
    signal = signal_of(build(setup, 3).trace)
    found = find_regions(signal, 40, section=(0.0, signal.seconds), typical_s=0.03)
    np.testing.assert_allclose(found.starts_s, layout_of(setup, 3).bursts[:, 0], atol=1e-3)


@pytest.mark.parametrize("noise_mw", [30.0, 0.0])
def test_ten_minutes_at_five_kilohertz_take_seconds(noise_mw: float) -> None:
    power = 800 + noise_mw * np.random.default_rng(0).standard_normal(3_000_000)
    seconds = np.arange(len(power)) / 5000.0
    power[(seconds % 4 > 1) & (seconds % 4 < 1.1) & (seconds < 200)] += 1500.0
    signal, begun = _signal(power, 5000.0), time.process_time()
    assert find_regions(signal, 50, section=(0.0, signal.seconds)).found == 50
    assert time.process_time() - begun < 4.0, "a loop over samples would take minutes"


def test_an_edge_within_a_sample_is_found_there() -> None:
    """A meter that averages over its sample shows how much of it was busy: 30 % of the first, 80 % of the last."""
    power = np.full(4000, 100.0)
    for start in range(400, 3600, 400):
        power[start : start + 100] = 1100.0
        power[start] = 400.0
        power[start + 99] = 900.0
    found = find_regions(_signal(power), 8, section=(0.0, 4.0))
    starts = np.arange(400, 3600, 400) / 1000
    np.testing.assert_allclose(found.starts_s, starts + 0.0007, atol=3e-4)
    np.testing.assert_allclose(found.ends_s, starts + 0.0998, atol=3e-4)
