"""TorchScript-lite artifacts in PyTorch's lite interpreter, the engine of PyTorch Mobile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ArtifactError, SessionError, first_line
from edgevit.spec import TensorSpec
from export.formats.ptl_file.read import read
from runtimes.sessions.feed import check_feed

if TYPE_CHECKING:
    from torch import Tensor
    from torch.jit.mobile import LiteScriptModule

Array = NDArray[np.generic]


class PtlSession:
    """One ``.ptl`` file, opened in the lite interpreter.

    Names, shapes and types come from the file's extra files: the interpreter itself knows only positions.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import torch

        self.inputs, self.outputs = _tensors(path)
        self.runtime = f"torch {torch.__version__} lite interpreter"
        self._name = path.name
        self._threads = threads
        self._module: LiteScriptModule | None = _load(path)

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Run once. See ``runtimes.sessions.session.Session.run``."""
        import torch

        if self._module is None:
            raise SessionError(f"the session of {self._name} is closed")
        where = f"{self._name} ({self.runtime})"
        check_feed(self.inputs, arrays, where)
        tensors = [torch.from_numpy(_owned(arrays[spec.name])) for spec in self.inputs]
        try:
            with _threads(self._threads), torch.no_grad():
                results = self._module.forward(*tensors)  # type: ignore[no-untyped-call]
        except Exception as error:  # the interpreter raises RuntimeError and its subclasses, but also IndexError
            raise SessionError(f"{self.runtime} could not run {self._name}: {first_line(error)}") from error
        return self._named(results, where)

    def close(self) -> None:
        """Free the module's memory; the session cannot be run again."""
        self._module = None

    def _named(self, results: object, where: str) -> dict[str, Array]:
        found = results if isinstance(results, tuple | list) else (results,)
        if len(found) != len(self.outputs):
            names = ", ".join(spec.name for spec in self.outputs)
            raise SessionError(f"{where} gave {len(found)} outputs, but its metadata names {names}")
        return {spec.name: _array(value, spec, where) for spec, value in zip(self.outputs, found, strict=True)}


def open_session(path: Path, threads: int = 1) -> PtlSession:
    """Open a ``.ptl`` file written by this tool.

    Args:
        path: The file.
        threads: Threads inside one operator. They are set for the time of a run; torch has one setting per process.

    Raises:
        SessionError: The file is missing, damaged, has no tensor names, or more than this runtime can load.
    """
    if not path.is_file():
        raise SessionError(f"cannot open {path}: no such file")
    return PtlSession(path, threads)


def _tensors(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs; reading the archive first keeps damaged and hostile files away from the interpreter.

    It may crash on the former, and runs whatever the latter ask for, files on this machine included.
    """
    try:
        facts = read(path)
    except ArtifactError as error:
        raise SessionError(f"the lite interpreter cannot load {path.name}: {error.message}") from error
    if refused := [operator for operator in facts.operators if not operator.standard]:
        reasons = "; ".join(f"{operator.name}: {operator.why_not}" for operator in refused)
        raise SessionError(f"{path.name} is not run, because of what it would call: {reasons}")
    if not facts.inputs or not facts.outputs:
        raise SessionError(
            f"{path.name} does not say what its inputs and outputs are called: its extra files lack them",
            hint="export it with edgevit-export --format ptl",
        )
    return facts.inputs, facts.outputs


def _load(path: Path) -> LiteScriptModule:
    from torch.jit.mobile import _load_for_lite_interpreter

    try:
        module: LiteScriptModule = _load_for_lite_interpreter(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # RuntimeError for damaged files, others for operators and versions it lacks
        raise SessionError(f"the lite interpreter cannot load {path.name}: {first_line(error)}") from error
    return module


def _owned(array: Array) -> Array:
    """Contiguous and writeable, as torch wants the memory that it borrows."""
    return np.require(array, requirements=["C", "W"])


def _array(value: object, spec: TensorSpec, where: str) -> Array:
    import torch

    if not isinstance(value, torch.Tensor):
        raise SessionError(f"{where}: output '{spec.name}' must be a tensor, but is {type(value).__name__}")
    tensor: Tensor = value.detach()
    return np.array(tensor.numpy())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
