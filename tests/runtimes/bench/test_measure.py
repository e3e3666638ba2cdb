"""One device from start to end: dry run, choice of runners, refusals before anything is pushed, recorded sessions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig
from bench_rig import Events, elf, measure, onnx_subject, program, subject

from edgevit.errors import DeviceError, UsageError
from export.recipe import Format
from runtimes.bench.record import Verification
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.host import HostDevice
from runtimes.devices.recording import Recording, RecordingDevice, ReplayDevice
from runtimes.runners.runner import Feed, Subject

pytestmark = pytest.mark.usefixtures("state_dir")


def failing(subject: Subject, answers: list[Feed], runtime: str) -> Verification:
    raise DeviceError("nothing can be judged")


def test_dry_run_changes_nothing_and_is_what_is_executed(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    plan = measure(device, [model], tmp_path / "out", dry_run=True).plan
    assert plan is not None
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "host" / "bench").exists()
    executed = measure(device, [model], tmp_path / "out", judge=failing).plan
    assert executed is not None
    assert [run.command() for run in executed.runs] == [run.command() for run in plan.runs]
    assert [(push.remote, push.sha256) for push in executed.pushes] == [(p.remote, p.sha256) for p in plan.pushes]
    # The printed line does by hand what the tool does, and what failed left what that takes.
    subprocess.run(["sh", "-c", plan.runs[0].command()], check=True, timeout=60)


@pytest.mark.parametrize("place", ["a file", "a file/below it", "/proc/nowhere"])
def test_a_directory_that_cannot_be_written_is_refused_before_anything_is_pushed(
    model: Subject, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a file").write_text("no directory")
    events = Events()
    with pytest.raises(UsageError, match=r"cannot write to .*(a file|/proc/nowhere)"):
        measure(HostDevice(tmp_path / "host"), [model], tmp_path / place, events=events)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "host").write_text("in the way of this device alone")
    with pytest.raises(UsageError, match=r"cannot write to .*host: it is a file"):
        measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", events=events)
    assert (events.pushed, events.started) == ([], [])


def test_affinity_reaches_the_runner(model: Subject, tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    (run,) = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", affinity=str(cpu)).runs
    assert {each.measured.cpus for each in run.rounds} == {(cpu,)}


def test_a_tool_for_another_abi_is_refused_before_it_is_pushed(model: Subject, tmp_path: Path) -> None:
    events = Events()
    outcome = measure(
        HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner=str(elf(tmp_path / "perf", 183)), events=events
    )
    failure = outcome.runs[0].failure
    assert failure is not None
    assert "built for arm64-v8a, the device is x86_64" in failure.message
    assert events.pushed == []


def test_no_runner_names_what_is_missing(model: Subject, tmp_path: Path) -> None:
    outcome = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", python="/no/python3")
    failure = outcome.runs[0].failure
    assert failure is not None
    planned = measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", python="/no/python3", dry_run=True)
    assert [run.failure for run in planned.runs] == [failure], "a dry run knows as much"
    assert "python: no '/no/python3'" in failure.message
    assert "onnxruntime_perf_test: no --tools-dir" in failure.message
    assert "devices --setup" in (failure.hint or "")


def test_what_a_tool_cannot_do_is_refused(model: Subject, tmp_path: Path) -> None:
    tool = program(tmp_path / "perf", "exit 0")
    with pytest.raises(UsageError, match="cannot pause between runs"):
        measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner=str(tool), gap_ms=5.0)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="choose auto, python, native"):
        measure(HostDevice(tmp_path / "host"), [model], tmp_path / "out", runner="pyhton")


def test_disk_full_or_read_only_fails_with_a_hint(adbd: Adbd, adb_rig: AdbRig, model: Subject, tmp_path: Path) -> None:
    device = AdbDevice(adbd.serial, adb_rig.server, scratch="/proc/nowhere")
    with pytest.raises(DeviceError) as refused:
        measure(device, [model], tmp_path / "out")
    assert refused.value.hint


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


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_one_combination_cannot_do_is_told_and_the_rest_is_planned(tmp_path: Path, dry_run: bool) -> None:
    """Two threads on one core cannot be."""
    (tmp_path / "m.ptl").write_bytes(b"not read here")
    events, tool = Events(), program(tmp_path / "tool", "exit 3")
    cpu = min(os.sched_getaffinity(0))
    outcome = measure(
        HostDevice(tmp_path / "s"), [subject(tmp_path / "m.ptl", Format.PTL)], tmp_path / "out", events=events,
        dry_run=dry_run, runner=str(tool), threads=(1, 2), affinity=str(cpu),
    )  # fmt: skip
    assert outcome.plan is not None
    assert {planned.workload.threads for planned in outcome.plan.runs} == {1}
    (failure,) = (failure for key, failure in events.failures.items() if key.endswith("-t2"))
    assert "m.ptl: 2 threads on 1 core " in failure.message
    assert [run.failure.exit_code for run in outcome.runs if run.failure] == ([2] if dry_run else [4, 2])
