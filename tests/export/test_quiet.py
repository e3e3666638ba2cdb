"""The converters' chatter is kept off the console."""

import logging
import os
import pty
import subprocess
import sys
import threading

import pytest

from export.quiet import notes_of, quiet


def test_natives_children_and_python_are_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(1, b"native\n")
        subprocess.run(["echo", "child"], check=True)
        print("python", file=sys.stderr)
    assert capfd.readouterr() == ("", "")
    with quiet(verbose=True):
        os.write(1, b"native\n")
    assert capfd.readouterr() == ("", "native\n")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_logging_on_a_terminal_is_silenced_whatever_stream_its_handler_was_made_with() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", buffering=1) as terminal, os.fdopen(os.dup(ours), "rb") as screen:
        logger, handler = logging.getLogger("a.converter"), logging.StreamHandler(terminal)
        logger.addHandler(handler)
        try:
            with pytest.raises(ValueError, match="no") as caught, quiet():
                logger.warning("deprecated")
                raise ValueError("no")
            logger.warning("after")
        finally:
            logger.removeHandler(handler)
        assert screen.readline() == b"after\r\n"
    assert notes_of(caught.value)[0].endswith("deprecated")
    os.close(ours)


def test_the_end_of_the_log_becomes_a_note_of_the_error() -> None:
    with pytest.raises(ValueError, match="no such operator") as caught, quiet():
        for number in range(20):
            os.write(1, b"line %d\n" % number)
        raise ValueError("no such operator")
    (note,) = notes_of(caught.value)
    assert note.splitlines()[1:] == [f"line {number}" for number in range(5, 20)]


def test_blocks_of_two_threads_take_turns_and_leave_the_streams_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    entered, release = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            entered.set()
            release.wait(5)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(5)
    release.set()
    thread.join()
    os.write(1, b"native\n")
    print("python")
    sys.stdout.flush()
    assert capfd.readouterr() == ("native\npython\n", "")
