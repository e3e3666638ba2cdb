"""Locks and the dead man's switch: whatever happens, the device is as it was found."""

from __future__ import annotations

import errno
import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import session_child
from adbd_rig import Adbd, names
from number_space import OWN_SPACE, ROOT, needs_number_space
from session_child import turn
from steered_host import SteeredHost

import runtimes.conditions.lease as lease_module
import runtimes.conditions.owner as owner_module
from edgevit.errors import DeviceError, DeviceLostError
from runtimes.conditions.journal import journal_path, read_journal, state_home
from runtimes.conditions.lease import DeviceSession, end_all_sessions
from runtimes.conditions.owner import new_owner
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


OURS = f"{getpass.getuser()}@{socket.gethostname()}"


def up_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def test_one_run_at_a_time_in_this_process_whatever_the_device_is_called(host: SteeredHost, tmp_path: Path) -> None:
    other = SteeredHost(tmp_path / "scratch", "the same by another name")
    with DeviceSession(host) as session:
        with (
            pytest.raises(DeviceError, match=f"is in use by {OURS} pid {os.getpid()}$") as caught,
            DeviceSession(other),
        ):
            pass
        assert caught.value.hint is not None and "--restore" in caught.value.hint
        session.extend()
    with DeviceSession(other):
        pass


@pytest.fixture
def alive() -> Iterator[int]:
    """The number of a process that runs, and is not asked for anything."""
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    assert process.poll() is None, "it was only looked at"
    process.kill()
    process.wait(5)


@pytest.mark.parametrize(
    "owner",
    [
        f"{OURS} pid ALIVE abcdef",
        f"somebody@{socket.gethostname()} pid 4194303 abcdef",
        OURS,
        f"{OURS} pid ",
        f"{OURS} pid many abcdef",
        f"{OURS} pid \u00b2 abcdef",
    ],
)
def test_who_is_not_known_to_be_dead_keeps_the_lock(host: SteeredHost, lock: Path, owner: str, alive: int) -> None:
    owner = owner.replace("ALIVE", str(alive))
    lock.mkdir(parents=True)
    for name, text in (("owner", owner), ("until", str(int(up_s()) + 600)), ("boot", boot_id())):
        (lock / name).write_text(f"{text}\n")
    with pytest.raises(DeviceError, match="is in use by"), DeviceSession(host):
        pass
    assert (lock / "owner").read_text() == f"{owner}\n"
    (lock / "boot").write_text("of another start\n")
    with DeviceSession(host):
        pass


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_process_that_ended_loses_the_lock(host: SteeredHost, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number, which it has now given back, is not what it is known by."""
    ended = subprocess.Popen(["true"])
    with monkeypatch.context() as patch:
        patch.setattr(owner_module.os, "getpid", lambda: ended.pid)
        owner = new_owner()
    lock.mkdir(parents=True)
    for name, text in (("owner", owner), ("until", str(int(up_s()) + 600)), ("boot", boot_id())):
        (lock / name).write_text(f"{text}\n")
    with pytest.raises(DeviceError, match=f"is in use by {OURS} pid {ended.pid}$"), DeviceSession(host):
        pass  # nobody has waited for it yet, so that it is still there
    ended.wait()
    with DeviceSession(host) as session:
        assert (lock / "owner").read_text() == f"{session.owner}\n"


@needs_number_space
def test_process_one_of_another_container_keeps_the_lock(host: SteeredHost, lock: Path, tmp_path: Path) -> None:
    """With a state directory of its own: only the lock on the device is shared."""
    knob = tmp_path / "knob"
    knob.write_text("old value")
    child = subprocess.Popen(
        [*OWN_SPACE, sys.executable, session_child.__file__, str(lock.parent), str(knob)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "container")},
        start_new_session=True,
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        with pytest.raises(DeviceError, match=f"is in use by {OURS} pid 1$"), DeviceSession(host):
            pass
        assert knob.read_text() == "new", "it is in the middle of its work"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)
    (lock / "until").write_text("1\n")  # who may have ended unseen has until then
    with DeviceSession(host):
        assert knob.read_text() == "old value"


@pytest.mark.parametrize(("number", "refused"), [(errno.ENOLCK, False), (errno.EIO, True)])
def test_a_home_without_locks_leaves_the_lock_on_the_device(
    host: SteeredHost, lock: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lease_module.fcntl, "flock", flock)
    if refused:
        with pytest.raises(DeviceError, match=r"host\.lock cannot be locked: Input/output error"):
            DeviceSession(host).__enter__()
        return
    with (
        DeviceSession(host),
        pytest.raises(DeviceError, match=f"is in use by {OURS} pid {os.getpid()}$"),
        DeviceSession(SteeredHost(lock.parent, "the same")),
    ):
        pass


def test_a_lock_without_an_owner_is_waited_for(host: SteeredHost, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "OWNERLESS_S", 0.7)
    lock.mkdir(parents=True)
    for name, text in (("until", str(int(up_s()) + 600)), ("boot", boot_id())):
        (lock / name).write_text(f"{text}\n")
    began_s = time.monotonic()
    with DeviceSession(host):
        assert time.monotonic() - began_s > 0.7


def test_the_lock_says_whose_it_is_and_until_when(host: SteeredHost, lock: Path) -> None:
    with DeviceSession(host) as session:
        assert session.owner.startswith(f"{OURS} pid {os.getpid()} ")
        assert host.process_log == str(lock / "processes")
        assert (lock / "processes").read_text() == "", "the watcher must outlive the sweep"
        assert int((lock / "until").read_text()) == pytest.approx(up_s() + 1800, abs=20)
        session.extend(60.9)
        assert int((lock / "until").read_text()) == pytest.approx(up_s() + 60, abs=20)
        session.extend()
        assert int((lock / "until").read_text()) == pytest.approx(up_s() + 1800, abs=20)
        session.extend(0.0)
        assert int((lock / "until").read_text()) == pytest.approx(up_s(), abs=20)
        watcher = session._watcher
        assert watcher is not None and host.is_alive(watcher)
    assert not host.is_alive(watcher)
    assert names(lock.parent) == []


def test_nothing_is_changed_outside_of_a_session(host: SteeredHost, knob: Path) -> None:
    session = DeviceSession(host)
    session.end()
    with pytest.raises(DeviceError, match="the session on host is not open"):
        session.make(turn(host, knob))
    assert knob.read_text() == "old value"


def test_the_lock_on_this_host_names_its_last_holder(host: SteeredHost) -> None:
    path = state_home() / "locks" / "host.lock"
    path.parent.mkdir(parents=True)
    path.write_text("pid 123456789 of long ago\n")
    with DeviceSession(host):
        assert path.read_text() == f"pid {os.getpid()}\n"
        path.write_text("")
        with pytest.raises(DeviceError, match="host is in use by another process on this host"), DeviceSession(host):
            pass


def test_what_cannot_be_locked_is_told_and_left(host: SteeredHost, lock: Path) -> None:
    lock.parent.mkdir()
    lock.write_text("in the way")
    with pytest.raises(DeviceError, match=r"host cannot be locked: .*mkdir"), DeviceSession(host):
        pass
    lock.unlink()
    with DeviceSession(host):
        pass


def test_a_session_that_cannot_begin_its_journal_gives_the_device_back(host: SteeredHost, lock: Path) -> None:
    in_the_way = state_home() / "journal"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("")
    with (
        pytest.raises(DeviceError, match=r"cannot write .*host\.jsonl, .*: Not a directory") as caught,
        DeviceSession(host),
    ):
        pass
    assert caught.value.hint is not None and "XDG_STATE_HOME" in caught.value.hint
    assert not lock.exists() and host.process_log is None
    in_the_way.unlink()
    with DeviceSession(host):
        pass


def test_a_lock_that_cannot_be_written_on_this_host_is_told(host: SteeredHost, lock: Path) -> None:
    in_the_way = state_home()
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("")
    with pytest.raises(DeviceError, match=r"cannot write .*host\.lock, .*: Not a directory"), DeviceSession(host):
        pass
    assert not lock.exists()


def test_what_a_lost_session_of_this_process_held_is_taken_over(host: SteeredHost, lock: Path, knob: Path) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(host) as session:
        session.make(turn(host, knob))
        host.before = host.lose
    assert (lock / "owner").read_text() == f"{session.owner}\n"
    host.before = lambda _: None
    other = SteeredHost(lock.parent, "another")
    with DeviceSession(other):
        assert knob.read_text() == "old value", "the script on the device brought it back"
