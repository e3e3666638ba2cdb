"""Locks, journals and the dead man's switch: whatever happens, the device is as it was found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import session_child
from adbd_rig import Adbd, AdbRig, names
from session_child import WRITE, turn

from edgevit.errors import ArtifactError, DeviceError, DeviceLostError, RestoreError
from runtimes.conditions.journal import Journal, journal_path, leftover_journals, read_journal, restore
from runtimes.conditions.lease import DeviceSession, end_all_sessions
from runtimes.conditions.restore import restore_devices
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice

pytestmark = pytest.mark.usefixtures("state_dir")


@pytest.fixture(params=["host", "adb"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    if request.param == "host":
        return HostDevice(tmp_path / "host scratch")
    found = request.getfixturevalue("adb_device")
    assert isinstance(found, Device)
    return found


@pytest.fixture
def knob(tmp_path: Path) -> Path:
    """Something on the device that can be changed."""
    path = tmp_path / "a knob's $name"
    path.write_text("old value")
    return path


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
        assert [change.old for change in session.changes] == ["old value"]
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


def test_changes_are_undone_newest_first(device: Device, knob: Path) -> None:
    with DeviceSession(device) as session:
        session.make(turn(device, knob, "one"))
        session.make(msgspec.structs.replace(turn(device, knob, "two"), key="second"))
    assert knob.read_text() == "old value"


def test_the_journal_is_written_before_the_change(device: Device, knob: Path) -> None:
    seen: list[str] = []
    run = device.run

    def spy(argv: list[str], timeout_s: float = 30.0) -> object:
        if argv[:3] == ["sh", "-c", WRITE] or tuple(argv[:3]) == ("sh", "-c", WRITE):
            seen.append(f"{len(read_journal(journal_path(device.serial))[1])} journalled, {knob.read_text()}")
        return run(argv, timeout_s)

    with DeviceSession(device) as session:
        change = turn(device, knob)
        device.run = spy  # type: ignore[method-assign,assignment]
        session.make(change)
        script = Path(device.scratch_dir()) / "session" / "restore.sh"
        assert str(knob).replace("'", "'\"'\"'") in script.read_text()
    assert seen[0] == "1 journalled, old value"


def test_a_change_that_is_not_taken(device: Device, knob: Path) -> None:
    change = msgspec.structs.replace(turn(device, knob), apply=("true",))
    with DeviceSession(device) as session, pytest.raises(DeviceError, match=r"did not take .* still reads 'old value'"):
        session.make(change)
    assert not journal_path(device.serial).exists()


def test_what_cannot_be_read_is_not_changed(device: Device, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be read, so it is not changed"):
        turn(device, tmp_path / "missing")


def test_an_undo_that_fails_is_told_and_kept(device: Device, knob: Path) -> None:
    change = msgspec.structs.replace(turn(device, knob), undo=("true",))
    reason = r"reads 'new', and was 'old value' \(by hand: true\)"
    with pytest.raises(RestoreError, match=reason) as caught, DeviceSession(device) as session:
        session.make(change)
    assert caught.value.hint == "edgevit-export devices --restore"
    assert [each.key for each in read_journal(journal_path(device.serial))[1]] == [knob.name]
    assert [head.serial for _, head in leftover_journals()] == [device.serial]


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


def test_waiting_for_another_run(device: Device) -> None:
    first = DeviceSession(device)
    first.__enter__()
    threading.Timer(0.5, first.end).start()
    with DeviceSession(device, wait_s=10):
        pass


def test_a_lock_without_an_owner_is_a_crash(device: Device) -> None:
    (Path(device.scratch_dir()) / "session").mkdir(parents=True)
    with DeviceSession(device):
        pass


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
        assert end_all_sessions() == ()
        assert knob.read_text() == "old value"
        with pytest.raises(DeviceError, match="is not open"):
            session.make(turn(device, knob))


@pytest.fixture
def child(tmp_path: Path, knob: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this program, in the middle of a session on this host."""
    process = subprocess.Popen(
        [sys.executable, session_child.__file__, str(tmp_path / "host scratch"), str(knob)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait(5)
    process.stdout.close()


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


def test_a_running_session_is_not_restored_away(child: subprocess.Popen[bytes], knob: Path) -> None:
    outcome = restore_devices(("host",))[0]
    assert outcome.problem is not None
    assert f"pid {child.pid}" in outcome.problem
    assert knob.read_text() == "new"
    child.send_signal(signal.SIGTERM)
    child.wait(15)
    assert restore_devices(("host",))[0].problem is None


def test_a_pulled_cable_keeps_the_journal(adb_device: AdbDevice, adb_rig: AdbRig, adbd: Adbd, knob: Path) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(adb_device) as session:
        session.make(turn(adb_device, knob))
        adbd.pull_cable()
    assert knob.read_text() == "new"
    gone = restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0]
    assert (gone.undone, gone.problem is None) == ((), False)
    adbd.start()
    back = restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0]
    assert (back.problem, back.undone) == (None, (knob.name,))
    assert knob.read_text() == "old value"
    assert restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0].undone == ()
    assert not (Path(adb_device.scratch_dir()) / "session").exists()


def test_a_pulled_cable_in_a_session_without_changes(
    adb_device: AdbDevice, adbd: Adbd, adb_rig: AdbRig, tmp_path: Path
) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(adb_device):
        handle = adb_device.spawn_detached(["sleep", "600"], log=str(tmp_path / "log"))
        adbd.pull_cable()
        adb_device.run(["true"])
    adbd.start()
    assert [head.serial for _, head in leftover_journals()] == [adbd.serial]
    assert restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0].problem is None
    assert not adb_device.is_alive(handle)
    assert leftover_journals() == ()


def test_a_lost_session_does_not_lock_us_out(adb_device: AdbDevice, adbd: Adbd, knob: Path) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(adb_device) as session:
        session.make(turn(adb_device, knob))
        adbd.pull_cable()
        adb_device.run(["true"])
    adbd.start()
    adb_device.reconnect()
    with DeviceSession(adb_device):
        assert knob.read_text() == "old value"


def test_all_leftovers_are_restored_through_the_server_of_their_journal(
    adb_device: AdbDevice, adbd: Adbd, knob: Path, monkeypatch: pytest.MonkeyPatch, adb_rig: AdbRig
) -> None:
    journal = Journal(adb_device, restore_script=None)
    journal.open()
    journal.make(turn(adb_device, knob))
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:{adb_rig.server}")
    outcome = {each.serial: each for each in restore_devices()}
    assert outcome[adbd.serial].undone == (knob.name,)
    assert outcome[adbd.serial].problem is None


def test_another_device_at_the_same_address_is_left_alone(adb_device: AdbDevice, adbd: Adbd, knob: Path) -> None:
    (adbd.data / "getprop").write_text("[ro.serialno]: [FIRST]\n")
    journal = Journal(adb_device, restore_script=None)
    journal.open()
    journal.make(turn(adb_device, knob))
    (adbd.data / "getprop").write_text("[ro.serialno]: [SECOND]\n")
    with pytest.raises(RestoreError, match=r"another device \('FIRST', not 'SECOND'\)"):
        restore(adb_device)
    assert knob.read_text() == "new"


def test_a_journal_that_a_crash_cut_short(device: Device, knob: Path) -> None:
    journal = Journal(device, restore_script=None)
    journal.open()
    journal.make(turn(device, knob))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"head":null,"change":{"key":"half')
    assert restore(device) == (knob.name,)
    assert knob.read_text() == "old value"
    journal.path.write_bytes(b'{"head":{"ser')
    assert restore(device) == ()
    assert not journal.path.exists()


def test_a_file_that_is_no_journal(device: Device) -> None:
    path = journal_path(device.serial)
    path.parent.mkdir(parents=True)
    path.write_text('{"what": 1}\n')
    with pytest.raises(ArtifactError, match="line 1"):
        restore(device)
    assert path.exists()


def test_the_script_on_the_device_undoes_without_us(device: Device, knob: Path) -> None:
    with DeviceSession(device) as session:
        session.make(turn(device, knob, "it's $new"))
        device.run(["sh", f"{device.scratch_dir()}/session/restore.sh"])
        assert knob.read_text() == "old value"
