"""``Session``: one opened artifact in its own runtime, whatever the format."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgevit.spec import TensorSpec
from export.artifact import Delegation
from export.recipe import Format
from runtimes.sessions.table import RUNTIMES, require_runtime

Array = NDArray[np.generic]


class Session(Protocol):
    """An artifact that can be run.

    ``run`` takes one array for each of ``inputs`` (exact shape and dtype; -1 axes are free) and returns fresh arrays,
    one for each of ``outputs``, by name.

    Raises (``run``):
        SessionError: A name, shape or dtype does not fit, or the runtime refused.
    """

    runtime: str  # e.g. "onnxruntime 1.31.1"
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]: ...

    def close(self) -> None: ...


class TracingSession(Session, Protocol):
    """A session whose runtime can hand out intermediate tensors (ONNX Runtime, TFLite)."""

    def trace(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Every intermediate tensor that can be read, by its name in the file, in execution order."""
        ...


class DelegatingSession(Session, Protocol):
    """A session that knows what its delegate took."""

    def delegation(self) -> Delegation | None: ...


def open_session(path: Path, format: Format, *, threads: int = 1) -> Session:
    """Open ``path`` in the runtime of its format.

    Raises:
        MissingDependencyError: The runtime is not installed.
        SessionError: The runtime cannot load the file.
    """
    require_runtime(format)
    session: Session = import_module(RUNTIMES[format].module).open_session(path, threads=threads)
    return session
