"""Capture of a detached run on this machine, with a meter that draws what the runner really did."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from stamp_meter import BUSY_MW, StampMeter

from edgevit.errors import DeviceError, MeterError
from edgevit.records import sha256_file
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.bench.capture import Capture, EnergyCapture
from runtimes.bench.energy_plan import EnergyPlan, EnergySettings
from runtimes.bench.energy_runner import EnergyRunner, stamps_of
from runtimes.devices.host import HostDevice
from runtimes.runners.contract import Clocks, Header, Phase, Pulse, RunLines, Sample
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Runner, RunSettings, Subject
from validation.energy.analysis import analyze_energy

pytestmark = pytest.mark.alone  # real time: bursts must not be torn by other tests

SETTINGS = EnergySettings(runs=12, warmup=3, gap_ms=60.0, idle_s=2.6, timeout_s=60.0)


def _subject(path: Path, *, size: int = 900, repeats: int = 6) -> Subject:
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


def _runner(settings: RunSettings, plan: EnergyPlan | None) -> Runner:
    return PythonRunner(sys.executable, settings) if plan is None else EnergyRunner(sys.executable, settings, plan)


class Host(HostDevice):
    """Records when it is called back."""

    reconnected = 0

    def reconnect(self, timeout_s: float = 20.0) -> None:
        self.reconnected += 1


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnergyCapture, StampMeter, Host, list[str]]:
    home = tmp_path_factory.mktemp("capture")
    device, notes = Host(home / "scratch"), []
    meter = StampMeter(home)
    capture = Capture(device, meter, SETTINGS, note=notes.append).run(_subject(home / "m.onnx"), _runner)
    return capture, meter, device, notes


def test_the_detached_run_is_aligned_and_its_energy_right(
    captured: tuple[EnergyCapture, StampMeter, Host, list[str]],
) -> None:
    capture = captured[0]
    assert capture.stamps is not None
    report = analyze_energy(capture.trace, stamps=capture.stamps, runs=12)
    durations_s = [(window.end_ns - window.start_ns) / 1e9 for window in capture.stamps.bursts]
    assert report.energy_mj == pytest.approx(BUSY_MW * float(np.mean(durations_s)), rel=0.02)
    assert report.alignment is not None and abs(report.alignment.drift_ppm) < 60
    assert report.alignment.residual_ms is not None and report.alignment.residual_ms < 0.3
    assert report.alignment.pulses == 6
    assert report.aligned is not None and report.aligned.found == 12


def test_host_clock_and_trace_agree(captured: tuple[EnergyCapture, StampMeter, Host, list[str]]) -> None:
    capture = captured[0]
    assert capture.stamps is not None and capture.device_to_trace_s is not None
    found = analyze_energy(capture.trace, stamps=capture.stamps)
    assert found.alignment is not None
    assert capture.device_to_trace_s == pytest.approx(found.alignment.offset_s, abs=0.05)


def test_order_of_things(captured: tuple[EnergyCapture, StampMeter, Host, list[str]]) -> None:
    capture, meter, device, notes = captured
    assert [call for call in meter.calls if call != "close"] == ["prepare", "start", "stop"]
    assert meter.calls.index("stop") < len(meter.calls) - 1, "nothing was put back after the run"
    assert device.reconnected == 1
    assert any("USB is cut" in note for note in notes)
    assert len(capture.measured.samples) == 12
    assert capture.trace.seconds > capture.plan.expected_s


def test_idle_lies_around_the_run(captured: tuple[EnergyCapture, StampMeter, Host, list[str]]) -> None:
    capture = captured[0]
    assert capture.stamps is not None
    report = analyze_energy(capture.trace, stamps=capture.stamps)
    assert report.background is not None
    assert report.background.before_s > 2.0
    assert report.background.after_s > 1.0
    assert report.background.during_mw == pytest.approx(800.0, abs=5.0)


def test_a_meter_lost_in_the_middle_ends_the_run_and_brings_the_device_back(tmp_path: Path) -> None:
    device = Host(tmp_path / "scratch")
    device.process_log = str(tmp_path / "processes")
    Path(device.process_log).touch()
    meter = StampMeter(tmp_path, fails=True)
    with pytest.raises(MeterError, match="unplugged"):
        Capture(device, meter, SETTINGS).run(_subject(tmp_path / "m.onnx", size=64), _runner)
    assert meter.calls[-1] == "close" and "stop" not in meter.calls
    assert device.reconnected == 1
    started = [line.split() for line in Path(device.process_log).read_text().splitlines()]
    assert started, "the detached run was never started"
    assert not any(_runs(int(pid), start) for pid, start in started)


def _runs(pid: int, start: str) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if not stat.is_file():
        return False
    fields = stat.read_text().rpartition(") ")[2].split()
    return fields[0] != "Z" and fields[19] == start


def test_an_artifact_that_does_not_run_fails_before_usb_is_cut(tmp_path: Path) -> None:
    subject = _subject(tmp_path / "m.onnx", size=64)
    subject.path.write_bytes(b"no model")
    meter = StampMeter(tmp_path)
    with pytest.raises(DeviceError, match="the runner failed"):
        Capture(Host(tmp_path / "scratch"), meter, SETTINGS).run(subject, _runner)
    assert "start" not in meter.calls and meter.calls[-1] == "close"


def _lines(burst_ns: int, count: int, *, asleep_ns: int = 0) -> RunLines:
    def sample(kind: str, index: int, start: int) -> Sample:
        late = asleep_ns if index >= count // 2 and kind == "run" else 0
        return Sample(
            kind=kind, index=index, latency_ns=burst_ns, start_monotonic_ns=start, end_monotonic_ns=start + burst_ns,
            start_boottime_ns=start + 500 + late, end_boottime_ns=start + burst_ns + 500 + late,
        )  # type: ignore[arg-type]  # fmt: skip

    clocks = Clocks(realtime_ns=0, monotonic_ns=0, boottime_ns=0)
    return RunLines(
        header=Header(contract=1, runner="r", runtime="t", python="3", pid=1, threads=1, cpus=(0,), clocks=clocks),
        phases=(Phase(name="load", start_monotonic_ns=1, end_monotonic_ns=500),),
        pulses=(Pulse(place="before", index=0, start_monotonic_ns=1000, end_monotonic_ns=2000),),
        warmup=(sample("warmup", 0, 5000),),
        samples=tuple(sample("run", i, 100_000 + i * burst_ns) for i in range(count)),
        output=None,
        peak_memory_bytes=0,
    )


def test_bursts_count_as_one_interval() -> None:
    stamps = stamps_of(_lines(1000, 12), burst=4)
    assert len(stamps.bursts) == 3 and stamps.inferences == 12
    assert stamps.bursts[1].start_ns == 104_000 and stamps.bursts[1].end_ns == 108_000
    assert len(stamps.pulses) == len(stamps.warmup) == len(stamps.other) == 1
    assert stamps.suspended_ns == 0


def test_a_device_that_slept_is_noticed() -> None:
    assert stamps_of(_lines(1000, 12, asleep_ns=7_000_000), burst=1).suspended_ns == 7_000_000
