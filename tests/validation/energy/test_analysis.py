"""Energy analysis against traces whose energy is exactly known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from trace_section import section

from edgevit.errors import FailureError, UsageError
from runtimes.power.scenarios import HARD, TABLE, Scenario, scenario_named
from runtimes.power.simulate import Simulation, simulate
from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import OVER_CURRENT, PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport
from validation.energy.signal import signal_of
from validation.energy.windows import bootstrap_interval

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


@pytest.mark.parametrize("scenario", HARD, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_wrong_is_verified(scenario: Scenario, seed: int) -> None:
    made = simulate(scenario, seed)
    report = _report(made)
    if report.passed:
        assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.03)


@pytest.mark.parametrize("name", ["clean", "short", "ramp-tail", "drift", "latency-spread", "radio", "no-pulses"])
def test_good_recordings_are_verified(name: str) -> None:
    report = _report(simulate(scenario_named(name), 104))
    assert report.reasons == ()
    assert report.regions is not None and report.regions.found == 50


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-gaps", "segmentation found 1 regions, not 50"),
        ("lossy", "of the samples are lost"),
        ("buried", "noise alone puts"),
        ("long-foreign", "windows hold foreign activity"),
    ],
)
def test_recordings_that_cannot_be_trusted_say_why(name: str, words: str) -> None:
    reasons = _report(simulate(scenario_named(name), 104)).reasons
    assert any(words in reason for reason in reasons), reasons


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


def test_clock_is_recovered() -> None:
    made = simulate(scenario_named("clean"), 106)
    report = _report(made)
    assert report.alignment is not None
    assert report.alignment.drift_ppm == pytest.approx(-made.truth.clock_drift_ppm, abs=10)
    assert report.aligned is not None
    np.testing.assert_allclose(report.aligned.starts_s, made.truth.starts_s, atol=2e-4)


def _shifted(windows: tuple[Window, ...], by_ns: int) -> tuple[Window, ...]:
    return tuple(Window(start_ns=window.start_ns + by_ns, end_ns=window.end_ns + by_ns) for window in windows)


def _without(index: int) -> object:
    return lambda stamps: msgspec.structs.replace(
        stamps, bursts=stamps.bursts[: index % 50] + stamps.bursts[index % 50 + 1 :]
    )


def _clock_jump(by_ns: int) -> object:
    def jump(stamps: RunStamps) -> RunStamps:
        middle = stamps.bursts[25].start_ns
        later = tuple(pulse for pulse in stamps.pulses if pulse.start_ns > middle)
        return msgspec.structs.replace(
            stamps,
            bursts=stamps.bursts[:25] + _shifted(stamps.bursts[25:], by_ns),
            pulses=stamps.pulses[: len(stamps.pulses) - len(later)] + _shifted(later, by_ns),
        )

    return jump


def _one_period_off(stamps: RunStamps) -> RunStamps:
    period = stamps.bursts[-1].start_ns - stamps.bursts[-2].start_ns
    bursts = stamps.bursts[1:] + _shifted(stamps.bursts[-1:], period)
    return msgspec.structs.replace(stamps, bursts=bursts, pulses=(), warmup=())


def _longer(stamps: RunStamps) -> RunStamps:
    bursts = tuple(Window(start_ns=w.start_ns, end_ns=w.end_ns + 8_000_000) for w in stamps.bursts)
    return msgspec.structs.replace(stamps, bursts=bursts)


def _asleep(stamps: RunStamps) -> RunStamps:
    return msgspec.structs.replace(stamps, suspended_ns=400_000_000)


@pytest.mark.parametrize("name", ["clean", "no-pulses", "ramp-tail"])
@pytest.mark.parametrize(
    "damage",
    [_without(0), _without(20), _without(49), _clock_jump(500_000_000), _clock_jump(5_000_000), _one_period_off,
     _longer, _asleep],
    ids=["first", "one", "last", "clock-jump", "small-clock-jump", "one-period-off", "too-long", "asleep"],
)  # fmt: skip
def test_stamps_that_do_not_fit_are_never_verified(name: str, damage) -> None:  # type: ignore[no-untyped-def]
    made = simulate(scenario_named(name), 107)
    report = analyze_energy(made.trace, stamps=damage(made.stamps))
    assert not report.passed
    assert report.reasons


@pytest.mark.parametrize("name", ["clean", "no-pulses", "ramp-tail", "latency-spread"])
def test_stamps_of_another_run_are_never_verified(name: str) -> None:
    made, other = simulate(scenario_named(name), 108), simulate(scenario_named(name), 109)
    assert not analyze_energy(made.trace, stamps=other.stamps).passed


def _with(trace: PowerTrace, **changes: object) -> PowerTrace:
    return replace(trace, **changes)  # type: ignore[arg-type]


def test_current_limit_wrong_rate_and_missing_idle_are_reasons() -> None:
    made = simulate(scenario_named("clean"), 110)
    flags = made.trace.flags.copy()
    flags[40_000] |= OVER_CURRENT
    assert "current limit" in " ".join(analyze_energy(_with(made.trace, flags=flags), stamps=made.stamps).reasons)
    slow = made.trace.host_stamps * np.array([1.0, 1.01])
    reasons = " ".join(analyze_energy(_with(made.trace, host_stamps=slow), stamps=made.stamps).reasons)
    assert "by the host's clock" in reasons
    cut = section(made.trace, 3.6, made.trace.seconds)
    assert "s of idle before the run" in " ".join(analyze_energy(cut, stamps=made.stamps).reasons)


def test_a_hole_in_a_window_is_replaced_and_told() -> None:
    made = simulate(scenario_named("clean"), 111)
    power = made.trace.power_mw.copy()
    start = int((made.truth.starts_s[7] + 0.01) * 5000)
    power[start : start + 60] = np.nan
    report = analyze_energy(_with(made.trace, power_mw=power), stamps=made.stamps)
    assert report.aligned is not None and report.aligned.void == (7,)
    assert any("holes of more than 2 ms" in note for note in report.notes)
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)


def test_foreign_activity_in_windows_is_replaced_and_told() -> None:
    made = simulate(scenario_named("clean"), 112)
    power = made.trace.power_mw.copy()
    for index in (5, 17):
        start = int(made.truth.starts_s[index] * 5000)
        power[start + 50 : start + 250] += 900.0
    report = analyze_energy(_with(made.trace, power_mw=power), stamps=made.stamps)
    assert report.aligned is not None and report.aligned.foreign == (5, 17)
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)


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


def test_regions_of_another_kind_are_not_taken_for_inferences() -> None:
    report = analyze_energy(simulate(scenario_named("short"), 3).trace, runs=7)  # six pulses and the warm-up
    assert not report.passed
    assert report.energy_mj is None or any("hardly all inferences" in reason for reason in report.reasons)


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


def test_records_survive_json(tmp_path: Path) -> None:
    for report in (_report(simulate(scenario_named("buried"), 1)), _report(simulate(scenario_named("clean"), 1))):
        report.save(tmp_path / "r.json")
        assert EnergyReport.load(tmp_path / "r.json") == report
        assert "NaN" not in (tmp_path / "r.json").read_text()
        json.loads((tmp_path / "r.json").read_text())


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


def test_interval_holds_the_mean_and_is_repeatable() -> None:
    values = np.random.default_rng(3).normal(100, 5, 50)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 5 / np.sqrt(50), rel=0.3)
    assert bootstrap_interval(values) == (low, high)


def test_integral_between_any_two_moments_is_exact() -> None:
    trace = PowerTrace(1000.0, np.arange(2000.0), np.zeros(2000, np.uint8))
    signal = signal_of(trace)
    expected = 0.5 * 3 / 1000 + (4 + 5) / 1000 + 0.25 * 6 / 1000
    assert signal.energy_mj(np.array([0.0035]), np.array([0.00625]))[0] == pytest.approx(expected)
    assert signal.mean_mw(5.0, 6.0) != signal.mean_mw(5.0, 6.0)
