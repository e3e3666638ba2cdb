"""``bench --energy`` from subjects to saved reports, on this machine, with a meter that draws what really ran."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from bench_rig import onnx_subject
from stamp_meter import StampMeter

from edgevit.errors import MeterError, UsageError
from edgevit_export.workflows.energy import (
    EnergyBench,
    EnergyOptions,
    EnergyOutcome,
    energy_row,
    exit_code,
    measure_energy,
    print_outcomes,
)
from runtimes.bench.energy_plan import EnergySettings
from runtimes.devices.host import HostDevice
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport

pytestmark = pytest.mark.alone  # real time: bursts must not be torn by other tests

# thousands of a tiny model, so that a burst takes tens of milliseconds on the fastest machine too
SETTINGS = EnergySettings(runs=6, warmup=2, gap_ms=40.0, burst=5000, idle_s=2.2, timeout_s=60.0)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_reports_traces_and_stamps_are_kept(tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "scratch")
    subject = onnx_subject(tmp_path / "tiny.onnx")
    meter = StampMeter(tmp_path, cuts_usb=False)
    bench = EnergyBench(device, [subject], meter, SETTINGS, tmp_path / "results", top1={"": 70.0})
    (outcome,) = bench.run()
    assert outcome.error is None and outcome.path is not None
    report = EnergyReport.load(outcome.path)
    assert report == outcome.report
    assert report.subject is not None
    assert (report.subject.artifact, report.subject.sha256) == ("tiny.onnx", subject.sha256)
    assert report.subject.runtime.startswith("onnxruntime")
    assert report.top1_percent == 70.0 and report.inferences == 30_000 and report.inferences_per_burst == 5000
    stem = outcome.path.name.removesuffix(".energy.json")
    trace = PowerTrace.load(outcome.path.with_name(f"{stem}.energy.npz"))
    stamps = RunStamps.load(outcome.path.with_name(f"{stem}.energy.stamps.json"))
    assert len(stamps.bursts) == 6 and trace.seconds > 8


def test_an_artifact_that_fails_leaves_a_reason(tmp_path: Path) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    subject.path.write_bytes(b"no model")
    bench = EnergyBench(
        HostDevice(tmp_path / "scratch"), [subject], StampMeter(tmp_path), SETTINGS, tmp_path / "results"
    )
    (outcome,) = bench.run()
    assert outcome.report is None and outcome.error is not None
    assert not (tmp_path / "results").exists()


def test_meters_that_do_not_fit_stop_everything(tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "scratch")
    subject = onnx_subject(tmp_path / "tiny.onnx")
    with pytest.raises(UsageError, match="battery is read from an Android device"):
        measure_energy(device, [subject], EnergyOptions(meter="battery"), tmp_path / "results")
    with pytest.raises(UsageError, match="expected PERCENT"):
        measure_energy(device, [subject], EnergyOptions(meter="rapl", top1=("good",)), tmp_path / "results")
    with pytest.raises(MeterError, match="no INA power sensor"):
        measure_energy(device, [subject], EnergyOptions(meter="hwmon"), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_outcomes_add_up_to_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    made = simulate(scenario_named("short"), 4)
    good = EnergyOutcome("a.onnx", analyze_energy(made.trace, stamps=made.stamps))
    alone = EnergyOutcome("b.onnx", analyze_energy(made.trace, runs=50))
    lost = EnergyOutcome("c.onnx", error=MeterError("the Monsoon was unplugged"))
    assert exit_code([good]) == 0
    assert exit_code([good, alone]) == 1
    assert exit_code([good, alone, lost]) == 4
    print_outcomes([good, alone, lost])
    assert good.report is not None and energy_row("a.onnx", good.report)[-1] == "verified"
    seen = capsys.readouterr()
    assert "a.onnx" in seen.out
    assert "the Monsoon was unplugged" in seen.err
