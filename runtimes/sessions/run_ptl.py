"""TorchScript-lite artifacts in PyTorch's lite interpreter, the engine of PyTorch Mobile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import ArtifactError, MissingDependencyError, SessionError, first_line
from edgevit.spec import TensorSpec
from export.artifact import FileFacts
from export.formats.ptl_file.prepacked import RUNS
from export.formats.ptl_file.read import read
from runtimes.sessions.session import Array, Arrays, LocalSession

if TYPE_CHECKING:
    from torch.jit.mobile import LiteScriptModule


PTL_PYTHON = "EDGEVIT_PTL_PYTHON"
"""The environment variable that names another Python for what the torch here cannot run; see ``ptl_elsewhere``."""
XNNPACK_HINT = f"{PTL_PYTHON}=PATH: a Python with numpy and a torch that has XNNPACK, as PyPI's wheel of 2.1.0"


class PtlSession(LocalSession):
    """One ``.ptl`` file, opened in the lite interpreter.

    Names, shapes and types come from the file's extra files: the interpreter itself knows only positions. A file from
    elsewhere has none: whoever opens it says what it takes, and its outputs are ``output_0`` and so on. Threads are
    set for the time of a run; torch has one setting per process.
    """

    def __init__(self, path: Path, threads: int = 1, inputs: tuple[TensorSpec, ...] = ()) -> None:
        import torch

        super().__init__(path, threads)
        facts = facts_of(path)
        self._require_standard(facts)
        if (called := [row.name for row in facts.operators if row.name in RUNS]) and not has_xnnpack():
            raise no_xnnpack(f"{path.name} ({', '.join(called)})")
        self.inputs, self.outputs = tensors_of(path.name, facts, inputs)
        self.runtime = f"torch {torch.__version__} lite interpreter"
        self._module = _load(path.name, self._named or BytesIO(path.read_bytes()))

    def _run(self, arrays: Arrays) -> Arrays:
        import torch

        # torch borrows the memory, and wants it contiguous and writeable.
        tensors = [torch.from_numpy(np.require(arrays[spec.name], requirements=["C", "W"])) for spec in self.inputs]
        with _threads(self._threads), torch.no_grad():
            results = self._module.forward(*tensors)  # type: ignore[no-untyped-call]
        found = results if isinstance(results, tuple | list) else (results,)
        if not self.outputs:
            named = [TensorSpec(name=f"output_{place}", shape=()) for place in range(len(found))]
            return {spec.name: _array(value, spec, self._where) for spec, value in zip(named, found, strict=True)}
        if len(found) != len(self.outputs):
            names = ", ".join(spec.name for spec in self.outputs)
            raise SessionError(f"{self._where} gave {len(found)} outputs, but its metadata names {names}")
        return {spec.name: _array(value, spec, self._where) for spec, value in zip(self.outputs, found, strict=True)}

    def _release(self) -> None:
        del self._module


def has_xnnpack() -> bool:
    """Whether the torch here can run prepacked weights: wheels of today cannot, PyPI's of 2.1.0 can."""
    import torch

    return bool(torch._C._is_xnnpack_enabled())


def no_xnnpack(what: str) -> MissingDependencyError:
    """The error that the torch here cannot run ``what``."""
    import torch

    return MissingDependencyError(
        f"cannot run {what}: torch {torch.__version__} here was built without XNNPACK", hint=XNNPACK_HINT
    )


def facts_of(path: Path) -> FileFacts:
    """What the file itself says, read before any interpreter opens it.

    Raises:
        SessionError: It is no lite file.
    """
    try:
        return read(path)
    except ArtifactError as error:
        raise SessionError(f"the lite interpreter cannot load {path.name}: {error.message}") from error


def tensors_of(
    name: str, facts: FileFacts, given: tuple[TensorSpec, ...]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of the file, or those that are given where it does not say its own."""
    if given and not facts.inputs:
        return given, ()
    if not facts.inputs or not facts.outputs:
        raise SessionError(
            f"{name} does not say what its inputs and outputs are called: its extra files lack them",
            hint="export it with edgevit-export --format ptl",
        )
    return facts.inputs, facts.outputs


def _load(name: str, source: str | BytesIO) -> LiteScriptModule:
    from torch.jit.mobile import _load_for_lite_interpreter

    try:
        module: LiteScriptModule = _load_for_lite_interpreter(source, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # RuntimeError for damaged files, others for operators and versions it lacks
        raise SessionError(f"the lite interpreter cannot load {name}: {first_line(error)}") from error
    return module


def _array(value: object, spec: TensorSpec, where: str) -> Array:
    """A copy of one output, in the shape and dtype that the interpreter gave it."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise SessionError(f"{where}: output '{spec.name}' must be a tensor, but is {type(value).__name__}")
    return np.array(value.detach().numpy())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
