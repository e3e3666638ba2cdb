"""Energy per inference from a trace alone, against traces whose energy is exactly known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from power_course import Course, Sine, boxes, polylines
from power_physics import Layout, Setup, build

from runtimes.power.trace import PowerTrace
from validation.energy.report import EnergyReport
from validation.energy.unstamped import analyze_regions

RATES = (100.0, 137.0, 200.0, 333.0, 500.0, 1250.0, 1667.0, 2500.0, 5000.0)
GRID = [
    (latency, gap, rate)
    for latency in (0.030, 0.060, 0.120, 0.400)
    for gap in (0.005, 0.020, 0.100, 0.200)
    for rate in RATES
    if latency * rate >= 5 and gap * rate >= 3
]


def _analyze(trace: PowerTrace, runs: int = 50, top1_percent: float | None = None) -> EnergyReport:
    return analyze_regions(trace, runs, top1_percent, "")


def _failed(report: EnergyReport) -> set[str]:
    return {check.name for check in report.checks if not check.passed}


@pytest.mark.parametrize("around", [{}, {"pulses": False, "warmup": 0}], ids=["pulses and warm-up", "bare"])
@pytest.mark.parametrize(("latency_s", "gap_s", "rate_hz"), GRID)
def test_energy_at_any_rate(latency_s: float, gap_s: float, rate_hz: float, around: dict[str, object]) -> None:
    """Within 5 % from 5 samples in a region on (a sample of the tail), 1.5 % from 30 on; always in its interval."""
    setup = replace(Setup(latency_s=latency_s, gap_s=gap_s, rate_hz=rate_hz), **around)
    case = build(setup, 1)
    report = _analyze(case.trace)
    assert report.regions is not None and report.regions.found == 50
    limit = 0.05 if latency_s * rate_hz < 15 or gap_s < 0.02 else 0.035 if latency_s * rate_hz < 30 else 0.015
    assert report.energy_mj == pytest.approx(case.truth_mj, rel=limit)
    assert report.duration_ms == pytest.approx(1e3 * latency_s, rel=0.06)
    assert report.interval_mj is not None and report.energy_mj is not None
    assert report.interval_mj[0] <= case.truth_mj <= report.interval_mj[1]
    assert report.uncertainty_mj == pytest.approx(report.interval_mj[1] - report.energy_mj)
    assert not report.passed and "nothing confirms it" in report.reasons[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"sines": (Sine(300.0, 0.1, 1.0),)},
        {"wander_mw": 100.0, "wander_s": 3.0},
        {"noise_mw": 750.0},
        {"growth": 0.1},
        {"lsb_mw": 20.0},
        {"lost_share": 0.01},
        {"loading_s": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("rate_hz", [1250.0, 5000.0])
def test_energy_on_a_restless_background_in_noise_and_with_holes(changes: dict[str, object], rate_hz: float) -> None:
    case = build(replace(Setup(latency_s=0.120, rate_hz=rate_hz), **changes), 2)
    assert _analyze(case.trace).energy_mj == pytest.approx(case.truth_mj, rel=0.03)


@pytest.mark.parametrize("rate_hz", [1250.0, 1667.0, 5000.0])
@pytest.mark.parametrize("latency_s", [0.030, 0.120, 0.400])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_short_gaps_that_tails_fill_in_noise(latency_s: float, rate_hz: float, seed: int) -> None:
    """As the tail is as long as the gap, taking the gaps for the background would lose a quarter."""
    case = build(Setup(latency_s=latency_s, gap_s=0.005, rate_hz=rate_hz, noise_mw=150.0), seed)
    assert _analyze(case.trace).energy_mj == pytest.approx(case.truth_mj, rel=0.05)


def test_a_background_that_steps_within_the_run_counts_on_both_sides() -> None:
    def screen(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        start = layout.bursts[24, 1] + 0.02
        return polylines([start, layout.seconds], [600.0, 600.0])

    case = build(Setup(), 3, load=screen)
    assert _analyze(case.trace).energy_mj == pytest.approx(case.truth_mj, rel=0.02)


def test_foreign_work_in_the_gaps_is_no_inference() -> None:
    def work(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        starts = layout.bursts[5:45:10, 1] + 0.070
        return boxes(starts, starts + 0.010, 1.2 * setup.power_mw)

    case = build(Setup(gap_s=0.150), 4, load=work)
    report = _analyze(case.trace)
    assert report.energy_mj == pytest.approx(case.truth_mj, rel=0.05)
    assert any("5 regions of other lengths" in note for note in report.notes), "with the warm-up"
    assert any("6 sync pulses" in note for note in report.notes)


def test_warm_up_that_looks_like_the_run_gives_no_figure() -> None:
    """What is measured here as 60 inferences is a run of 50 for somebody who warms up with 10."""
    report = _analyze(build(Setup(plan=(1,) * 60, warmup=0), 5).trace, 50, 80.0)
    assert report.energy_mj is None and report.interval_mj is None and report.efficiency_percent_per_mj is None
    assert "60 alike regions, not 50" in report.reasons[0]
    assert "the first 10 may be warm-up" in report.reasons[0]
    assert report.regions is not None and (report.regions.wanted, report.regions.found) == (50, 60)


def test_tails_that_outlast_the_gap_are_told_and_the_idle_is_the_background() -> None:
    case = build(Setup(latency_s=0.060, gap_s=0.020, tail_s=0.015, rate_hz=5000.0), 6)
    report = _analyze(case.trace)
    assert report.background is not None and report.background.method == "idle line"
    assert report.energy_mj == pytest.approx(case.truth_mj, rel=0.06)
    assert "rest" in _failed(report)


def test_behind_tails_that_outlast_the_gap_the_background_may_drift() -> None:
    def drift(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        return polylines([0.0, layout.seconds], [0.0, 1200.0])

    case = build(Setup(latency_s=0.060, gap_s=0.020, tail_s=0.015, rate_hz=5000.0), 6, load=drift)
    report = _analyze(case.trace)
    assert report.background is not None and report.background.method == "idle line"
    assert report.energy_mj == pytest.approx(case.truth_mj, rel=0.08)


def test_tails_without_an_edge_before_them_are_told() -> None:
    for sharp in (Setup(rate_hz=5000.0), Setup(rate_hz=5000.0, latency_s=0.400, gap_s=0.005)):
        assert "ends" not in _failed(_analyze(build(sharp, 7).trace))
    report = _analyze(build(Setup(rate_hz=5000.0, tail_height=1.0, tail_s=0.020), 7).trace)
    assert any("a tail counts with the regions" in reason for reason in report.reasons)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"plan": (1,) * 5}, "windows"),
        ({"latency_s": 0.030, "rate_hz": 137.0}, "samples"),
        ({"gap_s": 0.003}, "gaps"),
        ({"idle_after_s": 0.3}, "idle"),
    ],
    ids=str,
)
def test_what_is_too_little_is_told(changes: dict[str, object], failed: str) -> None:
    setup = replace(Setup(tail_height=0.0), **changes)
    sound = _analyze(build(Setup(tail_height=0.0), 8).trace)
    assert _failed(sound) == {"stamps"}
    report = _analyze(build(setup, 8).trace, len(setup.plan))
    assert failed in _failed(report) and report.energy_mj is not None


def test_what_speaks_against_the_recording_is_told() -> None:
    trace = build(Setup(), 9).trace
    watts = PowerTrace(trace.rate_hz, trace.power_mw / 1000, trace.flags)
    assert any("another unit" in reason for reason in _analyze(watts).reasons)


@pytest.mark.parametrize("rate_hz", RATES)
def test_an_empty_trace_finds_nothing(rate_hz: float) -> None:
    power = np.random.default_rng(0).normal(800, 30, round(20 * rate_hz))
    report = _analyze(PowerTrace(rate_hz, power, np.zeros(len(power), np.uint8)))
    assert report.energy_mj is None and not report.passed
    assert report.regions is not None and report.regions.found == 0
    assert "segmentation found 0 alike regions, not 50" in report.reasons[0]


def test_reasons_are_those_of_the_checks_that_failed() -> None:
    report = _analyze(build(Setup(), 10).trace, 50, 80.0)
    assert report.reasons == tuple(check.reason for check in report.checks if not check.passed)
    assert report.energy_mj is not None and report.efficiency_percent_per_mj == pytest.approx(80.0 / report.energy_mj)
