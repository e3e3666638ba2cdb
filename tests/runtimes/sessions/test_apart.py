"""A call in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from edgevit.errors import SessionError, UsageError
from runtimes.sessions.apart import apart


def _where(*, factor: int) -> tuple[int, int]:
    return os.getpid(), 21 * factor


def _refuse() -> None:
    raise UsageError("no", hint="say yes")


def _abort() -> None:
    sys.stderr.write("starting\nsomething.cc:7 rank <= 4 was not true\n\n")
    sys.stderr.flush()
    os.abort()


def _stumble() -> None:
    raise ZeroDivisionError("by hand")


def _die_oddly() -> None:
    os.kill(os.getpid(), signal.SIGRTMIN + 3)


@pytest.fixture(autouse=True)
def _found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of this file travel as those of a module that the other process finds."""
    name = "test_apart"
    monkeypatch.setitem(sys.modules, name, sys.modules[__name__])
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for function in (_where, _refuse, _abort, _stumble, _die_oddly):
        monkeypatch.setattr(function, "__module__", name)


def test_the_result_comes_from_another_process() -> None:
    pid, product = apart("multiplying", _where, factor=2)
    assert product == 42
    assert pid != os.getpid()


def test_an_error_of_ours_arrives_as_it_was() -> None:
    with pytest.raises(UsageError, match=r"^no$") as caught:
        apart("asking", _refuse)
    assert caught.value.hint == "say yes"


def test_an_abort_is_an_error_with_the_last_words() -> None:
    with pytest.raises(SessionError) as caught:
        apart("tracing", _abort)
    assert caught.value.message == "tracing: its process was ended by SIGABRT (something.cc:7 rank <= 4 was not true)"


def test_any_other_end_is_an_error() -> None:
    with pytest.raises(SessionError, match=r"^tracing: its process ended with code 1 \(ZeroDivisionError: by hand\)$"):
        apart("tracing", _stumble)
    with pytest.raises(SessionError, match=f"^tracing: its process was ended by signal {signal.SIGRTMIN + 3}$"):
        apart("tracing", _die_oddly)
