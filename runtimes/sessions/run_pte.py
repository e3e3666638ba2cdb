"""ExecuTorch artifacts in the runtime of the ``executorch`` package, with its XNNPACK delegate."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import ArtifactError, SessionError, first_line
from export.artifact import Delegation
from export.formats.pte_file.contents import FORWARD, parse
from export.formats.pte_file.read import delegation_of, read
from export.quiet import quiet
from runtimes.sessions.session import Arrays, LocalSession

if TYPE_CHECKING:
    from executorch.runtime import Method, Program


class PteSession(LocalSession):
    """One ``.pte`` file, its method ``forward`` loaded.

    The runtime has one pool of threads for the whole process, which XNNPACK and the optimized kernels share, and a
    method keeps a pointer to the pool that it was loaded with. So a session whose pool another one has replaced since
    loads its method again before it runs.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        super().__init__(path, threads)
        self.runtime = f"executorch {version('executorch')}"
        try:
            file = parse(path)
            facts = read(path, file)
            self._delegation = delegation_of(file, path)
        except ArtifactError as error:
            raise SessionError(error.message) from error
        self._require_standard(facts)
        self.inputs, self.outputs = facts.inputs, facts.outputs
        self._load(_Pool.of(threads))

    @classmethod
    def probe(cls, package: str) -> None:
        """Import the native library, which ``package`` itself does not."""
        import_module(f"{package}.runtime")

    def delegation(self) -> Delegation:
        """What XNNPACK holds of the file, and why the rest stayed outside."""
        return self._delegation

    def _run(self, arrays: Arrays) -> Arrays:
        import torch

        if (pool := _Pool.of(self._threads)) != self._pool:
            self._load(pool)
        tensors = [torch.from_numpy(np.array(arrays[spec.name], order="C")) for spec in self.inputs]
        results = self._method.execute(tensors)
        # The results lie in the runtime's own memory, which the next run overwrites.
        return {
            spec.name: np.array(result.numpy(), order="C") for spec, result in zip(self.outputs, results, strict=True)
        }

    def _load(self, pool: int) -> None:
        """Load the method, with the pool of threads that is in force now."""
        runtime = import_module("executorch.runtime").Runtime.get()
        try:
            with quiet():
                # The program owns the bytes that the method reads.
                self._program: Program = runtime.load_program(self._path.read_bytes())
                self._method: Method = self._program.load_method(FORWARD)
        except (RuntimeError, ValueError, KeyError) as error:
            raise SessionError(f"{self.runtime} cannot load {self._path.name}: {first_line(error)}") from error
        self._pool = pool

    def _release(self) -> None:
        del self._method, self._program


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
