"""TorchScript-lite artifacts in PyTorch's lite interpreter, the engine of PyTorch Mobile."""

from __future__ import annotations

import os
import warnings
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
        self._engine = engine_for(facts)
        by = f", int8 by {self._engine}" if self._engine else ""
        self.runtime = f"torch {torch.__version__} lite interpreter{by}"
        with _engine(self._engine):
            self._module = _load(path.name, self._named or BytesIO(path.read_bytes()))

    def _run(self, arrays: Arrays) -> Arrays:
        import torch

        # torch borrows the memory, and wants it contiguous and writeable.
        tensors = [torch.from_numpy(np.require(arrays[spec.name], requirements=["C", "W"])) for spec in self.inputs]
        with _threads(self._threads), _engine(self._engine), torch.no_grad():
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


PTL_ENGINE = "EDGEVIT_PTL_ENGINE"
"""The environment variable that names torch's engine for int8 products; see ``engine_for``."""
MOBILE_ENGINE = "qnnpack"
"""What phones compute int8 with: exact on every CPU, and on x86 slower than float32."""


def engine_for(facts: FileFacts) -> str | None:
    """The engine that loads and runs a file with int8 products; None for one without.

    That of x86 adds two products of 8 bits into 16, which overflows, on CPUs without VNNI; with it, it is exact and
    some 10 % faster than torch's own choice (FBGEMM, whose depthwise convolutions overflow even so).

    Raises:
        SessionError: The torch here does not have it.
    """
    import torch

    called = [row.name for row in facts.operators if row.name.startswith("quantized::")]
    if not called:
        return None
    with warnings.catch_warnings(action="ignore"):
        # torch says once that uint8 tensors are deprecated: here to nobody, else to stderr in the midst of a run.
        torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
    known = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    is_exact = "onednn" in known and torch.cpu._is_vnni_supported()
    asked = os.environ.get(PTL_ENGINE) or ("onednn" if is_exact else MOBILE_ENGINE)
    if asked not in known:
        hint = f"{PTL_ENGINE}={known[0]}" if known else None
        raise SessionError(f"{called[0]} needs int8: torch {torch.__version__} here has no engine '{asked}'", hint=hint)
    return asked


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


@contextmanager
def _engine(name: str | None) -> Iterator[None]:
    """Let torch compute int8 by the engine ``name``: like the threads, one setting of the process."""
    import torch

    if name is None:
        yield
        return
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = before
