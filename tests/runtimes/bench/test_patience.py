"""Devices that are lost while they are measured: called back once, or given up with all that was done kept."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig
from bench_rig import Events, measure
from fault_daemon import FaultDaemon, Faults

import runtimes.bench.patience as patience_module
from edgevit.errors import DeviceError
from runtimes.bench.record import DeviceRun
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.runners.runner import Subject

pytestmark = pytest.mark.usefixtures("state_dir")


Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits for what does not come back."""
    monkeypatch.setattr(patience_module, "RECONNECT_S", 2.0)
    monkeypatch.setattr(patience_module, "ALIVE_TIMEOUT_S", 2.0)


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


def test_a_cable_pulled_in_a_push_and_resumed(faulty: Make, model: Subject, tmp_path: Path) -> None:
    daemon, device = faulty(Faults(drop_after_push_bytes=3_000))
    outcome = measure(device, [model], tmp_path / "out", resume=True)
    assert outcome.runs[0].failure is not None
    daemon.faults.drop_after_push_bytes = None
    device.reconnect()
    (run,) = measure(device, [model], tmp_path / "out", resume=True).runs
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
    (run,) = measure(device, [model], tmp_path / "out", events=events).runs
    assert run.complete, run.failure
    assert any("trying to get" in note for note in events.notes)


def test_answers_without_an_exit_code_are_a_lost_device(faulty: Make, model: Subject, tmp_path: Path) -> None:
    daemon, device = faulty(Faults())

    def cut(planned: object) -> None:
        daemon.faults.end_without_exit = True
        daemon.faults.only_commands_with = ".pyz"

    (run,) = measure(device, [model], tmp_path / "out", events=Events(cut)).runs
    assert run.failure is not None
    assert not run.complete


def test_a_hung_daemon_ends_within_its_deadlines(
    adb_device: AdbDevice, adbd: Adbd, model: Subject, tmp_path: Path
) -> None:
    (adbd.data / "dumpsys_power").write_text("mWakefulness=Awake\n")
    events = Events(lambda planned: adbd.hang() if len(events.started) == 2 else None)
    start = time.monotonic()
    outcome = measure(adb_device, [model], tmp_path / "out", events=events, timeout_s=4.0)
    assert time.monotonic() - start < 150
    assert isinstance(outcome.error, DeviceError) or outcome.runs[0].failure is not None
    assert len(outcome.runs[0].rounds) == 1
    adbd.wake()
