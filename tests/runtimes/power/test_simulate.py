"""The simulator's exactness."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from runtimes.power.scenarios import SCENARIOS, Scenario, scenario_named
from runtimes.power.simulate import RATE_HZ, Busy, Simulation, simulate
from runtimes.power.stamps import Window


def test_same_seed_same_trace_and_other_seeds_differ() -> None:
    one, two = simulate(scenario_named("clean"), 4), simulate(scenario_named("clean"), 4)
    np.testing.assert_array_equal(one.trace.power_mw, two.trace.power_mw)
    assert one.truth == two.truth and one.stamps == two.stamps
    assert simulate(scenario_named("clean"), 5).truth.active_mj != one.truth.active_mj


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_truth_is_exactly_what_is_in_the_trace(scenario: Scenario) -> None:
    silent = replace(
        scenario, noise_mw=0.0, wander_mw=0.0, spikes_per_s=0.0, interference_per_s=0.0, radio_period_s=0.0,
        lost_share=0.0, drift_mw_per_s=0.0, step_mw=0.0, pulses_ms=(), idle_mw=0.0, locked_mw=0.0,
    )  # fmt: skip
    made = simulate(silent, 6)
    power = np.nan_to_num(made.trace.power_mw.astype(np.float64))
    calibration = np.isnan(made.trace.power_mw)
    start = made.truth.starts_s[0]
    after = np.arange(len(power)) / RATE_HZ >= start
    hidden = float(np.sum(calibration & after)) / RATE_HZ * scenario.burst_mw
    total = float(np.sum(power[after])) / RATE_HZ
    inferences = sum(scenario.burst_factors) * scenario.runs // len(scenario.burst_factors)
    assert made.truth.inferences == sum(made.truth.counts) == inferences
    assert total == pytest.approx(made.truth.total_mj * inferences, abs=hidden + scenario.burst_mw * 0.06 + 1.0)
    assert made.truth.total_mj >= made.truth.active_mj
    assert made.truth.window_mj >= made.truth.active_mj


def test_busy_intervals_integrate_analytically() -> None:
    busy = Busy(1.0, 1.1, 1000.0, ramp_s=0.01, ramp_from=0.5, tail_s=0.03, tail_mw=300.0, tail_decays=True)
    grid = np.linspace(0.9, 1.3, 400_001)
    x = grid - 1.0
    inside = (x >= 0) & (x <= 0.1)
    power = np.where(inside, 1000 * (1 - 0.5 * np.exp(-x / 0.01)), 0.0)
    numeric = float(np.sum(power) * (grid[1] - grid[0]))
    assert float(busy.active_mj(2.0)) == pytest.approx(numeric, rel=1e-4)
    tail = np.where((x > 0.1) & (x <= 0.16), 300 * np.exp(-(x - 0.1) / 0.01), 0.0)
    assert float(busy.tail_mj(2.0)) == pytest.approx(float(np.sum(tail) * (grid[1] - grid[0])), rel=1e-3)


SILENT = {"noise_mw": 0.0, "wander_mw": 0.0, "idle_mw": 0.0, "lost_share": 0.0, "pulses_ms": (), "power_spread": 0.0}


def test_two_lengths_draw_as_many_times_the_energy_of_one_inference() -> None:
    """Without spreads an inference draws 1700 mW for 60 ms."""
    made = simulate(replace(scenario_named("two-lengths"), latency_spread=0.0, **SILENT), 2)  # type: ignore[arg-type]
    truth = made.truth
    assert truth.counts == made.stamps.counts and sorted(truth.counts) == [1] * 25 + [3] * 25
    assert truth.counts != (1, 3) * 25, "in random order"
    for count, energy_mj in zip(truth.counts, truth.active_each_mj, strict=True):
        assert energy_mj == pytest.approx(count * 102.0)
    assert (truth.active_mj, truth.slope_mj) == (pytest.approx(102.0), pytest.approx(102.0))
    assert truth.duration_ms == pytest.approx(60.0)
    assert simulate(scenario_named("clean"), 2).truth.slope_mj is None


def test_gaps_vary_and_nothing_is_drawn_in_controls() -> None:
    made = simulate(replace(scenario_named("two-lengths"), **SILENT), 3)  # type: ignore[arg-type]
    windows = sorted((*made.stamps.bursts, *made.stamps.controls), key=lambda window: window.start_ns)
    gaps_ms = np.array([(later.start_ns - earlier.end_ns) / 1e6 for earlier, later in pairwise(windows)])
    assert 175.0 < gaps_ms.min() < 220.0 and 650.0 < gaps_ms.max() < 730.0
    assert len(made.stamps.controls) == 10
    assert {round((window.end_ns - window.start_ns) / 60e6, 1) for window in made.stamps.controls} == {1.0, 3.0}
    assert windows[0] in made.stamps.bursts and windows[-1] in made.stamps.bursts
    assert drawn_mj(made, made.stamps.controls) == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize(("name", "of_each"), [("locked-load", 0.3 * 40.0), ("locked-window", None)])
def test_a_locked_load_is_drawn_with_every_burst_and_control_and_in_no_truth(name: str, of_each: float | None) -> None:
    free = simulate(replace(scenario_named(name), locked_mw=0.0, **SILENT), 4)  # type: ignore[arg-type]
    locked = simulate(replace(scenario_named(name), **SILENT), 4)  # type: ignore[arg-type]
    assert free.truth == locked.truth and free.stamps == locked.stamps
    for windows in (locked.stamps.bursts, locked.stamps.controls):
        added = drawn_mj(locked, windows) - drawn_mj(free, windows)
        lasting_ms = sum(window.end_ns - window.start_ns for window in windows) / 1e6
        wanted = 0.3 * lasting_ms if of_each is None else of_each * len(windows)
        assert added == pytest.approx(wanted, rel=0.03), "calibration hides some"


def drawn_mj(made: Simulation, windows: tuple[Window, ...]) -> float:
    """Energy in the trace within these windows, by the sample; calibration counts as nothing."""
    offset_ns, drift = made.truth.clock_offset_s * 1e9, made.truth.clock_drift_ppm * 1e-6
    power = np.nan_to_num(made.trace.power_mw.astype(np.float64))
    edges = [round((at - offset_ns) / (1 + drift) / 1e9 * RATE_HZ) for w in windows for at in (w.start_ns, w.end_ns)]
    return sum(float(np.sum(power[first:last])) for first, last in zip(edges[::2], edges[1::2], strict=True)) / RATE_HZ
