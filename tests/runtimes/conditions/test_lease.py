"""Locks and the dead man's switch: whatever happens, the device is as it was found."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from adbd_rig import Adbd, names
from session_child import turn

from edgevit.errors import DeviceError, DeviceLostError
from runtimes.conditions.journal import journal_path, read_journal
from runtimes.conditions.lease import DeviceSession, end_all_sessions
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice

pytestmark = pytest.mark.usefixtures("state_dir")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_session_leaves_nothing(device: Device, knob: Path, tmp_path: Path) -> None:
    told: list[str] = []
    with DeviceSession(device, report=told.append) as session:
        session.make(turn(device, knob))
        assert knob.read_text() == "new"
        assert [change.old for change in read_journal(journal_path(device.serial))[1]] == ["old value"]
        assert journal_path(device.serial).exists()
        handle = device.spawn_detached(["sleep", "600"], log=str(tmp_path / "log"))
    assert knob.read_text() == "old value"
    assert told == ["a knob's $name is 'old value' again"]
    assert names(Path(device.scratch_dir())) == []
    assert not journal_path(device.serial).exists()
    assert not device.is_alive(handle)
    assert device.process_log is None


def test_an_error_in_the_block_undoes_too(device: Device, knob: Path) -> None:
    with pytest.raises(ZeroDivisionError), DeviceSession(device) as session:
        session.make(turn(device, knob))
        raise ZeroDivisionError
    assert knob.read_text() == "old value"


def test_one_run_at_a_time_on_this_host(device: Device) -> None:
    with (
        DeviceSession(device),
        pytest.raises(DeviceError, match=f"is in use by pid {os.getpid()} on this host"),
        DeviceSession(device),
    ):
        pass


def test_another_hosts_run_is_respected(device: Device) -> None:
    with DeviceSession(device):
        lock = Path(device.scratch_dir()) / "session"
        kept = Path(device.scratch_dir()) / "kept"
        lock.rename(kept)
        (kept / "owner").write_text("ada@rack pid 1 abcdef\n")
    kept.rename(lock)
    with pytest.raises(DeviceError, match=r"is in use by ada@rack pid 1$"), DeviceSession(device):
        pass
    assert (lock / "owner").read_text() == "ada@rack pid 1 abcdef\n"
    (lock / "until").write_text("1\n")  # its deadline passed
    with DeviceSession(device):
        assert "ada@rack" not in (lock / "owner").read_text()


def test_a_lock_without_an_owner_is_a_crash(device: Device) -> None:
    left = Path(device.scratch_dir()) / "session"
    left.mkdir(parents=True)
    with DeviceSession(device):
        assert list(left.iterdir()), "the session has taken it over"
    assert not left.exists()


def test_the_dead_mans_switch(device: Device, knob: Path, tmp_path: Path) -> None:
    session = DeviceSession(device, lease_s=1, watch_period_s=1)
    with session:
        session.make(turn(device, knob))
        handle = device.spawn_detached(["sleep", "600"], log=str(tmp_path / "log"))
        wait_until(lambda: knob.read_text() == "old value")
        wait_until(lambda: not device.is_alive(handle))
        with pytest.raises(DeviceError, match="deadline passed"):
            session.extend()
    assert knob.read_text() == "old value"


def test_a_new_deadline_keeps_the_switch_quiet(device: Device, knob: Path) -> None:
    with DeviceSession(device, lease_s=2, watch_period_s=1) as session:
        session.make(turn(device, knob))
        session.extend(600)
        until = int((Path(device.scratch_dir()) / "session" / "until").read_text())
        assert until > float(Path("/proc/uptime").read_text().split()[0]) + 300
        assert knob.read_text() == "new"


def test_every_session_can_be_ended_from_outside(device: Device, knob: Path) -> None:
    session = DeviceSession(device)
    with session:
        session.make(turn(device, knob))
        end_all_sessions()
        assert knob.read_text() == "old value"
        with pytest.raises(DeviceError, match="is not open"):
            session.make(turn(device, knob))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_undo(child: subprocess.Popen[bytes], knob: Path, tmp_path: Path, number: int) -> None:
    assert knob.read_text() == "new"
    child.send_signal(number)
    assert child.wait(15) != 0
    assert knob.read_text() == "old value"
    assert names(tmp_path / "host scratch") == ["log"]
    assert not journal_path("host").exists()


def test_a_crash_is_repaired_at_the_next_contact(child: subprocess.Popen[bytes], knob: Path, tmp_path: Path) -> None:
    child.kill()
    child.wait(5)
    assert knob.read_text() == "new"
    device = HostDevice(tmp_path / "host scratch")
    told: list[str] = []
    with DeviceSession(device, report=told.append):
        assert knob.read_text() == "old value"
    assert told == ["a knob's $name is 'old value' again"]
    assert names(tmp_path / "host scratch") == ["log"]


def test_a_lost_session_does_not_lock_us_out(adb_device: AdbDevice, adbd: Adbd, knob: Path) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(adb_device) as session:
        session.make(turn(adb_device, knob))
        adbd.pull_cable()
        adb_device.run(["true"])
    adbd.start()
    adb_device.reconnect()
    with DeviceSession(adb_device):
        assert knob.read_text() == "old value"
