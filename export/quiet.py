"""Keeps the converters' own chatter off the console: C++ prints, MLIR progress, warnings, logging."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import IO

TAIL_LINES = 15
_ONE_THREAD = threading.RLock()
"""The streams are the process's: threads that both put them back would leave each other's log in their place."""


@contextmanager
def quiet(*, verbose: bool = False) -> Iterator[None]:
    """Send all that is written to stdout and stderr to a temporary log while the block runs.

    Both the process's file descriptors and Python's own streams are redirected, so that native code is silenced too.
    Another thread's block waits for the end of this one. When the block raises, the last lines of the log become a note
    of the exception (``error.__notes__``).

    Args:
        verbose: Let everything through, to stderr: stdout carries data only.
    """
    with _ONE_THREAD:
        yield from _redirected(verbose=verbose)


def _redirected(*, verbose: bool) -> Iterator[None]:
    if verbose:
        with _descriptors(2, 1), redirect_stdout(sys.stderr):
            yield
        return
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace", buffering=1) as log:
        try:
            with (
                _handlers_on_terminals(log),
                _descriptors(log.fileno(), 1, 2),
                redirect_stdout(log),
                redirect_stderr(log),
            ):
                yield
        except BaseException as error:
            if tail := _tail(log):
                error.add_note("last lines of the converter's log:\n" + tail)
            raise


@contextmanager
def _handlers_on_terminals(log: IO[str]) -> Iterator[None]:
    """Let logging that would write to a terminal write to ``log`` while the block runs.

    A handler keeps the stream that was ``sys.stderr`` when it was made: torch's, where torch is imported beside a live
    line, is that line's, which writes to a descriptor of its own.
    """
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    handlers = {handler for logger in (logging.root, *loggers) for handler in logger.handlers}
    loud = [each for each in handlers if isinstance(each, logging.StreamHandler) and _is_on_a_terminal(each)]
    streams = [handler.setStream(log) for handler in loud]
    try:
        yield
    finally:
        for handler, stream in zip(loud, streams, strict=True):
            handler.setStream(stream)


def _is_on_a_terminal(handler: logging.StreamHandler[IO[str]]) -> bool:
    try:
        return os.isatty(handler.stream.fileno())  # not stream.isatty(): a wrapper's is false
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def _descriptors(target: int, *redirected: int) -> Iterator[None]:
    """Point the file descriptors ``redirected`` at ``target`` while the block runs."""
    with ExitStack() as stack:
        for descriptor in redirected:
            _flush()
            try:
                saved = os.dup(descriptor)
            except OSError:  # a service may run with its standard streams closed
                continue
            os.dup2(target, descriptor)
            stack.callback(_restore, saved, descriptor)
        yield


def _restore(saved: int, descriptor: int) -> None:
    _flush()
    os.dup2(saved, descriptor)
    os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _tail(log: IO[str]) -> str:
    log.flush()
    log.seek(0)
    lines = [line.rstrip() for line in log.read().replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])


def notes_of(error: BaseException) -> tuple[str, ...]:
    """The notes that ``quiet`` and others left on ``error``, for a front door to show."""
    return tuple(getattr(error, "__notes__", ()))
