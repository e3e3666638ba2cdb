"""Energy behind the rounds: with a tool that tells no times, with a shared meter, and when it is interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Lock

import pytest
from bench_rig import COMPUTE, Events, judge, onnx_subject, processes_of, program, tflite_subject
from metered import measure_energy
from stamp_meter import BUSY_MW, StampMeter

import runtimes.bench.execute as execute_module
import runtimes.bench.held as held_module
from edgevit.errors import DeviceError, MeterError, UsageError
from runtimes.bench import measure as measure_module
from runtimes.bench.layout import MeteredLayout
from runtimes.bench.measure import Measurement
from runtimes.bench.record import DeviceRun
from runtimes.bench.request import BenchRequest, MeterRequest
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.host import HostDevice
from runtimes.power.meter import Resolution
from runtimes.runners.process import PlannedRun
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload
from validation.energy.judge import judge_energy

pytestmark = pytest.mark.usefixtures("state_dir")

WORKLOAD = Workload(runs=4, rounds=2, warmup=1, burst=1000, timeout_s=60.0)

# TFLite's benchmark_model as far as it is asked for here: runs of 60 ms after a pause, and what it did for the meter.
TOOL = f"""
for word in "$@"; do case $word in
  --output_filepath=*) out=${{word#*=}} ;; --num_runs=*) n=${{word#*=}} ;; --warmup_runs=*) w=${{word#*=}} ;;
  --input_layer_value_files=*) in=${{word##*:}} ;; --run_delay=*) delay=${{word#*=}} ;;
esac; done
{COMPUTE}
{sys.executable} - "$n" "$w" "$delay" <<'END'
import json, sys, time
runs, warmup, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with open("tool.lines.jsonl", "w") as file:
    for index in range(warmup + runs):
        start = time.monotonic_ns()
        while time.monotonic_ns() < start + 60_000_000:
            pass
        stamps = {{"start_monotonic_ns": start, "end_monotonic_ns": time.monotonic_ns()}}
        file.write(json.dumps({{"line": "sample", **stamps}}) + "\\n")
        if delay > 0:
            time.sleep(delay)
if warmup:
    print(f"INFO: count={{warmup}} curr=60000")
print(f"INFO: count={{runs}} first=60000 curr=60000 min=60000 max=60000 avg=60000 std=0")
END
"""


@pytest.mark.realtime
def test_a_tool_that_can_pause_is_measured_by_the_papers_method(tmp_path: Path) -> None:
    """Its warm-up would look like its runs, and its outputs are fetched from the metered process as from the rounds."""
    tool = program(tmp_path / "tools" / "x86_64" / "benchmark_model", TOOL)
    host, meter = HostDevice(tmp_path / "scratch"), StampMeter(tmp_path / "scratch", cuts_usb=False)
    work = Workload(runs=6, rounds=2, warmup=2, timeout_s=60.0)
    (run,) = measure_energy(
        host, [tflite_subject(tmp_path)], tmp_path / "out", meter, work, runner=str(tool)
    ).runs  # fmt: skip
    assert run.energy is not None, run.energy_failure
    assert run.energy.run.verification.status == "passed"
    asked = run.energy.layout.workload
    assert (asked.runs, asked.burst, asked.warmup, asked.gap_ms) == (6, 1, 0, pytest.approx(120.0))
    assert run.energy.stamps is None
    report = judge_energy(run, tmp_path / "out" / "host")
    assert report is not None and report.regions is not None
    assert (report.method, report.regions.found, report.verdict) == ("regions", 6, "unverified")
    assert report.energy_mj == pytest.approx(BUSY_MW * 0.060, rel=0.1)
    assert report.background is not None and report.background.before_s > 1.5, "it was armed too early"
    left = [path.name for path in (tmp_path / "scratch" / "bench").iterdir()]
    assert not [name for name in left if name.endswith((".output", ".rc", ".log"))]


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (
            Workload(runs=2, rounds=1, warmup=0, burst=3),
            "needs bursts of 3 inferences here, and benchmark_model",
        ),
        (Workload(runs=2, rounds=1, warmup=0, gap_ms=0.0), "without gaps its inferences cannot be told apart"),
    ],
)
def test_what_a_tool_cannot_do_for_a_meter_fails_the_energy_alone(tmp_path: Path, work: Workload, message: str) -> None:
    tool = program(tmp_path / "tools" / "x86_64" / "benchmark_model", TOOL)
    meter = StampMeter(tmp_path, cuts_usb=False)
    subject = tflite_subject(tmp_path)
    (run,) = measure_energy(
        HostDevice(tmp_path / "s"), [subject], tmp_path / "out", meter, work, runner=str(tool)
    ).runs  # fmt: skip
    assert run.failure is None and len(run.rounds) == 1
    assert run.energy_failure is not None and message in run.energy_failure.message
    assert run.energy_failure.exit_code == UsageError.exit_code
    assert "start" not in meter.calls


class Interrupted(StampMeter):
    """The user presses Ctrl-C while it samples."""

    def check(self) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_meter_samples_leaves_nothing_behind(model: Subject, tmp_path: Path) -> None:
    meter = Interrupted(tmp_path, cuts_usb=False)
    device = HostDevice(tmp_path / "scratch")
    with pytest.raises(KeyboardInterrupt):
        measure_energy(device, [model], tmp_path / "out", meter, WORKLOAD)
    assert meter.calls[-1] == "close" and "stop" not in meter.calls
    assert processes_of(tmp_path / "scratch") == []
    assert not (tmp_path / "scratch" / "session").exists()
    with DeviceSession(device):
        pass  # the lock is free
    (partial,) = (tmp_path / "out").rglob("*.partial.json")
    assert len(DeviceRun.load(partial).rounds) == 2, "the latencies stand"


class Vanishing(StampMeter):
    """Is there before the rounds, and gone when it is to be used."""

    def prepare(self) -> None:
        super().prepare()
        if self.calls.count("prepare") > 1:
            raise MeterError("no unit on USB")


def test_a_meter_that_vanished_during_the_rounds_is_looked_for_once(model: Subject, tmp_path: Path) -> None:
    meter, other = Vanishing(tmp_path, cuts_usb=False), onnx_subject(tmp_path / "b.onnx", scale=1.0 + 1e-7)
    runs = measure_energy(HostDevice(tmp_path / "s"), [model, other], tmp_path / "out", meter, WORKLOAD).runs
    assert [run.energy_failure is not None and run.energy_failure.exit_code for run in runs] == [4, 4]
    assert all(len(run.rounds) == 2 and run.failure is None for run in runs)
    assert meter.calls == ["prepare", "close", "prepare", "close"]


def test_the_wait_for_a_shared_meter_keeps_the_lock_and_ends_with_the_bench(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another device has the meter; the user interrupts while this one waits for its turn."""
    turn, extended = Lock(), []

    def extend(self: DeviceSession, lease_s: float | None = None) -> None:
        extended.append(lease_s)

    def taken(planned: PlannedRun) -> None:
        if planned.round == 1:
            turn.acquire()
            monkeypatch.setattr(held_module, "RENEWAL_PERIOD_S", 0.0)

    monkeypatch.setattr(execute_module, "TURN_POLL_S", 0.05)
    monkeypatch.setattr(DeviceSession, "extend", extend)
    meter = StampMeter(tmp_path, cuts_usb=False)
    monkeypatch.setattr(measure_module, "open_meter", lambda *_, **__: meter)
    asked = BenchRequest(workload=WORKLOAD, meter=MeterRequest(name="monsoon"), python=sys.executable)
    outcome = Measurement(
        HostDevice(tmp_path / "s"), [model], asked, tmp_path / "out", judge, Events(taken), turn,
        lambda: len(extended) > 3,
    ).run()  # fmt: skip
    (run,) = outcome.runs
    assert len(extended) == 4
    assert len(run.rounds) == 2 and run.energy is None and run.energy_failure is None and not run.complete
    assert "start" not in meter.calls
    assert turn.locked(), "it is the other device's"


def test_an_artifact_that_the_meter_cannot_resolve_leaves_the_meter_to_the_others(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, asked = execute_module.lay_out_for, []

    def first_cannot(*given: object, **named: object) -> MeteredLayout:
        asked.append(given)
        if len(asked) == 1:
            raise MeterError("monsoon cannot tell the energy of one 1 us inference", hint="--burst 5000")
        return original(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(execute_module, "lay_out_for", first_cannot)
    events, other = Events(), onnx_subject(tmp_path / "b.onnx", scale=1.0 + 1e-7)
    meter = StampMeter(tmp_path, cuts_usb=False, fails=True)
    first, second = measure_energy(
        HostDevice(tmp_path / "s"), [model, other], tmp_path / "out", meter, WORKLOAD, events=events
    ).runs  # fmt: skip
    assert first.energy_failure is not None and second.energy_failure is not None
    assert first.energy_failure.message == "tiny.onnx on host: monsoon cannot tell the energy of one 1 us inference"
    assert first.energy_failure.hint == "--burst 5000"
    assert "unplugged" in second.energy_failure.message, "its own failure, not the first one's"
    assert meter.calls.count("start") == 1
    assert len(events.failures) == 2


def test_a_bench_that_was_stopped_in_its_rounds_says_nothing_about_energy(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, meter = Events(), StampMeter(tmp_path, cuts_usb=False)
    monkeypatch.setattr(measure_module, "open_meter", lambda *_, **__: meter)
    asked = BenchRequest(workload=WORKLOAD, meter=MeterRequest(name="monsoon"), python=sys.executable)
    (run,) = Measurement(
        HostDevice(tmp_path / "s"), [model], asked, tmp_path / "out", judge, events, stop=lambda: True
    ).run().runs  # fmt: skip
    assert (events.started, run.rounds, run.failure, run.energy_failure) == ([], (), None, None)


class Full(HostDevice):
    """Has no room for the artifact."""

    def push(self, local: Path, remote: str, **options: object) -> bool:
        raise DeviceError("its disk is full", hint="--remote-dir")


def test_latencies_of_an_earlier_bench_stand_when_the_artifact_cannot_be_pushed(model: Subject, tmp_path: Path) -> None:
    device, out = HostDevice(tmp_path / "s"), tmp_path / "out"
    meter = Vanishing(tmp_path, cuts_usb=False)
    (first,) = measure_energy(device, [model], out, meter, WORKLOAD).runs
    meter = StampMeter(tmp_path, cuts_usb=False)
    (run,) = measure_energy(Full(tmp_path / "s"), [model], out, meter, WORKLOAD, resume=True).runs
    assert (run.rounds, run.failure) == (first.rounds, None)
    assert run.energy_failure is not None and run.energy_failure.message == "tiny.onnx on host: its disk is full"
    assert meter.calls == ["prepare", "close"]


class Gauge(StampMeter):
    """As coarse as a phone's battery gauge."""

    resolution = Resolution(period_s=1.0, step_mj=0.0, scope="all of it")


@pytest.mark.parametrize("given", [{"burst": 3}, {"gap_ms": 100.0}])
def test_what_a_coarse_meter_can_never_do_is_refused_before_anything_is_measured(
    model: Subject, tmp_path: Path, given: dict[str, float]
) -> None:
    events = Events()
    work = Workload(runs=2, rounds=1, **given)  # type: ignore[arg-type]
    meter = Gauge(tmp_path, cuts_usb=False)
    with pytest.raises(UsageError, match="measures whole runs only"):
        measure_energy(HostDevice(tmp_path / "s"), [model], tmp_path / "out", meter, work, events=events)
    assert (events.started, events.pushed, meter.calls) == ([], [], [])
    assert not (tmp_path / "out").exists()
