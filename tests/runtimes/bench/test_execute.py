"""The measuring flow over the real adb client and daemon, with the Python runner, and with runners that misbehave."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from adbd_rig import Adbd, AdbRig
from bench_rig import Events, judge, misbehaving_python, onnx_subject, processes_of, program, subject

import runtimes.bench.patience as patience_module
from edgevit.errors import DeviceError, UsageError
from export.recipe import Format
from runtimes.bench.measure import DeviceOutcome, Measurement
from runtimes.bench.record import DeviceRun
from runtimes.bench.request import BenchRequest
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice
from runtimes.devices.recording import Recording, RecordingDevice, ReplayDevice
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload

pytestmark = pytest.mark.usefixtures("state_dir")


WORKLOAD = set(Workload.__struct_fields__) - {"threads"}


def measure(
    device: Device, subjects: list[Subject], output: Path, *, events: Events | None = None, dry_run: bool = False,
    **request: object,
) -> DeviceOutcome:  # fmt: skip
    work = {"runs": 4, "rounds": 2, "warmup": 1, "timeout_s": 60.0}
    work |= {name: request.pop(name) for name in list(request) if name in WORKLOAD}
    wanted = BenchRequest(**{"workload": Workload(**work), "python": sys.executable, **request})  # type: ignore[arg-type]
    return Measurement(device, subjects, wanted, output, judge, events or Events()).run(dry_run=dry_run)


@pytest.fixture(autouse=True)
def awake(request: pytest.FixtureRequest) -> None:
    """The daemon's screen is on."""
    if "adbd" in request.fixturenames:
        (request.getfixturevalue("adbd").data / "dumpsys_power").write_text("mWakefulness=Awake\n")


@pytest.fixture
def model(tmp_path: Path) -> Subject:
    return onnx_subject(tmp_path / "models" / "tiny.onnx")


def test_measures_verifies_and_leaves_nothing(
    adb_device: AdbDevice, adbd: Adbd, model: Subject, tmp_path: Path
) -> None:
    outcome = measure(adb_device, [model], tmp_path / "out", runs=5)
    (run,) = outcome.runs
    assert run.complete
    assert run.failure is None
    assert [len(each.measured.samples) for each in run.rounds] == [3, 2]
    assert all(each.verification.status == "passed" for each in run.rounds)
    measured = run.rounds[0].measured
    assert (measured.runner, measured.runtime.split()[0]) == ("python 1", "onnxruntime")
    assert measured.peak_memory_bytes and measured.peak_memory_bytes > 10_000_000
    assert run.rounds[0].before.abi == os.uname().machine
    (stored,) = (tmp_path / "out").rglob("*.json")
    assert DeviceRun.load(stored) == run
    left = {path.suffix for path in (adbd.root / "scratch dir" / "bench").iterdir()}
    assert left <= {".onnx", ".npz", ".pyz", ".json", ".files"}
    assert processes_of(adbd.root) == []
    assert not (adbd.root / "scratch dir" / "session").exists()


def test_rounds_take_turns(tmp_path: Path, model: Subject) -> None:
    other = onnx_subject(tmp_path / "models" / "other.onnx", scale=1.0 + 1e-7)
    events = Events()
    outcome = measure(HostDevice(tmp_path / "host"), [model, other], tmp_path / "out", events=events)
    names = [line.split()[1].partition(".")[0] for line in events.started]
    assert names == ["tiny", "other", "other", "tiny"]
    assert all(run.complete for run in outcome.runs)


def test_names_with_spaces_quotes_and_dollars(adb_device: AdbDevice, tmp_path: Path) -> None:
    odd = onnx_subject(tmp_path / "a 'dir" / 'it\'s a $HOME "model" `x`.onnx')
    (run,) = measure(adb_device, [odd], tmp_path / "re sults $x").runs
    assert run.complete
    assert run.artifact.name == odd.name


def test_wrong_outputs_are_failed(adb_device: AdbDevice, model: Subject, tmp_path: Path) -> None:
    wrong = onnx_subject(tmp_path / "models" / "wrong.onnx", scale=1.01)
    good, bad = measure(adb_device, [model, wrong], tmp_path / "out").runs
    assert {each.verification.status for each in good.rounds} == {"passed"}
    assert {each.verification.status for each in bad.rounds} == {"failed"}


class Altering(HostDevice):
    """Outputs are not what was written by the time they arrive."""

    def pull(self, remote: str, local: Path, **options: object) -> None:
        super().pull(remote, local, **options)  # type: ignore[arg-type]
        if remote.endswith(".outputs.npz"):
            local.write_bytes(local.read_bytes() + b"x")


def test_outputs_that_were_changed_on_their_way_are_refused(model: Subject, tmp_path: Path) -> None:
    (run,) = measure(Altering(tmp_path / "host"), [model], tmp_path / "out").runs
    assert run.failure is not None
    assert "the outputs were changed on their way" in run.failure.message


FAULTS = {
    "killed by a signal": ("kill -9 $$", r"ended by signal 9 \(SIGKILL\)", "memory"),
    "crashes": ("echo boom >&2; exit 3", r"exit code 3; it printed:\s+boom", "--dry-run"),
    "prints rubbish": ("echo rubbish; echo rubbish >$LINES; exit 0", "line 1 .* is not readable", None),
    "no end marker": ("echo fine; exit 0", "left no results and so no end marker", "--dry-run"),
    "half the lines": (
        'printf \'{"line": "memory", "peak_bytes": 7}\\n\' >$LINES; exit 0',
        "no end marker after 1 lines",
        "--resume",
    ),
    "hangs": ("sleep 1000", "did not end within 3 s and was killed|was silent for 3 s and was killed", None),
    "runner missing": ("exec /no/such/program", "was not found on the device", "devices --setup"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_runner_that_misbehaves_fails_alone(
    adb_device: AdbDevice, adbd: Adbd, model: Subject, tmp_path: Path, fault: str
) -> None:
    script, message, hint = FAULTS[fault]
    python = misbehaving_python(tmp_path / "python", script)
    limit_s = 3.0 if fault == "hangs" else 60.0
    outcome = measure(adb_device, [model], tmp_path / "out", threads=(2, 1), python=python, timeout_s=limit_s)
    bad, good = outcome.runs
    assert good.complete, good.failure
    assert bad.failure is not None
    assert bad.failure.message.startswith("tiny.onnx on 127.0.0.1:")
    assert re.search(message, bad.failure.message), bad.failure.message
    if hint:
        assert bad.failure.hint is not None
        assert hint in bad.failure.hint
    assert len(list((tmp_path / "out").rglob("*t1.json"))) == 1
    assert len(list((tmp_path / "out").rglob("*t2.partial.json"))) == 1
    assert processes_of(adbd.root) == []


def test_a_cable_pulled_in_the_run_that_comes_back(
    adb_rig: AdbRig, adbd: Adbd, adb_device: AdbDevice, model: Subject, tmp_path: Path
) -> None:
    def cut(planned: object) -> None:
        if len(events.started) == 2:
            adbd.pull_cable()
            threading.Timer(1.0, adbd.start).start()

    events = Events(cut)
    (run,) = measure(adb_device, [model], tmp_path / "out", events=events, rounds=3, runs=6).runs
    assert run.complete, run.failure
    assert [each.index for each in run.rounds] == [0, 1, 2]
    assert any("trying to get" in note for note in events.notes)


def test_a_device_that_stays_away_keeps_what_is_done_and_resume_continues(
    adb_rig: AdbRig,
    adbd: Adbd,
    adb_device: AdbDevice,
    model: Subject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience_module, "RECONNECT_S", 1.0)
    assert adbd.process is not None
    daemon = adbd.process.pid

    def first_try() -> None:
        events = Events(lambda planned: os.kill(daemon, signal.SIGKILL) if len(events.started) == 2 else None)
        outcome = measure(adb_device, [model], tmp_path / "out", events=events, rounds=3, runs=6)
        assert outcome.error is not None
        assert outcome.error.hint
        assert outcome.runs[0].failure is not None

    child = multiprocessing.get_context("fork").Process(target=first_try)  # its lock can be taken over when it is gone
    child.start()
    child.join(60)
    assert child.exitcode == 0
    (partial,) = (tmp_path / "out").rglob("*.partial.json")
    before = DeviceRun.load(partial)
    assert [each.index for each in before.rounds] == [0]
    assert before.failure is not None
    adbd.start()
    adb_rig.adb("disconnect", adbd.serial)
    adb_rig.connect(adbd.serial)
    again = Events()
    device = AdbDevice(adbd.serial, adb_rig.server, scratch=str(adbd.root / "scratch dir"))
    (run,) = measure(device, [model], tmp_path / "out", events=again, rounds=3, runs=6, resume=True).runs
    assert run.complete
    assert run.rounds[0] == before.rounds[0]
    assert [line.split()[0] for line in again.started] == ["1", "2"]
    assert not partial.exists()


def test_resume_skips_what_is_finished_and_redoes_what_was_measured_otherwise(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    first = measure(device, [model], tmp_path / "out").runs
    events = Events()
    assert measure(device, [model], tmp_path / "out", events=events, resume=True).runs == first
    assert events.started == []
    measure(device, [model], tmp_path / "out", events=events, resume=True, warmup=2)
    assert len(events.started) == 2


def test_a_failure_does_not_touch_an_earlier_result(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    measure(device, [model], tmp_path / "out", threads=(2,))
    (stored,) = (tmp_path / "out").rglob("*t2.json")
    before = stored.read_bytes()
    python = misbehaving_python(tmp_path / "python", "exit 3")
    (run,) = measure(device, [model], tmp_path / "out", threads=(2,), python=python).runs
    assert run.failure is not None
    assert stored.read_bytes() == before


def test_disk_full_or_read_only_fails_with_a_hint(adbd: Adbd, adb_rig: AdbRig, model: Subject, tmp_path: Path) -> None:
    device = AdbDevice(adbd.serial, adb_rig.server, scratch="/proc/nowhere")
    with pytest.raises(DeviceError) as refused:
        measure(device, [model], tmp_path / "out")
    assert refused.value.hint


def test_dry_run_changes_nothing_and_is_what_is_executed(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    plan = measure(device, [model], tmp_path / "out", dry_run=True).plan
    assert plan is not None
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "host" / "bench").exists()
    executed = measure(device, [model], tmp_path / "out").plan
    assert executed is not None
    assert [run.command() for run in executed.runs] == [run.command() for run in plan.runs]
    assert [(push.remote, push.sha256) for push in executed.pushes] == [(p.remote, p.sha256) for p in plan.pushes]
    # The printed line does by hand what the tool does.
    subprocess.run(["sh", "-c", plan.runs[0].command()], check=True, timeout=60)


def test_affinity_reaches_the_runner(model: Subject, tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    (run,) = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", affinity=f"{1 << cpu:x}").runs
    assert {each.measured.cpus for each in run.rounds} == {(cpu,)}


TOOL = """
for word in "$@"; do case $word in
  --output_filepath=*) out=${word#*=} ;; --num_runs=*) n=${word#*=} ;;
  --input_layer_value_files=*) in=${word##*:} ;;
esac; done
%s
echo "INFO: count=1 curr=5"
echo "INFO: count=$n first=9 curr=9 min=8 max=9 avg=8.5 std=0 p5=8 median=8 p95=9"
"""
COMPUTE = f"""{sys.executable} - "$in" "$out" <<'END'
import sys, numpy
weight = numpy.random.default_rng(0).normal(size=(4, 3)).astype(numpy.float32)
(numpy.fromfile(sys.argv[1], numpy.float32).reshape(1, 4) @ weight).tofile(sys.argv[2])
END
"""


def tflite(tmp_path: Path) -> Subject:
    (tmp_path / "tiny.tflite").write_bytes(b"not read by the stand-in")
    return subject(tmp_path / "tiny.tflite", Format.TFLITE)


@pytest.mark.parametrize(
    ("script", "status"),
    [(COMPUTE, "passed"), ("head -c 12 /dev/zero >$out", "failed"), ("head -c 8 /dev/zero >$out", None)],
)
def test_a_tool_is_run_and_its_outputs_are_judged(
    adb_device: AdbDevice, tmp_path: Path, script: str, status: str | None
) -> None:
    tool = program(tmp_path / "tools" / "x86_64" / "benchmark_model", TOOL % script)
    tools_dir = str(tool.parents[1])
    (run,) = measure(adb_device, [tflite(tmp_path)], tmp_path / "out", runner="tool", tools_dir=tools_dir).runs
    if status is None:
        assert run.failure is not None
        assert "gave outputs of 8 bytes, but the artifact declares 12: y (1, 3) float32" in run.failure.message
        return
    assert run.failure is None
    assert {each.verification.status for each in run.rounds} == {status}
    assert run.rounds[0].measured.summary is not None
    assert run.rounds[0].measured.summary.mean_ns == 8500


def test_a_tool_that_cannot_dump_is_not_verified(tmp_path: Path, model: Subject) -> None:
    lines = "".join(f"m,0.0{i + 1},1000,5,{i}\\n" for i in range(2))
    script = f"""for last; do :; done; printf '{lines}' >>"$last"; echo "Average inference time cost: 1 ms" """
    tool = program(tmp_path / "perf", script)
    (run,) = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner=str(tool)).runs
    assert run.failure is None
    assert [s.latency_ns for s in run.rounds[1].measured.samples] == [10_000_000, 20_000_000]
    assert run.rounds[0].verification.status == "not verified"
    assert "onnxruntime_perf_test cannot" in run.rounds[0].verification.reason


def elf(path: Path, machine: int) -> Path:
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(100))
    path.chmod(0o755)
    return path


def test_a_tool_for_another_abi_is_refused_before_it_is_pushed(model: Subject, tmp_path: Path) -> None:
    events = Events()
    outcome = measure(
        HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner=str(elf(tmp_path / "perf", 183)), events=events
    )
    failure = outcome.runs[0].failure
    assert failure is not None
    assert "built for arm64-v8a, the device is x86_64" in failure.message
    assert events.pushed == []


def test_a_program_that_the_device_cannot_execute(adb_device: AdbDevice, model: Subject, tmp_path: Path) -> None:
    broken = elf(tmp_path / "perf", 62)  # right machine by its header, nothing behind it
    (run,) = measure(adb_device, [model], tmp_path / "out", runner=str(broken)).runs
    assert run.failure is not None
    assert "cannot be executed on the device" in run.failure.message


def test_no_runner_names_what_is_missing(model: Subject, tmp_path: Path) -> None:
    outcome = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", python="/no/python3")
    failure = outcome.runs[0].failure
    assert failure is not None
    assert "python: no '/no/python3'" in failure.message
    assert "onnxruntime_perf_test: no --tools-dir" in failure.message
    assert "devices --setup" in (failure.hint or "")


def test_what_a_tool_cannot_do_is_refused(model: Subject, tmp_path: Path) -> None:
    tool = program(tmp_path / "perf", "exit 0")
    with pytest.raises(UsageError, match="cannot pause between runs"):
        measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner=str(tool), gap_ms=5.0)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="choose auto, python, tool"):
        measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner="pyhton")


def test_a_recorded_session_plays_back(adb_device: AdbDevice, model: Subject, tmp_path: Path) -> None:
    recorder = RecordingDevice(adb_device)
    first = measure(recorder, [model], tmp_path / "out")
    recorder.recording().save(tmp_path / "session.json")
    played = ReplayDevice(Recording.load(tmp_path / "session.json"))
    again = measure(played, [model], tmp_path / "again")
    assert [each.measured for each in again.runs[0].rounds] == [each.measured for each in first.runs[0].rounds]
    assert [each.verification for each in again.runs[0].rounds] == [each.verification for each in first.runs[0].rounds]
    other = onnx_subject(tmp_path / "models" / "other.onnx", scale=2.0)
    played = ReplayDevice(Recording.load(tmp_path / "session.json"))
    (run,) = measure(played, [other], tmp_path / "other").runs
    assert run.failure is not None
    assert "it is of another run" in run.failure.message


def test_gaps_are_kept_between_runs(model: Subject, tmp_path: Path) -> None:
    (run,) = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", gap_ms=20.0).runs
    starts = np.array([each.start_monotonic_ns for each in run.rounds[0].measured.samples], np.int64)
    assert (np.diff(starts) >= 20_000_000).all()
