"""The verdict on a record's energy: from its own stamps and its own trace, or none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from report_records import metered, run_of

from edgevit.errors import ArtifactError
from runtimes.bench.record import DeviceRun
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import Simulation, simulate
from validation.energy.judge import judge_energy


@pytest.fixture
def made() -> Simulation:
    return simulate(scenario_named("clean"), 0)


@pytest.fixture
def run(made: Simulation, tmp_path: Path) -> DeviceRun:
    made.trace.save(tmp_path / "a.energy.npz")
    return metered(run_of("a.onnx", 60.0), made.stamps, tmp_path / "a.energy.npz")


def test_a_record_says_its_energy(run: DeviceRun, made: Simulation, tmp_path: Path) -> None:
    report = judge_energy(run, tmp_path, top1_percent=80.0)
    assert report is not None and report.subject is not None
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)
    assert (report.verdict, report.inferences, report.top1_percent) == ("verified", 50, 80.0)
    subject = report.subject
    assert (subject.artifact, subject.device, subject.runner, subject.threads) == ("a.onnx", "8BC1", "python", 1)
    assert subject.sha256 == run.artifact.sha256
    assert (subject.affinity, subject.gap_ms) == (run.workload.affinity, 300.0)


def test_no_meter_no_energy(tmp_path: Path) -> None:
    assert judge_energy(run_of("a.onnx", 60.0), tmp_path) is None


def test_a_trace_that_is_lost_or_another_is_never_judged(run: DeviceRun, tmp_path: Path) -> None:
    trace = tmp_path / "a.energy.npz"
    data = trace.read_bytes()
    trace.write_bytes(data + b"x")
    with pytest.raises(
        ArtifactError, match=r"is not the power trace of its record: expected SHA-256 \w{12}, got \w{12}"
    ):
        judge_energy(run, tmp_path)
    trace.unlink()
    with pytest.raises(ArtifactError, match=r"the power trace of a\.onnx on 8BC1 is not there"):
        judge_energy(run, tmp_path)


def test_a_runner_without_times_is_judged_by_the_trace_alone_and_never_verified(run: DeviceRun, tmp_path: Path) -> None:
    assert run.energy is not None
    timeless = msgspec.structs.replace(
        run.energy.run.measured,
        samples=tuple(
            msgspec.structs.replace(each, start_monotonic_ns=None) for each in run.energy.run.measured.samples
        ),
    )
    round = msgspec.structs.replace(run.energy.run, measured=timeless)
    changed = msgspec.structs.replace(run, energy=msgspec.structs.replace(run.energy, run=round))
    report = judge_energy(changed, tmp_path)
    assert report is not None
    assert report.inferences == 50 and not report.passed
    layout = msgspec.structs.replace(run.energy.layout, whole_run=True)
    whole = msgspec.structs.replace(run, energy=msgspec.structs.replace(run.energy, layout=layout, run=round))
    with pytest.raises(ArtifactError, match="needs the run's times, which python does not tell"):
        judge_energy(whole, tmp_path)


def test_accuracy_stated_with_the_measurement_stays_with_it_unless_another_is_stated(
    run: DeviceRun, tmp_path: Path
) -> None:
    assert run.energy is not None
    stated = msgspec.structs.replace(run, energy=msgspec.structs.replace(run.energy, top1_percent=77.5))
    kept, replaced = judge_energy(stated, tmp_path), judge_energy(stated, tmp_path, top1_percent=81.0)
    assert kept is not None and replaced is not None
    assert (kept.top1_percent, replaced.top1_percent) == (77.5, 81.0)
