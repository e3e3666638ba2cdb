"""Ctrl-C ends a command even while it computes in a runtime that neither listens to signals nor lets Python run.

Python's handlers run between two steps of Python. A network whose loop never ends leaves none, and the lite interpreter
of PyTorch keeps the interpreter's lock meanwhile, so that no thread of this process could help: a small process of its
own watches, and ends it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

ANSWER_S = 3.0  # chosen: Python that runs at all answers within milliseconds, on a machine that swaps within a second
_AGAIN_S = 0.2  # between two questions: one alone may come just before a call of the system, which it is to interrupt
_ENDING = (signal.SIGINT, signal.SIGTERM)
_ANSWER = b"\0"  # no signal has this number
_WORDS = "interrupted: what was running did not answer and was ended; nothing unfinished was left under a final name\n"


def watch() -> None:
    """Have this process ended when it gets SIGINT or SIGTERM and runs no Python within ``ANSWER_S``.

    For the command line alone, before any thread. As long as Python runs, handlers and what they clean up are not
    disturbed, however long they take: the watcher asks with SIGURG, and any answer contents it. Where there is no
    ``fork``, or no process to be had, nothing watches.
    """
    if not hasattr(os, "fork"):
        return
    reading, writing = os.pipe()
    watched = os.getpid()
    try:
        child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return
    if child == 0:
        try:
            os.close(writing)
            _keep_out_of_the_way()
            _watch(reading, watched)
        finally:
            os._exit(0)
    os.close(reading)
    os.set_blocking(writing, False)  # the interpreter's handler in C writes to it
    signal.signal(signal.SIGURG, lambda number, frame: _answer(writing))
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)


def _answer(writing: int) -> None:
    try:
        os.write(writing, _ANSWER)
    except OSError:  # the watcher is gone, or has more to read than it needs
        return


def _keep_out_of_the_way() -> None:
    """Hold no stream open that others wait for, but stderr; and live through what a terminal sends to all processes."""
    for number in (*_ENDING, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)


def _watch(reading: int, watched: int) -> None:
    """Read the numbers of the signals that ``watched`` gets, until it ends."""
    while got := os.read(reading, 4096):
        if any(number in got for number in _ENDING) and not _answers(reading, watched):
            if os.getppid() == watched:
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _WORDS.encode())
                os.kill(watched, signal.SIGKILL)
            return


def _answers(reading: int, watched: int) -> bool:
    """Whether ``watched`` runs Python within the time, or has ended."""
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        if os.getppid() != watched:
            return True
        os.kill(watched, signal.SIGURG)
        if select.select([reading], [], [], _AGAIN_S)[0]:
            got = os.read(reading, 4096)
            if not got or _ANSWER in got:
                return True
            time.sleep(0.01)  # its handler in C has told of the question itself
    return False
