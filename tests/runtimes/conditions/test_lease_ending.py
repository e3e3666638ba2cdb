"""How sessions end: with changes in the making, devices that are gone, signals, and others beside them."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from session_child import turn
from steered_host import SteeredHost

from edgevit.errors import DeviceError, RestoreError
from runtimes.conditions.journal import Change, journal_path
from runtimes.conditions.lease import DeviceSession, end_all_sessions, ending_sessions_on_signals

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
