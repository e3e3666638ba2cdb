"""The simulator's exactness."""

from __future__ import annotations

import numpy as np
import pytest

from runtimes.power.scenarios import SCENARIOS, Scenario, scenario_named
from runtimes.power.simulate import RATE_HZ, Busy, simulate


def test_same_seed_same_trace_and_other_seeds_differ() -> None:
    one, two = simulate(scenario_named("clean"), 4), simulate(scenario_named("clean"), 4)
    np.testing.assert_array_equal(one.trace.power_mw, two.trace.power_mw)
    assert one.truth == two.truth and one.stamps == two.stamps
    assert simulate(scenario_named("clean"), 5).truth.active_mj != one.truth.active_mj


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_truth_is_exactly_what_is_in_the_trace(scenario: Scenario) -> None:
    from dataclasses import replace

    silent = replace(
        scenario, noise_mw=0.0, wander_mw=0.0, spikes_per_s=0.0, interference_per_s=0.0, radio_period_s=0.0,
        lost_share=0.0, drift_mw_per_s=0.0, step_mw=0.0, pulses_ms=(), idle_mw=0.0,
    )  # fmt: skip
    made = simulate(silent, 6)
    power = np.nan_to_num(made.trace.power_mw.astype(np.float64))
    calibration = np.isnan(made.trace.power_mw)
    start = made.truth.starts_s[0]
    after = np.arange(len(power)) / RATE_HZ >= start
    hidden = float(np.sum(calibration & after)) / RATE_HZ * scenario.burst_mw
    total = float(np.sum(power[after])) / RATE_HZ
    assert total == pytest.approx(made.truth.total_mj * scenario.runs, abs=hidden + scenario.burst_mw * 0.06 + 1.0)
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
