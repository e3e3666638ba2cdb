"""ExecuTorch artifacts in the runtime of the ``executorch`` package, with its XNNPACK delegate."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ArtifactError, SessionError, first_line
from edgevit.spec import TensorSpec
from export.artifact import Delegation
from export.formats.pte_file.contents import FORWARD, parse
from export.formats.pte_file.read import delegation_of, facts_of
from export.quiet import quiet
from runtimes.sessions.feed import check_feed

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.generic]


class _Method(Protocol):
    def execute(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]: ...


class _Program(Protocol):
    def load_method(self, name: str) -> _Method: ...


class PteSession:
    """One ``.pte`` file, its method ``forward`` loaded.

    The runtime has one pool of threads for the whole process, and a method keeps a pointer to the pool that it was
    loaded with. So a session whose pool another one has replaced since loads its method again before it runs.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.runtime = f"executorch {version('executorch')}"
        self._path, self._threads = path, threads
        try:
            file = parse(path)
            facts = facts_of(file, path)
            self._delegation = delegation_of(file, path)
        except ArtifactError as error:
            raise SessionError(error.message) from error
        self.inputs: tuple[TensorSpec, ...] = facts.inputs
        self.outputs: tuple[TensorSpec, ...] = facts.outputs
        self._program: _Program | None = None  # owns the bytes that the method reads
        self._method: _Method | None = None
        self._pool = -1
        self._ready()
        self._closed = False

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Run once. See ``runtimes.sessions.session.Session.run``."""
        import torch

        if self._closed:
            raise SessionError(f"the session of {self._path.name} is closed")
        check_feed(self.inputs, arrays, f"{self._path.name} ({self.runtime})")
        method = self._ready()
        tensors = [torch.from_numpy(np.array(arrays[spec.name], order="C")) for spec in self.inputs]
        try:
            results = method.execute(tensors)
        except (RuntimeError, ValueError) as error:
            raise SessionError(f"{self.runtime} could not run {self._path.name}: {first_line(error)}") from error
        # The results lie in the runtime's own memory, which the next run overwrites.
        return {
            spec.name: np.array(result.numpy(), order="C") for spec, result in zip(self.outputs, results, strict=True)
        }

    def delegation(self) -> Delegation | None:
        """What XNNPACK holds of the file, and why the rest stayed outside."""
        return self._delegation

    def close(self) -> None:
        """Free the runtime's memory; the session cannot be run again."""
        self._method = None
        self._program = None
        self._closed = True

    def _ready(self) -> _Method:
        """The method, loaded with the pool that is in force now."""
        pool = _Pool.of(self._threads)
        if self._method is None or pool != self._pool:
            with quiet():
                self._method = None
                self._program = self._load()
                self._method, self._pool = self._load_method(self._program), pool
        return self._method

    def _load(self) -> _Program:
        runtime = import_module("executorch.runtime")
        try:
            return cast(_Program, runtime.Runtime.get().load_program(self._path.read_bytes()))
        except (RuntimeError, ValueError) as error:
            raise SessionError(f"{self.runtime} cannot load {self._path.name}: {first_line(error)}") from error

    def _load_method(self, program: _Program) -> _Method:
        try:
            return program.load_method(FORWARD)
        except (RuntimeError, ValueError, KeyError) as error:
            raise SessionError(
                f"{self.runtime} cannot load the method {FORWARD} of {self._path.name}: {first_line(error)}"
            ) from error


def open_session(path: Path, threads: int = 1) -> PteSession:
    """Open a ``.pte`` file.

    Args:
        path: The file.
        threads: Size of the process's pool of threads, which XNNPACK and the optimized kernels share.

    Raises:
        SessionError: The file is missing, damaged, or more than this runtime can load.
    """
    if not path.is_file():
        raise SessionError(f"cannot open {path}: no such file")
    return PteSession(path, threads)


class _Pool:
    """ExecuTorch's pool of threads; ``number`` tells one pool from the next."""

    number = 0

    @classmethod
    def of(cls, threads: int) -> int:
        """Have this many threads in the pool; the number of the pool in force."""
        library = import_module("executorch.extension.pybindings.portable_lib")
        if library._threadpool_get_thread_count() != threads:
            library._unsafe_reset_threadpool(threads)
            cls.number += 1
        return cls.number
