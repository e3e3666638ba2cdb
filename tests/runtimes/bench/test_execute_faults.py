"""The measuring flow on daemons that hang, refuse, cut transfers, or are too old to tell exit codes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from adbd_rig import Adbd
from bench_rig import Events, judge, onnx_subject
from fault_daemon import FaultDaemon, Faults

import runtimes.bench.patience as patience_module
from edgevit.errors import DeviceError
from runtimes.bench.measure import DeviceOutcome, Measurement
from runtimes.bench.request import BenchRequest
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload

pytestmark = pytest.mark.usefixtures("state_dir")

Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits for what does not come back."""
    monkeypatch.setattr(patience_module, "RECONNECT_S", 2.0)
    monkeypatch.setattr(patience_module, "ALIVE_TIMEOUT_S", 2.0)


@pytest.fixture
def model(tmp_path: Path) -> Subject:
    return onnx_subject(tmp_path / "tiny.onnx")


def measure(
    device: Device, subjects: list[Subject], output: Path, events: Events, timeout_s: float = 60.0
) -> DeviceOutcome:
    workload = Workload(runs=4, rounds=2, warmup=1, timeout_s=timeout_s)
    request = BenchRequest(workload=workload, python=sys.executable, resume=True)
    return Measurement(device, subjects, request, output, judge, events).run()


def test_a_daemon_without_exit_codes_is_measured_all_the_same(faulty: Make, model: Subject, tmp_path: Path) -> None:
    _, device = faulty(Faults(shell_v2=False, merge_with_pty_line_ends=True))
    (run,) = measure(device, [model], tmp_path / "out", Events()).runs
    assert run.complete, run.failure
    assert {each.verification.status for each in run.rounds} == {"passed"}


def test_a_full_disk_fails_with_the_next_step(faulty: Make, model: Subject, tmp_path: Path) -> None:
    _, device = faulty(Faults(refuse_push="couldn't create file: No space left on device"))
    (run,) = measure(device, [model], tmp_path / "out", Events()).runs
    assert run.failure is not None
    assert "is full" in run.failure.message
    assert "--remote-dir" in (run.failure.hint or "")


def test_a_cable_pulled_in_a_push_and_resumed(faulty: Make, model: Subject, tmp_path: Path) -> None:
    daemon, device = faulty(Faults(drop_after_push_bytes=3_000))
    outcome = measure(device, [model], tmp_path / "out", Events())
    assert outcome.runs[0].failure is not None
    daemon.faults.drop_after_push_bytes = None
    device.reconnect()
    (run,) = measure(device, [model], tmp_path / "out", Events()).runs
    assert run.complete, run.failure


def test_a_cable_pulled_in_a_pull_is_tried_once_more(faulty: Make, model: Subject, tmp_path: Path) -> None:
    daemon, device = faulty(Faults())

    def cut_once(planned: object) -> None:
        daemon.faults.drop_after_pull_bytes = 200 if len(events.started) == 1 else None

    class Forgiving(Events):
        def note(self, text: str) -> None:
            super().note(text)
            daemon.faults.drop_after_pull_bytes = None

    events = Forgiving(cut_once)
    (run,) = measure(device, [model], tmp_path / "out", events).runs
    assert run.complete, run.failure
    assert any("trying to get" in note for note in events.notes)


def test_answers_without_an_exit_code_are_a_lost_device(faulty: Make, model: Subject, tmp_path: Path) -> None:
    daemon, device = faulty(Faults())

    def cut(planned: object) -> None:
        daemon.faults.end_without_exit = True
        daemon.faults.only_commands_with = ".pyz"

    (run,) = measure(device, [model], tmp_path / "out", Events(cut)).runs
    assert run.failure is not None
    assert not run.complete


def test_a_hung_daemon_ends_within_its_deadlines(
    adb_device: AdbDevice, adbd: Adbd, model: Subject, tmp_path: Path
) -> None:
    (adbd.data / "dumpsys_power").write_text("mWakefulness=Awake\n")
    events = Events(lambda planned: adbd.hang() if len(events.started) == 2 else None)
    start = time.monotonic()
    outcome = measure(adb_device, [model], tmp_path / "out", events, timeout_s=4.0)
    assert time.monotonic() - start < 150
    assert isinstance(outcome.error, DeviceError) or outcome.runs[0].failure is not None
    assert len(outcome.runs[0].rounds) == 1
    adbd.wake()
