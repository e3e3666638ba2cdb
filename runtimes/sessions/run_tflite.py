"""TFLite artifacts in ai-edge-litert, or in tflite-runtime where only that is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ArtifactError, SessionError, first_line
from edgevit.spec import TensorSpec
from export.artifact import Delegation
from export.formats.tflite_file.contents import TfliteGraph, parse
from export.formats.tflite_file.read import default_signature, read
from export.quiet import quiet
from export.recipe import Format
from runtimes.sessions.feed import check_feed
from runtimes.sessions.table import require_runtime
from runtimes.sessions.tflite_delegation import delegate_name, xnnpack_share

Array = NDArray[np.generic]
_PACKAGES = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}


class _TensorDetails(TypedDict):
    name: str
    index: int


class _Interpreter(Protocol):
    def allocate_tensors(self) -> None: ...
    def invoke(self) -> None: ...
    def set_tensor(self, tensor_index: int, value: Array) -> None: ...
    def get_tensor(self, tensor_index: int) -> Array: ...
    def _get_ops_details(self) -> list[dict[str, object]]: ...


class TfliteSession:
    """One TFLite file, opened with the runtime's default delegate (XNNPACK), as an app opens it.

    Tracing opens the file a second time, without the delegate and with all tensors kept: a difference that only the
    delegate makes is then visible as "``run`` and the end of ``trace`` disagree".
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._module = require_runtime(Format.TFLITE)
        self.runtime = f"{_PACKAGES[self._module]} {version(_PACKAGES[self._module])}"
        self._path, self._threads = path, threads
        self._graph, input_names, output_names = _checked(path)
        facts = read(path)
        self.inputs: tuple[TensorSpec, ...] = facts.inputs
        self.outputs: tuple[TensorSpec, ...] = facts.outputs
        self._input_indices, self._output_indices = input_names, output_names
        self._interpreter: _Interpreter | None = self._open(delegate=True)
        self._tracer: _Interpreter | None = None

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Run once. See ``runtimes.sessions.session.Session.run``."""
        interpreter = self._opened()
        self._invoke(interpreter, arrays)
        return {name: np.array(interpreter.get_tensor(index)) for name, index in self._output_indices.items()}

    def trace(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Every tensor that an operator makes, in execution order, by its name in the file.

        The signature's own names stand for the outputs. Tensor names start with the module of the network, as in
        ``blocks1.0.attn.qkv;3``.
        """
        self._opened()
        if self._tracer is None:
            self._tracer = self._open(delegate=False)
        self._invoke(self._tracer, arrays)
        made = [index for operator in self._graph.operators for index in operator.outputs if index >= 0]
        return {self._trace_name(index): np.array(self._tracer.get_tensor(index)) for index in made}

    def producers(self) -> dict[str, str]:
        """The operator that makes each tensor which ``trace`` hands out."""
        return {
            self._trace_name(index): operator.name
            for operator in self._graph.operators
            for index in operator.outputs
            if index >= 0
        }

    def delegation(self) -> Delegation | None:
        """What the delegate took, and why the rest stayed outside; None if the runtime applied no delegate."""
        details = self._opened()._get_ops_details()
        partitions = [
            (_numbers(detail["inputs"]), _numbers(detail["outputs"]))
            for detail in details
            if detail["op_name"] == "DELEGATE"
        ]
        if not partitions:
            return None
        return xnnpack_share(self._graph, partitions, delegate=delegate_name(self.runtime))

    def close(self) -> None:
        """Free the runtime's memory; the session cannot be run again."""
        self._interpreter = self._tracer = None

    def _opened(self) -> _Interpreter:
        if self._interpreter is None:
            raise SessionError(f"the session of {self._path.name} is closed")
        return self._interpreter

    def _trace_name(self, index: int) -> str:
        for name, output in self._output_indices.items():
            if output == index:
                return name
        return self._graph.tensors[index].name

    def _open(self, *, delegate: bool) -> _Interpreter:
        runtime = import_module(f"{self._module}.interpreter")
        resolvers = runtime.OpResolverType
        resolver = resolvers.AUTO if delegate else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with quiet():
                interpreter = runtime.Interpreter(
                    model_path=str(self._path),
                    num_threads=self._threads,
                    experimental_op_resolver_type=resolver,
                    experimental_preserve_all_tensors=not delegate,
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"{self.runtime} cannot load {self._path.name}: {first_line(error)}") from error
        return cast(_Interpreter, interpreter)

    def _invoke(self, interpreter: _Interpreter, arrays: dict[str, Array]) -> None:
        check_feed(self.inputs, arrays, f"{self._path.name} ({self.runtime})")
        try:
            for name, array in arrays.items():
                interpreter.set_tensor(self._input_indices[name], np.ascontiguousarray(array))
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"{self.runtime} could not run {self._path.name}: {first_line(error)}") from error


def open_session(path: Path, threads: int = 1) -> TfliteSession:
    """Open a TFLite file on the CPU.

    Args:
        path: The ``.tflite`` file.
        threads: Threads of the kernels and of XNNPACK.

    Raises:
        SessionError: The file is missing, damaged, or more than this runtime can load.
    """
    if not path.is_file():
        raise SessionError(f"cannot open {path}: no such file")
    return TfliteSession(path, threads)


def _checked(path: Path) -> tuple[TfliteGraph, dict[str, int], dict[str, int]]:
    """The graph and the tensor indices of its signature; parsed strictly, since old runtimes crash on broken files."""
    try:
        file = parse(path)
        signature = default_signature(file, path)
    except ArtifactError as error:
        raise SessionError(error.message) from error
    if signature.subgraph != 0:
        raise SessionError(f"{path} has the signature '{signature.key}' on subgraph {signature.subgraph}, expected 0")
    return file.graphs[0], signature.inputs, signature.outputs


def _numbers(values: object) -> tuple[int, ...]:
    return tuple(int(value) for value in np.asarray(values).ravel())
