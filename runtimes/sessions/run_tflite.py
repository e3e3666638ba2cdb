"""TFLite artifacts in ai-edge-litert, or in tflite-runtime where only that is installed."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import ArtifactError, SessionError, first_line
from export.artifact import Delegation
from export.formats.tflite_file.contents import parse
from export.formats.tflite_file.read import default_signature, read
from export.quiet import quiet
from runtimes.sessions.apart import apart
from runtimes.sessions.session import Array, Arrays, LocalSession, path_text
from runtimes.sessions.tflite_delegation import xnnpack_share

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


Feeds = dict[int, Array]
"""Arrays by the index of the tensor that they are for."""
_EMPTY = bytes.fromhex(
    "1800000054464c3300000e00140010000c000800000004000e000000100000001c000000400000000300000001000000080000000400"
    "04000400000001000000100000000c00140010000c00080004000c000000100000000c00000008000000080000000000000001000000"
    "0c0000000000060008000400060000000400000000000000"
)
"""A model of one subgraph with one tensor and no operator, as FlatBuffers builds it."""


class TfliteSession(LocalSession):
    """One TFLite file, opened with the runtime's default delegate (XNNPACK), as an app opens it.

    Tracing opens the file a second time, without the delegate and with all tensors kept: a difference that only the
    delegate makes is then visible as "``run`` and the end of ``trace`` disagree". That happens in a process of its own,
    since kernels outside the delegate abort theirs on ranks that they do not have.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        super().__init__(path, threads)
        self._module = "ai_edge_litert" if find_spec("ai_edge_litert") else "tflite_runtime"
        self.runtime = _name(self._module)
        try:  # parsed strictly, since old runtimes crash on broken files
            file = parse(path)
            signature, facts = default_signature(file, path), read(path, file)
        except ArtifactError as error:
            raise SessionError(error.message) from error
        self._require_standard(facts)
        if signature.subgraph != 0:
            raise SessionError(
                f"{path} has the signature '{signature.key}' on subgraph {signature.subgraph}, expected 0"
            )
        self.inputs, self.outputs = facts.inputs, facts.outputs
        self._graph, self._signature = file.graphs[0], signature
        self._interpreter = _open(self._module, path, threads, delegate=True)

    @classmethod
    def probe(cls, package: str) -> None:
        """Open an empty model: a package that was built for another numpy can be imported, and fails only then."""
        import_module(f"{package}.interpreter").Interpreter(model_content=_EMPTY).allocate_tensors()

    def trace(self, arrays: Arrays) -> Arrays:
        """Every tensor that an operator makes, in execution order, by its name in the file.

        The signature's own names stand for the outputs. Tensor names start with the module of the network, as in
        ``blocks1/0/attn/qkv;3``.
        """
        return self._checked(self._trace, arrays)

    def producers(self) -> dict[str, str]:
        """The operator that makes each tensor which ``trace`` hands out."""
        return {name: operator for name, _, operator in self._made}

    def delegation(self) -> Delegation | None:
        """What the delegate took, and why the rest stayed outside; None if the runtime applied no delegate."""
        self._refuse_closed()
        try:
            details = self._interpreter._get_ops_details()
        except UnicodeDecodeError as error:  # the reader shows such names, the runtime's own list cannot
            raise SessionError(f"{self._path.name} names a tensor in bytes that are no UTF-8") from error
        partitions = [
            (np.ravel(detail["inputs"]).tolist(), np.ravel(detail["outputs"]).tolist())
            for detail in details
            if detail["op_name"] == "DELEGATE"
        ]
        if not partitions:
            return None
        return xnnpack_share(self._graph, partitions, delegate=f"XNNPACK of {self.runtime}")

    def _run(self, arrays: Arrays) -> Arrays:
        _invoke(self._interpreter, self._by_index(arrays))
        return {name: np.array(self._interpreter.get_tensor(index)) for name, index in self._signature.outputs.items()}

    def _trace(self, arrays: Arrays) -> Arrays:
        wanted = {name: index for name, index, _ in self._made}
        what = f"{self.runtime} could not run {self._path.name} without its delegate"
        return apart(what, _traced, self._module, self._path, self._threads, self._by_index(arrays), wanted)

    def _release(self) -> None:
        del self._interpreter

    def _by_index(self, arrays: Arrays) -> Feeds:
        return {self._signature.inputs[name]: np.ascontiguousarray(array) for name, array in arrays.items()}

    @cached_property
    def _made(self) -> list[tuple[str, int, str]]:
        """(name, index, operator) of every tensor that an operator makes, in execution order."""
        outputs = {index: name for name, index in self._signature.outputs.items()}
        return [
            (outputs.get(index, self._graph.tensors[index].name), index, operator.name)
            for operator in self._graph.operators
            for index in operator.outputs
            if index >= 0
        ]


def _name(package: str) -> str:
    distribution = package.replace("_", "-")
    return f"{distribution} {version(distribution)}"


def _open(package: str, path: Path, threads: int, *, delegate: bool) -> Interpreter:
    runtime = import_module(f"{package}.interpreter")
    named = path_text(path)
    resolvers = runtime.OpResolverType
    try:
        with quiet():
            interpreter: Interpreter = runtime.Interpreter(
                model_path=named,
                model_content=None if named else path.read_bytes(),
                num_threads=threads,
                experimental_op_resolver_type=(
                    resolvers.AUTO if delegate else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                ),
                experimental_preserve_all_tensors=not delegate,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise SessionError(f"{_name(package)} cannot load {path.name}: {first_line(error)}") from error
    return interpreter


def _invoke(interpreter: Interpreter, feeds: Feeds) -> None:
    for index, array in feeds.items():
        interpreter.set_tensor(index, array)
    interpreter.invoke()


def _traced(package: str, path: Path, threads: int, feeds: Feeds, wanted: dict[str, int]) -> Arrays:
    """The tensors of the indices ``wanted`` after one run without the delegate."""
    interpreter = _open(package, path, threads, delegate=False)
    _invoke(interpreter, feeds)
    return {name: np.array(interpreter.get_tensor(index)) for name, index in wanted.items()}
