"""Energy reports: what one method says, and the JSON of all versions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from power_judged import SOUND, TWO_LENGTHS
from power_physics import Setup, build

from edgevit.errors import UsageError
from runtimes.power.trace import LOST, OVER_CURRENT, PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport, check_top1, method_energy, trace_facts

METHOD_1 = {
    "wanted": 2, "found": 2, "energy_mean_mj": 61.0, "energy_sd_mj": 1.5, "energy_median_mj": 61.0,
    "power_mean_mw": 1010.0, "power_sd_mw": 12.0, "duration_mean_ms": 60.0, "duration_sd_ms": 0.1,
    "energies_mj": [60.0, 62.0], "durations_ms": [59.9, 60.1], "foreign": [1], "void": [0], "starts_s": [4.0, 4.3],
}  # fmt: skip
VERSION_1 = {
    "schema_version": 1, "verdict": "verified", "reasons": [], "notes": ["a note"], "method": "aligned",
    "inferences": 2, "inferences_per_burst": 1, "energy_mj": 61.0, "energy_sd_mj": 1.5, "energy_median_mj": 61.0,
    "interval_mj": [60.1, 61.9], "energy_with_tail_mj": 63.0, "power_mw": 1010.0, "power_sd_mw": 12.0,
    "duration_ms": 60.0, "snr": 40.0, "noise_mw": 25.0, "error_share": 0.001, "top1_percent": 80.0,
    "efficiency_percent_per_mj": 80.0 / 61.0, "aligned": METHOD_1, "regions": METHOD_1,
    "whole": {"seconds": 15.0, "energy_mj": 63.1, "expected_mj": 63.0, "deviation": 0.0016},
    "alignment": {
        "offset_s": -10.0, "drift_ppm": 12.0, "residual_ms": 0.2, "sections": 16, "peak_ratio": 3.0,
        "peak_sigma": 40.0, "pulses": 6,
    },
    "background": {
        "method": "gaps", "during_mw": 800.0, "before_mw": 790.0, "after_mw": None, "before_s": 4.0, "after_s": 0.0,
        "idle_scatter_mw": 3.0, "above_idle_mw": 1.0, "bend_mw": 5.0,
    },
    "tail": {"convention": "apart", "tail_ms": 50.0, "tail_mj": 2.0, "carried_mj": 0.0},
    "trace": {
        "source": "a.csv", "meter": "monsoon", "rate_hz": 5000.0, "measured_rate_hz": None, "seconds": 30.0,
        "samples": 150000, "lost_share": 0.001, "over_current": False,
    },
    "subject": {
        "artifact": "a.onnx", "sha256": "ab", "format": "onnx", "device": "8BC1", "runner": "python",
        "runtime": "onnxruntime", "threads": 1,
    },
}  # fmt: skip


def _report(setup: Setup) -> EnergyReport:
    case = build(setup, 1)
    return analyze_energy(case.trace, stamps=case.stamps, top1_percent=80.0)


@pytest.mark.parametrize("setup", [SOUND, TWO_LENGTHS])
def test_records_survive_json(setup: Setup, tmp_path: Path) -> None:
    report = _report(setup)
    report.save(tmp_path / "r.json")
    assert EnergyReport.load(tmp_path / "r.json") == report
    assert "NaN" not in (tmp_path / "r.json").read_text()


def test_a_report_of_version_1_is_read_as_it_was_written() -> None:
    report = EnergyReport.from_json(json.dumps(VERSION_1))
    assert (report.schema_version, report.passed, report.energy_mj) == (1, True, 61.0)
    assert report.interval_mj == (60.1, 61.9) and report.uncertainty_mj is None
    assert report.checks == () and report.overhead_mj is None and report.control_mj is None
    assert report.aligned is not None and report.background is not None and report.alignment is not None
    assert (report.aligned.incomplete, report.aligned.disturbed, report.aligned.counts) == ((0,), (1,), ())
    assert (report.background.max_off_line_mw, report.background.idle_scatter_mw) == (5.0, 3.0)
    assert (report.alignment.peak_ratio, report.alignment.longer_ms) == (3.0, None)
    assert report.whole is not None and report.whole.deviation == 0.0016
    again = EnergyReport.from_json(report.to_json())
    assert again == report


def test_a_report_of_a_later_version_is_refused() -> None:
    with pytest.raises(Exception, match="newer version"):
        EnergyReport.from_json(json.dumps(VERSION_1 | {"schema_version": 3}))


def test_names_in_json_are_those_of_the_first_version() -> None:
    report = _report(SOUND)
    saved = json.loads(report.to_json())
    assert {"foreign", "void"} <= set(saved["aligned"]) and "incomplete" not in saved["aligned"]
    assert "bend_mw" in saved["background"]
    assert set(VERSION_1) <= set(saved), "nothing that was told is left out"


@pytest.mark.parametrize("percent", [None, 0.1, 81.0, 100.0])
def test_an_accuracy_is_a_percentage(percent: float | None) -> None:
    check_top1(percent)


@pytest.mark.parametrize("percent", [0.0, -1.0, 100.1, float("nan")])
def test_an_accuracy_that_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(UsageError, match="expected percent, above 0 and up to 100"):
        check_top1(percent)


def test_figures_of_a_method_by_hand() -> None:
    made = method_energy(
        np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.3, 0.1]), np.array([50.0, 180.0, 70.0]), np.array([1.0, 3.0, 1.0]),
        wanted=4,
    )  # fmt: skip
    assert (made.wanted, made.found) == (4, 3)
    assert made.energies_mj == (50.0, 60.0, 70.0) and made.energy_mean_mj == 300 / 5
    assert (made.energy_median_mj, made.energy_sd_mj) == (60.0, pytest.approx(10.0))
    assert made.durations_ms == pytest.approx((100.0, 100.0, 100.0)) and made.duration_mean_ms == pytest.approx(100.0)
    assert made.power_mean_mw == pytest.approx((500 + 600 + 700) / 3) and made.power_sd_mw == pytest.approx(100.0)
    assert (made.starts_s, made.counts, made.incomplete) == ((1.0, 2.0, 3.0), (1, 3, 1), ())


def test_windows_that_do_not_count_are_listed_and_left_out() -> None:
    made = method_energy(
        np.arange(4.0), np.array([0.1, 0.2, 0.1, 0.1]), np.array([10.0, 99.0, 20.0, 60.0]), np.ones(4), wanted=4,
        used=np.array([True, False, True, True]),
    )  # fmt: skip
    assert made.incomplete == (1,) and made.energy_mean_mj == 30.0 and made.energy_median_mj == 20.0
    assert made.energy_sd_mj == pytest.approx(np.std([10, 20, 60], ddof=1))
    assert made.energies_mj == (10.0, 99.0, 20.0, 60.0) and made.counts == ()
    assert made.duration_mean_ms == pytest.approx(125.0), "the length is known all the same"


def test_one_window_has_no_deviation() -> None:
    made = method_energy(np.ones(1), np.ones(1), np.ones(1), np.ones(1), wanted=1)
    assert (made.energy_sd_mj, made.power_sd_mw, made.duration_sd_ms) == (0.0, 0.0, 0.0)


def test_facts_of_a_trace() -> None:
    flags = np.zeros(1000, np.uint8)
    flags[:10] = LOST
    flags[20] = OVER_CURRENT
    stamps = np.array([[0.0, 5.0], [500.0, 10.0], [1000.0, 15.0]])
    trace = PowerTrace(
        100.0, np.ones(1000), flags, host_stamps=stamps, meta={"meter": "monsoon", "source": "recorded.npz"}
    )
    facts = trace_facts(trace, "")
    assert (facts.source, facts.meter, facts.rate_hz, facts.samples) == ("recorded.npz", "monsoon", 100.0, 1000)
    assert facts.measured_rate_hz == pytest.approx(100.0)
    assert (facts.seconds, facts.lost_share, facts.over_current) == (10.0, 0.01, True)
    assert trace_facts(trace, "given.csv").source == "given.csv"
    assert trace_facts(PowerTrace(100.0, np.ones(10), np.zeros(10, np.uint8)), "").meter == "unknown"


def test_uncertainties_of_a_method_by_hand() -> None:
    """Windows of one power that take their own time scatter not at all; three windows have a t of 4.303."""
    lasts = np.array([0.1, 0.3, 0.2])
    even = method_energy(np.arange(3.0), lasts, 500 * lasts, np.ones(3), wanted=3)
    assert even.energy_uncertainty_mj == pytest.approx(0.0, abs=1e-9)
    assert even.power_uncertainty_mw == pytest.approx(0.0, abs=1e-9)
    assert even.duration_uncertainty_ms == pytest.approx(4.3027 * 100 / np.sqrt(3), rel=1e-4)
    uneven = method_energy(np.arange(3.0), np.full(3, 0.1), np.array([50.0, 60.0, 70.0]), np.ones(3), wanted=3)
    assert uneven.energy_uncertainty_mj == pytest.approx(4.3027 * 10 / np.sqrt(3), rel=1e-4)
    assert uneven.power_uncertainty_mw == pytest.approx(4.3027 * 100 / np.sqrt(3), rel=1e-4)
