"""Energy analysis against traces whose energy is exactly known: by the project's simulator and by another."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from power_boxes import recorded, row
from power_course import boxes
from power_judged import SOUND, TWO_LENGTHS, failing, with_lost, with_power
from power_physics import Case, Layout, Setup, build
from power_sound import sound
from trace_section import section

from edgevit.errors import FailureError, UsageError
from runtimes.power.scenarios import HARD, TABLE, VARIED, Scenario, scenario_named
from runtimes.power.simulate import simulate
from validation.energy.analysis import SLOPE_CONVENTION, WINDOW_CONVENTION, analyze_energy, examine
from validation.energy.checks import check_figure
from validation.energy.report import EnergyReport

REFUSED = {"short-gap-tail", "no-gaps", "no-pulses", "buried", "locked-load", "locked-window"}
BASE = build(SOUND, 1)
TWO = build(TWO_LENGTHS, 1)


def _report(case: Case, **options: float) -> EnergyReport:
    return analyze_energy(case.trace, stamps=case.stamps, **options)  # type: ignore[arg-type]


def _interval(report: EnergyReport) -> tuple[float, float]:
    """Energy and half of its interval."""
    assert report.energy_mj is not None and report.uncertainty_mj is not None
    return report.energy_mj, report.uncertainty_mj


@pytest.mark.parametrize("scenario", [*TABLE, *HARD, *VARIED], ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("seed", [101, 102])
def test_every_scenario_is_right_or_refused(scenario: Scenario, seed: int) -> None:
    made = simulate(scenario, seed)
    report = analyze_energy(made.trace, stamps=made.stamps)
    assert report.passed == (scenario.name not in REFUSED), report.reasons
    truth = made.truth.active_mj if made.truth.slope_mj is None else made.truth.slope_mj
    limit = 0.01 if scenario.quiet else 0.03
    assert report.energy_mj == pytest.approx(truth, rel=limit if scenario.name not in REFUSED else 0.25)


@pytest.mark.parametrize("name", ["clean", "short", "ramp-tail", "drift", "latency-spread"])
def test_windows_and_tails_together_are_all_that_the_inferences_cause(name: str) -> None:
    made = simulate(scenario_named(name), 103)
    report = analyze_energy(made.trace, stamps=made.stamps)
    assert report.energy_with_tail_mj == pytest.approx(made.truth.total_mj, rel=0.01)
    assert report.duration_ms == pytest.approx(made.truth.duration_ms, rel=0.002)
    assert report.power_mw == pytest.approx(made.truth.power_mw, rel=0.01)
    assert report.regions is not None and report.regions.found == report.regions.wanted == 50


def test_a_load_that_is_locked_to_the_bursts_is_overhead_and_shows_in_the_controls() -> None:
    made = simulate(scenario_named("locked-load"), 103)
    report = analyze_energy(made.trace, stamps=made.stamps)
    assert report.overhead_mj is not None and report.overhead_uncertainty_mj is not None
    assert made.truth.slope_mj == pytest.approx(report.energy_mj, rel=0.03)
    fixed = made.truth.active_mj * made.truth.inferences / 50 - made.truth.slope_mj * made.truth.inferences / 50
    assert abs(report.overhead_mj - fixed - 0.3 * 40) < 1.2 * report.overhead_uncertainty_mj
    assert report.control_mj == pytest.approx(0.3 * 40, rel=0.05), "300 mW for 40 ms, however long the control"
    assert not report.passed


def test_the_report_is_the_estimate_and_its_checks() -> None:
    case = build(replace(SOUND, power_jitter=0.08), 1)
    evidence, report = examine(case.trace, case.stamps), _report(case)
    found = evidence.estimate
    assert report.checks == check_figure(evidence)
    assert report.reasons == tuple(check.reason for check in report.checks if not check.passed) != ()
    assert (report.verdict, report.passed, report.method) == ("unverified", False, "aligned")
    assert report.energy_mj == found.energy_mj and report.uncertainty_mj == found.half_mj
    assert report.interval_mj == (found.energy_mj - found.half_mj, found.energy_mj + found.half_mj)
    assert report.error_share == found.error_mj / found.energy_mj
    assert report.noise_mw == evidence.signal.noise_mw == pytest.approx(10.0, rel=0.1)
    assert report.snr is not None and report.snr == pytest.approx(150.0, rel=0.1)
    assert (report.inferences, report.inferences_per_burst) == (50, 1)
    assert report.trace.rate_hz == 1000.0 and report.trace.samples == len(case.trace.power_mw)
    assert report.schema_version == 2 and report.subject is None


def test_a_sound_report_has_no_reasons() -> None:
    report = _report(BASE)
    assert (report.verdict, report.passed, report.reasons) == ("verified", True, ())
    assert all(check.passed for check in report.checks)
    energy, half = _interval(report)
    assert abs(energy - BASE.truth_mj) < 2 * half
    assert report.aligned is not None and report.regions is not None
    assert report.aligned.energy_mean_mj == pytest.approx(report.energy_mj)
    assert report.regions.energy_mean_mj == pytest.approx(energy, rel=0.03)


def test_the_tail_is_stated_apart_and_its_convention_said() -> None:
    report = _report(BASE)
    tail = SOUND.tail.area * SOUND.tail_s * SOUND.tail_height * SOUND.power_mw
    assert report.tail is not None and report.tail.convention == WINDOW_CONVENTION
    assert report.tail.tail_mj == pytest.approx(tail, rel=0.1)
    assert 10 < report.tail.tail_ms < 35 and report.tail.carried_mj == 0
    assert report.energy_mj is not None
    assert report.energy_with_tail_mj == pytest.approx(report.energy_mj + report.tail.tail_mj)


def test_with_two_lengths_the_figure_is_a_slope_and_a_tail_is_not_added() -> None:
    report = _report(TWO)
    assert report.passed and report.energy_mj == pytest.approx(TWO.truth_mj, rel=0.01)
    assert report.tail is not None and report.tail.convention == SLOPE_CONVENTION
    assert report.energy_with_tail_mj is None and report.tail.tail_mj is not None
    tail = SOUND.tail.area * SOUND.tail_s * SOUND.tail_height * SOUND.power_mw
    assert report.tail.tail_mj == pytest.approx(tail / 2, rel=0.1), "by the two inferences of the mean burst"
    assert (report.inferences, report.inferences_per_burst) == (80, 1)
    assert report.aligned is not None and set(report.aligned.counts) == {1, 3}
    assert report.overhead_mj is not None and report.overhead_uncertainty_mj is not None
    assert abs(report.overhead_mj) < 2 * report.overhead_uncertainty_mj
    assert report.control_mj is not None and report.control_uncertainty_mj is not None
    assert abs(report.control_mj) < 3 * report.control_uncertainty_mj


def test_the_clock_is_stated_as_the_traces_time_against_the_devices() -> None:
    report = _report(BASE)
    assert report.alignment is not None
    assert report.alignment.drift_ppm == pytest.approx(-20.0, abs=10.0)
    middle = (BASE.stamps.bursts[0].start_ns + BASE.stamps.bursts[-1].end_ns) / 2e9
    expected = (middle / (1 + 20e-6) - SOUND.epoch_s / (1 + 20e-6)) - middle
    assert report.alignment.offset_s == pytest.approx(expected, abs=0.001)
    assert report.alignment.residual_ms is not None and report.alignment.residual_ms < 0.5
    assert report.alignment.longer_ms == pytest.approx(0.0, abs=0.5)
    assert (report.alignment.pulses, report.alignment.sections) == (6, 12)
    assert report.alignment.peak_sigma > 50


def test_what_cannot_be_told_is_none_and_no_nan() -> None:
    noise = np.random.default_rng(0).normal(800, 30, len(BASE.trace.power_mw))
    report = _report(with_power(BASE, noise))
    assert not report.passed and report.alignment is not None
    assert "NaN" not in report.to_json() and "Infinity" not in report.to_json()
    assert report.efficiency_percent_per_mj is None


def test_the_background_is_stated_with_the_idle_on_both_sides() -> None:
    load = boxes(0.0, 99.0, 100.0)

    def stays(layout: Layout, setup: Setup, rng: np.random.Generator) -> object:
        return load

    background = _report(build(SOUND, 1, load=stays)).background  # type: ignore[arg-type]
    assert background is not None and background.method == "gaps"
    assert background.during_mw == pytest.approx(900.0, abs=3.0)
    assert background.before_mw == pytest.approx(900.0, abs=3.0) == background.after_mw
    assert background.above_idle_mw == pytest.approx(0.0, abs=3.0)
    assert background.before_s == pytest.approx(3.95, abs=0.1) or background.before_s > 3.0
    assert 2.5 < background.after_s < 4.0


def test_incomplete_windows_are_noted_and_listed() -> None:
    report = _report(with_lost(BASE, _hole(BASE, 7)))
    assert "1 windows hold holes and do not count" in report.notes
    assert report.aligned is not None and report.aligned.incomplete == (7,)
    assert not any("holes" in note for note in _report(BASE).notes)


def _hole(case: Case, window: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    start = examine(case.trace, case.stamps).model.bursts.starts_s[window]
    lost = np.zeros(len(case.trace.power_mw), np.bool_)
    lost[int(start * 1000) + 5 : int(start * 1000) + 15] = True
    return lost


@pytest.mark.parametrize(("times", "noted"), [(1.4, False), (3.0, True)])
def test_a_first_slow_inference_is_noted(times: float, noted: bool) -> None:
    spans = [(2.0, 2.0 + 0.06 * times), *row(14, first_s=2.6)]
    trace, stamps = recorded(spans)
    notes = analyze_energy(trace, stamps=stamps).notes
    assert any("the first inference took 3.0 times the median: warm up longer" in note for note in notes) == noted


def test_what_no_recording_of_this_kind_can_tell_is_noted() -> None:
    assert any("bench --energy makes both" in note for note in _report(BASE).notes)
    assert not any("bench --energy" in note for note in _report(TWO).notes)


def test_controls_say_what_keeps_the_runs_schedule_at_most() -> None:
    report = _report(TWO)
    assert report.control_mj is not None and report.control_uncertainty_mj is not None
    most = abs(report.control_mj) + report.control_uncertainty_mj
    assert f"what else keeps the run's schedule, controls included, is at most {most:.3f} mJ a window" in report.notes
    counted = build(replace(TWO_LENGTHS, plan=(1, 3) * 25), 1)
    assert not any("schedule" in note or "cannot be told" in note for note in _report(counted).notes)


def test_efficiency_is_the_accuracy_by_the_energy() -> None:
    report = _report(BASE, top1_percent=81.0)
    assert report.energy_mj is not None
    assert (report.top1_percent, report.efficiency_percent_per_mj) == (81.0, pytest.approx(81.0 / report.energy_mj))
    assert _report(BASE).efficiency_percent_per_mj is None


def test_the_source_is_kept() -> None:
    assert analyze_energy(BASE.trace, stamps=BASE.stamps, source="a.csv").trace.source == "a.csv"


def test_bursts_of_several_inferences_are_divided() -> None:
    stamps = msgspec.structs.replace(BASE.stamps, inferences_per_burst=10)
    one, ten = _report(BASE), analyze_energy(BASE.trace, stamps=stamps, runs=500)
    assert one.energy_mj is not None and one.duration_ms is not None and one.tail is not None and ten.tail is not None
    assert ten.energy_mj == pytest.approx(one.energy_mj / 10) and ten.inferences == 500
    assert ten.duration_ms == pytest.approx(one.duration_ms / 10)
    assert ten.power_mw == pytest.approx(one.power_mw)
    assert one.tail.tail_mj is not None and ten.tail.tail_mj == pytest.approx(one.tail.tail_mj / 10)
    assert ten.uncertainty_mj == pytest.approx(_interval(one)[1] / 10)


def test_requests_that_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="number of inferences"):
        analyze_energy(BASE.trace)
    with pytest.raises(UsageError, match="number of inferences"):
        analyze_energy(BASE.trace, runs=0)
    with pytest.raises(UsageError, match="49 runs asked for, but the stamps hold 50"):
        analyze_energy(BASE.trace, runs=49, stamps=BASE.stamps)
    with pytest.raises(UsageError, match="50 runs asked for, but the stamps hold 80"):
        analyze_energy(TWO.trace, runs=50, stamps=TWO.stamps)
    assert analyze_energy(TWO.trace, runs=80, stamps=TWO.stamps).passed
    with pytest.raises(UsageError, match="expected percent"):
        analyze_energy(BASE.trace, stamps=BASE.stamps, top1_percent=120.0)
    with pytest.raises(FailureError, match="not of the same run"):
        analyze_energy(section(BASE.trace, 0, 3), stamps=BASE.stamps)
    with pytest.raises(FailureError, match="nothing to analyse"):
        analyze_energy(section(BASE.trace, 0, 0.001), stamps=BASE.stamps)


def test_paper_figures_are_means_and_deviations_over_the_regions() -> None:
    made = simulate(scenario_named("latency-spread"), 116)
    method = analyze_energy(made.trace, stamps=made.stamps).regions
    assert method is not None
    energies = np.array(method.energies_mj)
    assert method.energy_mean_mj == pytest.approx(energies.mean())
    assert method.energy_sd_mj == pytest.approx(energies.std(ddof=1))
    assert method.power_mean_mw == pytest.approx(np.mean(energies / np.array(method.durations_ms) * 1e3), rel=1e-6)
    np.testing.assert_allclose(energies, made.truth.active_each_mj, rtol=0.05)


# What must not change the figure, on several sound recordings.

SOME = [BASE, TWO, *(sound(seed) for seed in (0, 1))]
EACH = pytest.mark.parametrize("case", SOME, ids=["one length", "two lengths", "sound 0", "sound 1"])


def _same(case: Case, changed: Case, *, factor: float = 1.0) -> None:
    """Both are verified, and the figures differ by no more than the figure is known."""
    before, after = _report(case), _report(changed)
    assert before.passed and after.passed, (before.reasons, after.reasons)
    (one, half), (other, _) = _interval(before), _interval(after)
    assert abs(other / factor - one) < half


@EACH
def test_a_recording_is_judged_alike_every_time(case: Case) -> None:
    assert _report(case) == _report(case)


@EACH
@pytest.mark.parametrize("offset_s", [1.0, -1.0, 12345.678])
def test_when_the_devices_clock_began_changes_nothing(case: Case, offset_s: float) -> None:
    ticks = max(round(offset_s * 1e9), -min(window.start_ns for window in case.stamps.pulses) + 1)

    def later(windows: tuple[object, ...]) -> list[dict[str, int]]:
        return [{k: v + ticks for k, v in msgspec.to_builtins(window).items()} for window in windows]

    groups = {name: later(getattr(case.stamps, name)) for name in ("bursts", "controls", "pulses", "warmup", "other")}
    stamps = msgspec.convert(msgspec.to_builtins(case.stamps) | groups, type(case.stamps))
    _same(case, replace(case, stamps=stamps))


@EACH
def test_more_idle_on_both_sides_changes_nothing(case: Case) -> None:
    trace = case.trace
    count = round(3 * trace.rate_hz)
    rng = np.random.default_rng(5)
    known = np.flatnonzero(np.isfinite(trace.power_mw))
    quiet = trace.power_mw[known][: round(0.5 * trace.rate_hz)]
    more = [np.nanmean(quiet) + np.nanstd(quiet) * rng.standard_normal(count) for _ in range(2)]
    power = np.concatenate([more[0], trace.power_mw, more[1]])
    flags = np.concatenate([np.zeros(count, np.uint8), trace.flags, np.zeros(count, np.uint8)])
    stamps = trace.host_stamps + np.array([count, 0.0]) if len(trace.host_stamps) else trace.host_stamps
    longer = replace(trace, power_mw=power, flags=flags, host_stamps=stamps, current_ma=None, voltage_v=None)
    _same(case, replace(case, trace=longer))


@EACH
@pytest.mark.parametrize("added_mw", [150.0, 2000.0])
def test_power_that_is_always_drawn_changes_nothing(case: Case, added_mw: float) -> None:
    _same(case, with_power(case, case.trace.power_mw + added_mw))


@EACH
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_energy_goes_with_the_power(case: Case, factor: float) -> None:
    _same(case, with_power(case, case.trace.power_mw * factor), factor=factor)


@pytest.mark.parametrize("setup", [SOUND, TWO_LENGTHS], ids=["one length", "two lengths"])
@pytest.mark.parametrize("rate_hz", [400.0, 1250.0, 5000.0])
def test_the_rate_of_the_meter_changes_nothing(setup: Setup, rate_hz: float) -> None:
    _same(build(setup, 1), build(replace(setup, rate_hz=rate_hz, noise_mw=10 * (rate_hz / 1000) ** 0.5), 1))


@EACH
def test_means_of_two_samples_tell_the_same(case: Case) -> None:
    trace = case.trace
    even = len(trace.power_mw) // 2 * 2
    power, flags = trace.power_mw[:even].reshape(-1, 2), trace.flags[:even].reshape(-1, 2)
    stamps = trace.host_stamps * np.array([0.5, 1.0]) if len(trace.host_stamps) else trace.host_stamps
    half = replace(
        trace, rate_hz=trace.rate_hz / 2, power_mw=power.mean(axis=1), flags=flags.max(axis=1), host_stamps=stamps,
        current_ma=None, voltage_v=None,
    )  # fmt: skip
    _same(case, replace(case, trace=half))


def _scatter(report: EnergyReport) -> float:
    """What the scatter of the windows alone puts on the figure."""
    assert report.error_share is not None
    return report.error_share


@pytest.mark.parametrize("setup", [SOUND, TWO_LENGTHS], ids=["one length", "two lengths"])
def test_a_restless_background_widens_the_interval(setup: Setup) -> None:
    quiet = replace(setup, power_jitter=0.0, latency_jitter=0.0, tail_height=0.0)
    halves = [
        np.mean([_scatter(_report(build(replace(quiet, noise_mw=noise), seed))) for seed in range(8)])
        for noise in (30.0, 60.0, 120.0)
    ]
    assert 1.5 < halves[1] / halves[0] < 2.6 and 1.6 < halves[2] / halves[1] < 2.4


def test_half_of_the_windows_make_the_interval_wider_by_the_root_of_two() -> None:
    setup = replace(SOUND, tail_height=0.0, power_jitter=0.02)
    halves = [
        np.mean([_scatter(_report(build(replace(setup, plan=(1,) * count), seed))) for seed in range(8)])
        for count in (25, 50, 100)
    ]
    assert 1.2 < halves[0] / halves[1] < 1.75 and 1.2 < halves[1] / halves[2] < 1.75


def test_a_load_beside_the_run_that_knows_nothing_of_it_changes_little() -> None:
    def load(layout: Layout, setup: Setup, rng: np.random.Generator) -> object:
        starts = rng.uniform(0, layout.seconds, 12)
        return boxes(starts, starts + 0.15, 300.0)

    for seed in (1, 2, 3):
        case = build(SOUND, seed, load=load)  # type: ignore[arg-type]
        assert failing(case) == {}
        energy, half = _interval(_report(case))
        assert abs(energy - case.truth_mj) < 2 * half


@pytest.mark.parametrize("stamped", [True, False])
def test_columns_that_were_not_read_are_noted(stamped: bool) -> None:
    made = simulate(scenario_named("clean"), 103)
    trace = replace(made.trace, meta={**made.trace.meta, "columns not read": "usb current_a"})
    options = {"stamps": made.stamps} if stamped else {"runs": 50}
    note = "columns of the file that were not read: usb current_a"
    assert note in analyze_energy(trace, **options).notes  # type: ignore[arg-type]
    assert note not in analyze_energy(made.trace, **options).notes  # type: ignore[arg-type]
