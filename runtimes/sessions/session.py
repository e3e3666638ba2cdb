"""``Session``: one artifact opened in its own runtime on this machine, whatever the format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import EdgevitExportError, SessionError, first_line
from edgevit.spec import TensorSpec
from export.artifact import Delegation, FileFacts
from runtimes.sessions.feed import check_feed

Array = NDArray[np.generic]
Arrays = dict[str, Array]
"""Arrays by the name of the input or output that they are for."""


class Session(ABC):
    """An artifact that can be run.

    What not every runtime can do (``trace``, ``producers``, ``delegation``) has an answer here that says so; a session
    whose runtime can overrides it.

    Attributes:
        runtime: Name and version of the runtime, e.g. "onnxruntime 1.31.1".
        inputs: What the artifact takes.
        outputs: What it gives.
    """

    runtime: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @abstractmethod
    def run(self, arrays: Arrays) -> Arrays:
        """Run once.

        Args:
            arrays: One array for each of ``inputs``, of exactly its shape (-1 axes are free) and dtype.

        Returns:
            Fresh arrays, one for each of ``outputs``.

        Raises:
            SessionError: The session is closed, a name, shape or dtype does not fit, or the runtime refused.
        """

    def trace(self, arrays: Arrays) -> Arrays | None:
        """Run once and return every intermediate tensor by its name in the file, in execution order.

        Args:
            arrays: As for ``run``.

        Returns:
            None where the runtime cannot hand them out.

        Raises:
            SessionError: As for ``run``.
        """
        return None

    def producers(self) -> dict[str, str]:
        """The operator that makes each tensor of ``trace``; empty where that is unknown."""
        return {}

    def delegation(self) -> Delegation | None:
        """What a delegate took, and why the rest stayed outside; None where no delegate is at work."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Free the runtime's memory; the session cannot be run again."""


class LocalSession(Session):
    """A file opened in a runtime of this machine: what every format does around a run."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Open the file.

        Args:
            path: The artifact.
            threads: Threads inside one operator.

        Raises:
            SessionError: The file is missing, damaged, or more than this runtime can load.
        """
        if not path.is_file():
            raise SessionError(f"cannot open {path}: no such file")
        self._path, self._threads, self._closed = path, threads, False

    @classmethod
    def probe(cls, package: str) -> None:
        """Use ``package``, one of what the runtime needs, so far that a broken installation shows; raises anything."""
        import_module(package)

    def run(self, arrays: Arrays) -> Arrays:
        """Run once. See ``Session.run``."""
        return self._checked(self._run, arrays)

    def close(self) -> None:
        """Free the runtime's memory; the session cannot be run again."""
        if not self._closed:
            self._closed = True
            self._release()

    @abstractmethod
    def _run(self, arrays: Arrays) -> Arrays:
        """``run``, once the arrays are known to fit; whatever it raises is told as a ``SessionError``."""

    @abstractmethod
    def _release(self) -> None:
        """Drop all that holds the runtime's memory."""

    def _require_standard(self, facts: FileFacts) -> None:
        """Run no file whose operators are not all standard: some write files, and some crash on what they are given.

        Raises:
            SessionError: Says which, and why.
        """
        if refused := [operator for operator in facts.operators if not operator.standard]:
            reasons = "; ".join(f"{operator.name}: {operator.why_not}" for operator in refused)
            raise SessionError(f"{self._path.name} is not run, because of what it would call: {reasons}")

    @property
    def _named(self) -> str | None:
        return path_text(self._path)

    @property
    def _where(self) -> str:
        """The artifact and its runtime, for messages."""
        return f"{self._path.name} ({self.runtime})"

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SessionError(f"the session of {self._path.name} is closed")

    def _checked(self, work: Callable[[Arrays], Arrays], arrays: Arrays) -> Arrays:
        """Let ``work`` have ``arrays`` if they fit, and translate what the runtime raises."""
        self._refuse_closed()
        check_feed(self.inputs, arrays, self._where)
        try:
            return work(arrays)
        except EdgevitExportError:
            raise
        except Exception as error:  # the runtimes' own errors share no base below Exception
            raise SessionError(f"{self.runtime} could not run {self._path.name}: {first_line(error)}") from error


def path_text(path: Path) -> str | None:
    """A path as runtimes take it; None where it is no UTF-8, so that they must be given the file's bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return None
    return str(path)
