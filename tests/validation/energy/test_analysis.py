"""Energy analysis against traces whose energy is exactly known."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from trace_section import section

from edgevit.errors import FailureError, UsageError
from runtimes.power.scenarios import TABLE, Scenario, scenario_named
from runtimes.power.simulate import Simulation, simulate
from runtimes.power.trace import PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport

SEEDS = (101, 102, 103)


def _report(made: Simulation, **options: object) -> EnergyReport:
    return analyze_energy(made.trace, stamps=made.stamps, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", TABLE, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_table_of_ten(scenario: Scenario, seed: int) -> None:
    made = simulate(scenario, seed)
    report = _report(made)
    limit = 0.01 if scenario.quiet else 0.03
    assert report.energy_mj == pytest.approx(made.truth.window_mj, rel=limit)
    assert report.energy_with_tail_mj == pytest.approx(made.truth.total_mj, rel=limit)
    assert report.regions is not None
    if report.regions.found != 50:
        assert any("regions, not 50" in reason for reason in report.reasons)
    if report.passed:
        assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.03)


def test_tails_longer_than_the_gap_are_told() -> None:
    scenario = replace(scenario_named("short-gap-tail"), gap_ms=10.0)
    made = simulate(scenario, 1)
    report = _report(made)
    assert not report.passed
    assert any("run into the next inference" in reason for reason in report.reasons)
    assert report.tail is not None and report.tail.tail_mj is None and report.tail.carried_mj > 0
    assert report.energy_with_tail_mj == pytest.approx(made.truth.total_mj, rel=0.01)


def test_tail_is_stated_apart_and_measured() -> None:
    made = simulate(scenario_named("ramp-tail"), 105)
    report = _report(made)
    assert report.tail is not None and report.tail.tail_mj is not None
    assert report.tail.tail_mj == pytest.approx(made.truth.total_mj - made.truth.active_mj, rel=0.05)
    assert 35 <= report.tail.tail_ms <= 110
    assert "stated apart" in report.tail.convention


def test_first_slow_inference_is_noted() -> None:
    report = _report(simulate(scenario_named("first-slower"), 113))
    assert any("warm up longer" in note for note in report.notes)


def test_bursts_of_several_inferences_are_divided() -> None:
    made = simulate(scenario_named("clean"), 114)
    stamps = msgspec.structs.replace(made.stamps, inferences_per_burst=10)
    report = analyze_energy(made.trace, stamps=stamps, runs=500)
    assert report.energy_mj == pytest.approx(made.truth.active_mj / 10, rel=0.01)
    assert report.duration_ms == pytest.approx(made.truth.duration_ms / 10, rel=0.01)
    assert report.power_mw == pytest.approx(made.truth.power_mw, rel=0.01)
    assert report.whole is not None and report.whole.energy_mj == pytest.approx(made.truth.total_mj / 10, rel=0.03)


def test_without_stamps_the_papers_method_stands_alone_and_says_so() -> None:
    made = simulate(scenario_named("clean"), 115)
    report = analyze_energy(made.trace, runs=50, top1_percent=81.0)
    assert report.method == "regions" and not report.passed
    assert "without the runner's stamps nothing confirms it" in report.reasons[0]
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)
    assert report.efficiency_percent_per_mj == pytest.approx(81.0 / report.energy_mj)
    assert report.regions is not None and report.regions.found == 50
    wrong = analyze_energy(made.trace, runs=48)
    assert wrong.energy_mj is None and wrong.efficiency_percent_per_mj is None
    assert "regions, not 48" in wrong.reasons[0]


def test_an_empty_trace_finds_nothing() -> None:
    rng = np.random.default_rng(0)
    trace = PowerTrace(5000.0, rng.normal(800, 30, 100_000), np.zeros(100_000, np.uint8))
    report = analyze_energy(trace, runs=50)
    assert not report.passed and report.energy_mj is None


def test_requests_that_contradict_are_refused() -> None:
    made = simulate(scenario_named("short"), 1)
    with pytest.raises(UsageError, match="number of inferences"):
        analyze_energy(made.trace)
    with pytest.raises(UsageError, match="49 runs asked for, but the stamps hold 50"):
        analyze_energy(made.trace, runs=49, stamps=made.stamps)
    with pytest.raises(UsageError, match="expected percent"):
        analyze_energy(made.trace, runs=50, top1_percent=120.0)
    with pytest.raises(FailureError, match="not of the same run"):
        analyze_energy(section(made.trace, 0, 3), stamps=made.stamps)
    with pytest.raises(FailureError, match="nothing to analyse"):
        analyze_energy(section(made.trace, 0, 0.001), runs=50)


def test_paper_figures_are_means_and_deviations_over_the_regions() -> None:
    made = simulate(scenario_named("latency-spread"), 116)
    report = _report(made)
    method = report.regions
    assert method is not None
    energies = np.array(method.energies_mj)
    assert method.energy_mean_mj == pytest.approx(energies.mean())
    assert method.energy_sd_mj == pytest.approx(energies.std(ddof=1))
    assert method.power_mean_mw == pytest.approx(np.mean(energies / np.array(method.durations_ms) * 1e3), rel=1e-6)
    np.testing.assert_allclose(energies, made.truth.active_each_mj, rtol=0.05)
