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
from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.bench.patience import Patience
from runtimes.bench.record import DeviceRun
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.host import HostDevice
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


class Absent(HostDevice):
    """Counts how often it is called back; comes back only the first ``returns`` times."""

    def __init__(self, directory: Path, *, returns: int) -> None:
        super().__init__(directory)
        self.called = 0
        self._returns = returns

    def reconnect(self, timeout_s: float = 20.0) -> None:
        self.called += 1
        if self.called > self._returns:
            raise DeviceLostError("it is gone")


def lose() -> None:
    raise DeviceLostError("the cable was pulled")


def test_what_was_lost_once_is_done_once_more(tmp_path: Path) -> None:
    device, notes, tries = Absent(tmp_path, returns=1), [], []

    def work() -> str:
        tries.append(1)
        return "done" if len(tries) > 1 else lose() or ""

    patience = Patience(device, notes.append)
    assert patience.do(work) == "done"
    assert (len(tries), device.called, patience.lost) == (2, 1, None)
    assert notes == ["the cable was pulled: trying to get host back"]


def test_what_is_lost_for_good_fails_all_the_rest_at_once(tmp_path: Path) -> None:
    device, tries = Absent(tmp_path, returns=0), []
    patience = Patience(device, lambda text: None)
    with pytest.raises(DeviceLostError, match="the cable was pulled") as lost:
        patience.do(lose)
    assert lost.value.hint == patience_module.RESUME_HINT
    with pytest.raises(DeviceLostError) as again:
        patience.do(lambda: tries.append(1))
    assert (again.value, tries, device.called) == (lost.value, [], 1)


def test_a_device_that_is_lost_twice_in_one_piece_of_work_is_given_up(tmp_path: Path) -> None:
    device = Absent(tmp_path, returns=5)
    patience = Patience(device, lambda text: None)
    with pytest.raises(DeviceLostError):
        patience.do(lose)
    assert device.called == 1 and patience.lost is not None


def test_a_program_that_hangs_on_a_device_that_answers_is_no_lost_device(tmp_path: Path) -> None:
    device = Absent(tmp_path, returns=5)
    patience = Patience(device, lambda text: None)

    def hang() -> None:
        raise DeviceTimeoutError("it did not end within 3 s")

    with pytest.raises(DeviceTimeoutError):
        patience.do(hang)
    assert (device.called, patience.lost) == (0, None)
