"""A plan executed over the real adb client and daemon, with the Python runner, tools, and runners that misbehave."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from adbd_rig import Adbd
from bench_rig import (
    COMPUTE,
    Events,
    measure,
    misbehaving_python,
    onnx_subject,
    processes_of,
    program,
    tflite_subject,
)
from latency_records import device_run, summary_run
from msgspec.structs import replace

import runtimes.bench.execute as execute_module
from edgevit.errors import DeviceError
from runtimes.bench.execute import FRESH_STATE_S, UNKNOWN_START_S, timing_of
from runtimes.bench.record import DeviceRun, Round
from runtimes.conditions.state import DeviceState, read_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice
from runtimes.runners.process import PlannedRun
from runtimes.runners.runner import Subject, Summary
from runtimes.runners.workload import Workload

pytestmark = pytest.mark.usefixtures("state_dir")


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
    assert (measured.runner, measured.runtime.split()[0]) == ("python 3", "onnxruntime")
    assert measured.peak_memory_bytes and measured.peak_memory_bytes > 10_000_000
    assert run.rounds[0].before.abi == os.uname().machine
    (stored,) = (tmp_path / "out").rglob("*.json")
    assert DeviceRun.load(stored) == run
    left = {path.suffix for path in (adbd.root / "scratch dir" / "bench").iterdir()}
    assert left == {".onnx", ".npz", ".pyz", ".files"}
    assert processes_of(adbd.root) == []
    assert not (adbd.root / "scratch dir" / "session").exists()


def test_only_what_is_really_sent_is_told(adb_device: AdbDevice, model: Subject, tmp_path: Path) -> None:
    first, second = Events(), Events()
    for events in (first, second):
        measure(adb_device, [model], tmp_path / "out", events=events)
    assert {Path(remote).suffix for remote in first.pushed} == {".onnx", ".npz", ".pyz", ".json"}
    assert {Path(remote).suffix for remote in second.pushed} == {".json"}, "the rest is there"


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
    "hangs": ("sleep 1000", r"/python' on \S+ (did not end within|was silent for) 3 s and was killed", None),
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
    requests = (adbd.root / "scratch dir" / "bench").glob("*.json")
    assert {'"threads": 2' in path.read_text() for path in requests} == {True}, "kept to try the command by hand"
    assert processes_of(adbd.root) == []


TOOL = """
for word in "$@"; do case $word in
  --output_filepath=*) out=${word#*=} ;; --num_runs=*) n=${word#*=} ;;
  --input_layer_value_files=*) in=${word##*:} ;;
esac; done
%s
echo "INFO: count=1 curr=5"
echo "INFO: count=$n first=9 curr=9 min=8 max=9 avg=8.5 std=0 p5=8 median=8 p95=9"
"""


@pytest.mark.parametrize(
    ("script", "status"),
    [(COMPUTE, "passed"), ("head -c 12 /dev/zero >$out", "failed"), ("head -c 8 /dev/zero >$out", None)],
)
def test_a_tool_is_run_and_its_outputs_are_judged(
    adb_device: AdbDevice, tmp_path: Path, script: str, status: str | None
) -> None:
    tool = program(tmp_path / "tools" / "x86_64" / "benchmark_model", TOOL % script)
    tools_dir = str(tool.parents[1])
    (run,) = measure(adb_device, [tflite_subject(tmp_path)], tmp_path / "out", runner="tool", tools_dir=tools_dir).runs
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


def test_gaps_are_kept_between_runs(model: Subject, tmp_path: Path) -> None:
    (run,) = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", gap_ms=20.0).runs
    starts = np.array([each.start_monotonic_ns for each in run.rounds[0].measured.samples], np.int64)
    assert (np.diff(starts) >= 20_000_000).all()


def test_latency_and_start_time_are_told_from_the_rounds() -> None:
    """Five runs of 10 ms after one for warm-up, 20 ms apart, in processes that took 1 s and 1.5 s."""
    run = device_run([[10.0, 10.0, 10.0, 10.0, 90.0], [10.0] * 5])
    warm = [replace(each, measured=replace(each.measured, warmup=each.measured.samples[:1])) for each in run.rounds]
    rounds = [replace(each, seconds=seconds) for each, seconds in zip(warm, (1.0, 1.5), strict=True)]
    latency_s, start_s = timing_of(rounds, Workload(gap_ms=20.0))
    assert latency_s == pytest.approx(0.010)
    assert start_s == pytest.approx(1.5 - 6 * 0.010 - 5 * 0.020)
    assert timing_of(rounds, Workload())[1] == pytest.approx(1.5 - 6 * 0.010)


def test_summaries_tell_a_latency_too_and_old_rounds_no_time() -> None:
    rounds = summary_run([Summary(count=50, mean_ns=4e6)]).rounds
    assert timing_of([replace(each, seconds=2.0) for each in rounds], Workload()) == pytest.approx((0.004, 1.8))
    assert timing_of([replace(each, seconds=0.1) for each in rounds], Workload()) == pytest.approx((0.004, 0.0))
    assert timing_of(rounds, Workload()) == (0.004, UNKNOWN_START_S)


def test_rounds_without_a_latency_cannot_plan_energy() -> None:
    with pytest.raises(DeviceError, match="told no latency"):
        timing_of([], Workload())


@pytest.mark.parametrize(("passing_s", "readings"), [(0.0, 3), (FRESH_STATE_S, 3), (FRESH_STATE_S + 0.1, 4)])
def test_the_state_behind_a_round_is_the_next_ones_start_for_a_moment(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passing_s: float, readings: int
) -> None:
    """Behind a process the state is always read: however short it was, it may have heated the device."""
    read: list[DeviceState] = []
    now_s = [100.0]

    def counted(device: Device) -> DeviceState:
        read.append(replace(read_state(device), uptime_s=float(len(read))))
        return read[-1]

    class Later(Events):
        def round_ended(self, planned: PlannedRun, finished: Round) -> None:
            now_s[0] += passing_s

    monkeypatch.setattr(execute_module, "read_state", counted)
    monkeypatch.setattr(execute_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    (run,) = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", events=Later()).runs
    first, second = run.rounds
    assert [each.before.uptime_s for each in run.rounds] == [0.0, readings - 2.0]
    assert [each.after.uptime_s for each in run.rounds] == [1.0, readings - 1.0]
    assert (first.after == second.before) == (passing_s <= FRESH_STATE_S)
