"""How sessions end: with changes in the making, devices that are gone, signals, and others beside them."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from session_child import turn
from small_disk import mounted
from steered_host import SteeredHost

from edgevit.errors import DeviceError, RestoreError
from runtimes.conditions.journal import Change, journal_path
from runtimes.conditions.lease import DeviceSession, end_all_sessions, ending_sessions_on_signals
from runtimes.devices.device import Device

pytestmark = pytest.mark.usefixtures("state_dir")


def test_what_is_not_restored_does_not_lock_the_device(host: SteeredHost, lock: Path, knob: Path) -> None:
    with pytest.raises(RestoreError), DeviceSession(host) as session:
        session.make(Change(key="k", apply=("true",), undo=("false",)))
    assert not lock.exists()
    assert journal_path("host").exists()


def test_an_error_in_the_block_is_the_one_that_is_told(host: SteeredHost) -> None:
    with pytest.raises(ZeroDivisionError) as caught, DeviceSession(host) as session:
        session.make(Change(key="k", apply=("true",), undo=("false",)))
        raise ZeroDivisionError
    (note,) = caught.value.__notes__
    assert "not restored on host: k" in note and "(hint: edgevit-export devices --restore)" in note


def test_a_change_that_is_being_made_is_undone_when_the_session_ends_meanwhile(host: SteeredHost, knob: Path) -> None:
    """As a signal does it: the main thread ends the session of a thread that is in the middle of a change."""
    entered, go_on = threading.Event(), threading.Event()
    with DeviceSession(host) as session:
        change = turn(host, knob)

        def slowly(argv: tuple[str, ...]) -> None:
            if argv == change.apply:
                entered.set()
                go_on.wait(10)

        host.before = slowly
        making = threading.Thread(target=session.make, args=(change,))
        making.start()
        assert entered.wait(10)
        ending = threading.Thread(target=end_all_sessions)
        ending.start()
        ending.join(0.3)
        go_on.set()
        making.join(10)
        ending.join(10)
        assert knob.read_text() == "old value"
        assert not journal_path("host").exists()
        with pytest.raises(DeviceError, match="is not open"):
            session.make(change)
    assert not journal_path("host").exists()


def test_a_session_that_cannot_be_ended_does_not_keep_the_others(tmp_path: Path, knob: Path) -> None:
    lost, good = SteeredHost(tmp_path / "a", "a"), SteeredHost(tmp_path / "b", "b")
    with pytest.raises(ZeroDivisionError), DeviceSession(good) as second:
        with DeviceSession(lost):
            second.make(turn(good, knob))
            lost.before = lost.lose
            end_all_sessions()
            assert knob.read_text() == "old value"
        raise ZeroDivisionError


def unwritable(_: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("ends_by", [None, ZeroDivisionError])
def test_notes_that_cannot_be_written_leave_nothing_changed(
    device: Device, knob: Path, tmp_path: Path, ends_by: type[Exception] | None
) -> None:
    other = tmp_path / "other knob"
    other.write_text("old value")
    with suppress(ZeroDivisionError), DeviceSession(device, report=unwritable) as session:
        session.make(turn(device, knob))
        session.make(turn(device, other))
        if ends_by is not None:
            raise ends_by
    assert (knob.read_text(), other.read_text()) == ("old value", "old value")
    assert not journal_path(device.serial).exists()
    assert not (Path(device.scratch_dir()) / "session").exists()


def test_a_note_about_what_stays_changed_does_not_hide_the_error(host: SteeredHost) -> None:
    with pytest.raises(ZeroDivisionError), DeviceSession(host, report=unwritable) as session:
        session.make(Change(key="k", apply=("true",), undo=("false",)))
        raise ZeroDivisionError


def test_a_device_that_talks_nonsense_once_is_brought_back_as_far_as_it_goes(host: SteeredHost, knob: Path) -> None:
    def nonsense(argv: tuple[str, ...]) -> None:
        if argv == ("true", "undo"):
            raise DeviceError("host answered nonsense")

    with pytest.raises(RestoreError, match="last: host answered nonsense"), DeviceSession(host) as session:
        session.make(turn(host, knob))
        session.make(Change(key="last", apply=("true",), undo=("true", "undo")))
        host.before = nonsense
    assert knob.read_text() == "old value"


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """The file system of ``directory`` takes no byte more."""
    filler = directory / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_disk_that_fills_here_leaves_nothing_changed_there(
    host: SteeredHost, lock: Path, knob: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "small", size_kib=64) as small:
        monkeypatch.setenv("XDG_STATE_HOME", str(small))
        session = DeviceSession(host)
        session.__enter__()
        session.make(turn(host, knob))
        for number in range(60):  # the line that says undone then has no room in the last block
            session.make(Change(key=f"{number:0100}", apply=("true",), undo=("true",)))
        with full_disk(small):
            session.end()
        assert knob.read_text() == "old value"
        assert not journal_path("host").exists()
        with full_disk(small):
            with pytest.raises(DeviceError, match=r"cannot write .*journal.*, which keeps devices safe") as caught:
                DeviceSession(host).__enter__()
            assert caught.value.exit_code == DeviceError.exit_code
            assert not lock.exists()
        with DeviceSession(host):
            pass


def test_clean_up_is_not_cut_short_and_signals_mean_again_what_they_did(host: SteeredHost, knob: Path) -> None:
    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    earlier = {number: signal.signal(number, handler) for number in numbers}
    try:
        with DeviceSession(host) as session:
            change = turn(host, knob)
            session.make(change)
            host.before = lambda argv: [signal.raise_signal(n) for n in numbers] if argv == change.undo else None
        assert knob.read_text() == "old value"
        assert [signal.getsignal(number) for number in numbers] == [handler] * 3
        with pytest.raises(SystemExit) as caught, ending_sessions_on_signals():
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.code == 128 + signal.SIGTERM
        assert [signal.getsignal(number) for number in numbers] == [handler] * 3
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
