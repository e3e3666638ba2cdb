"""The paper's segmentation: how many regions, and where, without the runner's stamps."""

from __future__ import annotations

import numpy as np
import pytest

from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.regions import MAX_EXTRA, find_regions
from validation.energy.signal import signal_of


def test_regions_lie_where_the_simulator_put_its_bursts() -> None:
    made = simulate(scenario_named("clean"), 5)
    signal, starts = signal_of(made.trace), np.array(made.truth.starts_s)
    regions = find_regions(signal, 50, section=(0.0, signal.seconds))
    assert regions.found == 50
    np.testing.assert_allclose(regions.starts_s, starts, atol=1e-3)
    assert np.mean(regions.ends_s - regions.starts_s) == pytest.approx(made.truth.duration_ms / 1e3, rel=0.01)
    assert regions.dropped > 0 and regions.first_busy_s < starts[0]  # pulses and warm-up


def test_only_the_section_is_looked_at_and_times_stay_those_of_the_trace() -> None:
    made = simulate(scenario_named("no-pulses"), 6)
    signal, starts = signal_of(made.trace), np.array(made.truth.starts_s)
    section = (float(starts[10]) - 0.1, float(starts[30]) - 0.1)
    regions = find_regions(signal, 20, section=section, typical_s=made.truth.duration_ms / 1e3)
    np.testing.assert_allclose(regions.starts_s, starts[10:30], atol=1e-3)


def test_a_wrong_number_is_reported_and_never_stretched_to_fit() -> None:
    made = simulate(scenario_named("no-pulses"), 7)
    signal = signal_of(made.trace)
    section = (float(made.truth.starts_s[0]) - 0.1, float(made.truth.starts_s[-1]) + 0.2)
    assert find_regions(signal, 49, section=section, typical_s=made.truth.duration_ms / 1e3).found == 50


def test_noise_gives_no_series_of_inferences() -> None:
    power = np.random.default_rng(0).normal(800, 30, 50_000)
    signal = signal_of(PowerTrace(5000.0, power, np.zeros(len(power), np.uint8)))
    found = find_regions(signal, 50, section=(0.0, signal.seconds)).found
    assert found == 0 or found > 50 + MAX_EXTRA


def test_regions_of_another_kind_are_not_taken_for_inferences() -> None:
    report = analyze_energy(simulate(scenario_named("short"), 3).trace, runs=7)  # six pulses and the warm-up
    assert not report.passed
    assert report.energy_mj is None or any("hardly all inferences" in reason for reason in report.reasons)
