"""Runs under a meter on this machine, with a meter that draws what the runner really did."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import onnx
from bench_rig import Events, onnx_subject
from metered import Host, measure_energy
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper
from stamp_meter import BUSY_MW, StampMeter
from steady_python import steady_python

from edgevit.records import sha256_file
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.bench.record import DeviceRun, EnergyRun
from runtimes.power.trace import PowerTrace
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload
from validation.energy.analysis import analyze_energy
from validation.energy.judge import judge_energy

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("state_dir")]  # real time: bursts must not be torn

# Bursts of one length, whose energy is that of one inference times their number.
ALIKE = Workload(burst_factors=(1,), controls=0)
WORKLOAD = replace(ALIKE, runs=12, rounds=2, warmup=3, gap_ms=60.0, timeout_s=60.0)
# thousands of a tiny model, so that a burst takes tens of milliseconds on the fastest machine too
TINY = replace(ALIKE, runs=6, rounds=2, warmup=2, gap_ms=40.0, burst=5000, timeout_s=60.0)


def products(path: Path, *, size: int = 900, repeats: int = 6) -> Subject:
    """Matrix products that take some milliseconds."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array((rng.normal(size=(size, size)) / size).astype(np.float32), "w")
    names = ["x", *(f"h{i}" for i in range(repeats - 1)), "y"]
    nodes = [helper.make_node("MatMul", [names[i], "w"], [names[i + 1]]) for i in range(repeats)]
    shape = (size, size)
    graph = helper.make_graph(
        nodes, "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], [weight],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Subject(
        name=path.name, path=path, format=Format.ONNX, sha256=sha256_file(path), size_bytes=path.stat().st_size,
        inputs=(TensorSpec(name="x", shape=shape),), outputs=(TensorSpec(name="y", shape=shape),),
        feeds=({"x": rng.normal(size=shape).astype(np.float32)},),
    )  # fmt: skip


class Measured:
    """One record with its energy, and what stood around it."""

    def __init__(self, home: Path, asked: Workload) -> None:
        self.device, self.meter, self.events = Host(home / "scratch"), StampMeter(home), Events()
        # Only the shape of the answer is judged: the products' weights are not the rig's.
        outcome = measure_energy(
            self.device, [onnx_subject(home / "tiny.onnx")], home / "out", self.meter, asked, events=self.events
        )
        (self.run,) = outcome.runs
        self.directory = home / "out" / "host"

    @property
    def energy(self) -> EnergyRun:
        assert self.run.energy is not None, self.run.energy_failure
        return self.run.energy


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    home = tmp_path_factory.mktemp("metered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        return Measured(home, TINY)


def test_one_record_holds_latencies_and_energy(measured: Measured) -> None:
    (stored,) = measured.directory.glob("*.json")
    assert DeviceRun.load(stored) == measured.run
    assert measured.run.complete
    assert [len(each.measured.samples) for each in measured.run.rounds] == [3, 3]
    assert len(measured.energy.run.measured.samples) == 6 * 5000
    assert measured.energy.run.verification.status == "passed"
    trace = measured.directory / measured.energy.trace_file
    assert sha256_file(trace) == measured.energy.trace_sha256
    assert measured.energy.stamps is not None
    assert len(measured.energy.stamps.bursts) == 6


def test_its_energy_is_right(measured: Measured) -> None:
    report = judge_energy(measured.run, measured.directory)
    assert report is not None and report.subject is not None and measured.energy.stamps is not None
    durations_s = [(window.end_ns - window.start_ns) / 1e9 for window in measured.energy.stamps.bursts]
    assert report.energy_mj == pytest.approx(BUSY_MW * float(np.mean(durations_s)) / 5000, rel=0.05)
    assert (report.subject.artifact, report.subject.sha256) == ("tiny.onnx", measured.run.artifact.sha256)
    assert report.subject.runtime.startswith("onnxruntime")
    assert (report.top1_percent, report.inferences, report.inferences_per_burst) == (70.0, 30_000, 5000)


def test_host_clock_and_trace_agree(measured: Measured) -> None:
    trace = PowerTrace.load(measured.directory / measured.energy.trace_file)
    found = analyze_energy(trace, stamps=measured.energy.stamps)
    assert found.alignment is not None and measured.energy.device_to_trace_s is not None
    assert measured.energy.device_to_trace_s == pytest.approx(found.alignment.offset_s, abs=0.05)
    assert found.alignment.pulses == 6


def test_order_of_things(measured: Measured) -> None:
    calls = [call for call in measured.meter.calls if call != "close"]
    assert calls == ["prepare", "prepare", "start", "stop"], "tried before the rounds, then used once"
    assert measured.meter.calls[-1] == "close", "nothing was put back after the run"
    assert measured.device.reconnected == 1
    assert any("USB is cut" in note for note in measured.events.notes)
    assert PowerTrace.load(measured.directory / measured.energy.trace_file).seconds > measured.energy.layout.expected_s


def test_idle_lies_around_the_run(measured: Measured) -> None:
    report = judge_energy(measured.run, measured.directory)
    assert report is not None and report.background is not None
    assert report.background.before_s >= 2.0, "as much as was asked for, which is the least that can be"
    assert report.background.after_s >= 2.0
    assert report.background.during_mw == pytest.approx(800.0, abs=5.0)


def test_a_single_inference_of_milliseconds_is_aligned(tmp_path: Path) -> None:
    """The products' outputs are not the rig's ``y``, so they are judged wrong: energy is measured all the same."""
    meter = StampMeter(tmp_path)
    (run,) = measure_energy(Host(tmp_path / "s"), [products(tmp_path / "m.onnx")], tmp_path, meter, WORKLOAD).runs
    assert run.energy is not None and run.energy.stamps is not None
    assert run.energy.layout.workload.burst == 1
    report = judge_energy(run, tmp_path / "host")
    durations_s = [(window.end_ns - window.start_ns) / 1e9 for window in run.energy.stamps.bursts]
    assert report is not None and report.aligned is not None and report.alignment is not None
    assert report.energy_mj == pytest.approx(BUSY_MW * float(np.mean(durations_s)), rel=0.02)
    assert report.alignment.residual_ms is not None and report.alignment.residual_ms < 0.3
    assert report.aligned.found == 12


def test_the_runner_does_what_stands_in_the_schedule(tmp_path: Path) -> None:
    """Two lengths, gaps that vary and controls, by the stamps of the real runner; the trace shows who was busy when."""
    asked = Workload(runs=6, rounds=2, warmup=2, gap_ms=60.0, burst=2000, controls=3, seed=5, timeout_s=60.0)
    measured = Measured(tmp_path, asked)
    work, stamps = measured.energy.layout.workload, measured.energy.stamps
    assert stamps is not None and measured.run.workload == asked
    assert (work.burst_factors, work.gap_spread, work.seed) == ((1, 3), 0.6, 5)
    assert stamps.counts == tuple(step.count for step in work.schedule if step.count)
    assert sorted(stamps.counts) == [2000] * 3 + [6000] * 3 and stamps.inferences_per_burst == 2000
    assert len(measured.energy.run.measured.samples) == work.runs == 24_000
    done = sorted(
        [(window.start_ns, window.end_ns, count) for window, count in zip(stamps.bursts, stamps.counts, strict=True)]
        + [(window.start_ns, window.end_ns, 0) for window in stamps.controls]
    )
    assert [count for *_, count in done] == [step.count for step in work.schedule]
    gaps_ms = [(start_ns - ended_ns) / 1e6 for (_, ended_ns, _), (start_ns, *_) in pairwise(done)]
    waits_ms = [(end_ns - start_ns) / 1e6 for start_ns, end_ns, count in done if not count]
    late_ms = np.array([*gaps_ms, *waits_ms]) - [
        *(step.gap_ms for step in work.schedule[1:]), *(step.wait_ms for step in work.schedule if step.wait_ms)
    ]  # fmt: skip
    assert late_ms.min() >= 0 and np.median(late_ms) < 5.0, "never early, and late only when the machine is"
    told = "tiny.onnx: energy, 6 bursts of 2000 or 6000, 3 controls, "
    assert [note for note in measured.events.notes if note.startswith(told)]


def test_a_run_by_the_defaults_of_a_steady_model_is_verified(tmp_path: Path) -> None:
    """Two lengths, random gaps and controls as they come; one more inference costs what the trace was drawn by."""
    asked = Workload(runs=24, rounds=2, warmup=3, timeout_s=120.0)
    meter, python = StampMeter(tmp_path), steady_python(tmp_path / "steady", 0.03)
    (run,) = measure_energy(
        Host(tmp_path / "s"), [onnx_subject(tmp_path / "tiny.onnx")], tmp_path, meter, asked, python=python
    ).runs
    report = judge_energy(run, tmp_path / "host")
    assert run.energy is not None and run.energy.stamps is not None and report is not None
    assert report.verdict == "verified", report.reasons
    assert report.uncertainty_mj is not None and report.control_mj is not None and report.overhead_mj is not None
    assert report.energy_mj == pytest.approx(BUSY_MW * 0.03, rel=0.02)
    stamps = run.energy.stamps
    lasting_s = np.array([(window.end_ns - window.start_ns) / 1e9 for window in stamps.bursts])
    slope_s = float(np.polyfit(stamps.burst_counts, lasting_s, 1)[0])
    assert report.energy_mj == pytest.approx(BUSY_MW * slope_s, abs=report.uncertainty_mj)
    assert report.control_mj == pytest.approx(0.0, abs=0.01 * report.energy_mj)
