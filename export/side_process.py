"""Work of one export that goes on in a process of its own, beside the rest.

A converter is one long single-threaded Python computation, and so is the reference; side by side they use the second
core. A forked process shares the model without copying it, and a converter that is killed takes nothing else with it.
Forking needs Linux (elsewhere system libraries do not survive it) and a process that nobody else's threads live in, so
it is asked for by the command line and off by default.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from edgevit.errors import EdgevitExportError, ExportError
from export.staging import is_full, translate

Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
_NO_ROOM = 28
"""The exit code of a process whose disk was full, which leaves no room for its answer either."""


class SideProcess(Generic[Result]):
    """``work()`` in a forked process where ``forked``, else at once in this one.

    Args:
        work: Returns something that can be pickled.
        answer: Where the process leaves its result; a path in the staging directory.
        what: The work in words, for the error of a process that was killed.
        forked: Whether to fork; ``can_fork`` says where that works.
    """

    def __init__(self, work: Callable[[], Result], answer: Path, what: str, *, forked: bool) -> None:
        self._answer, self._what, self._pid = answer, what, 0
        self._outcome: tuple[Result | None, BaseException | None] | None = None
        if not forked:
            self._outcome = (work(), None)
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # what cannot be told now, or to nobody, costs no work
                stream.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._live(work)

    @property
    def running(self) -> bool:
        """Whether ``result`` may have to wait."""
        return self._pid != 0

    @property
    def failed(self) -> bool:
        """Whether the work is known to have raised."""
        return self._outcome is not None and self._outcome[1] is not None

    def result(self) -> Result:
        """Wait for the work and return what it returned.

        Raises:
            ExportError: The process was killed, or the disk was full.
            BaseException: Whatever the work raised.
        """
        if self._outcome is None:
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            self._outcome = self._read(os.waitstatus_to_exitcode(status))
        value, error = self._outcome
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def stop(self) -> None:
        """End the process if it still runs."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _live(self, work: Callable[[], Result]) -> None:
        """The forked process: work, leave the result, and end without this program's own clean-up."""
        code = 1
        try:
            _die_with_parent()
            gc.disable()  # what is garbage goes with the process, one work from now
            import torch

            torch.set_num_threads(1)  # the threads of an OpenMP pool do not survive a fork
            outcome: tuple[Result | None, BaseException | None] = (None, None)
            try:
                outcome = (work(), None)
            except EdgevitExportError as error:
                outcome = (None, error)
            self._answer.write_bytes(pickle.dumps(outcome))
            code = 0
        except BaseException as error:
            if isinstance(error, OSError) and is_full(error):
                code = _NO_ROOM
            else:
                with suppress(Exception):  # without a word rather than back into the parent's work
                    sys.stderr.write(f"{self._what}: {type(error).__name__}: {error}\n")
                    sys.stderr.flush()
        finally:
            os._exit(code)

    def _read(self, code: int) -> tuple[Result | None, BaseException | None]:
        if code == _NO_ROOM:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return None, translate(full, self._answer.parent.parent)
        if code != 0:
            why = f"was killed by signal {-code}" if code < 0 else "ended without a result"
            return None, ExportError(f"{self._what}: the process {why}", hint="run again with -v to see its output")
        found: tuple[Result | None, BaseException | None] = pickle.loads(self._answer.read_bytes())
        self._answer.unlink()
        return found


def can_fork() -> bool:
    """Whether this system lets a process with loaded native libraries be forked, and has a second core to use."""
    return sys.platform == "linux" and (os.cpu_count() or 1) > 1


def _die_with_parent() -> None:
    """Nobody waits for the work of a parent that was killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
