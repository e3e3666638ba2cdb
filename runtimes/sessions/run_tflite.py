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
from runtimes.sessions.session import Arrays, LocalSession
from runtimes.sessions.tflite_delegation import xnnpack_share

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


class TfliteSession(LocalSession):
    """One TFLite file, opened with the runtime's default delegate (XNNPACK), as an app opens it.

    Tracing opens the file a second time, without the delegate and with all tensors kept: a difference that only the
    delegate makes is then visible as "``run`` and the end of ``trace`` disagree".
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        super().__init__(path, threads)
        self._module = "ai_edge_litert" if find_spec("ai_edge_litert") else "tflite_runtime"
        package = self._module.replace("_", "-")
        self.runtime = f"{package} {version(package)}"
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
        self._interpreter = self._open(delegate=True)

    def trace(self, arrays: Arrays) -> Arrays:
        """Every tensor that an operator makes, in execution order, by its name in the file.

        The signature's own names stand for the outputs. Tensor names start with the module of the network, as in
        ``blocks1.0.attn.qkv;3``.
        """
        return self._checked(self._trace, arrays)

    def producers(self) -> dict[str, str]:
        """The operator that makes each tensor which ``trace`` hands out."""
        return {name: operator for name, _, operator in self._made}

    def delegation(self) -> Delegation | None:
        """What the delegate took, and why the rest stayed outside; None if the runtime applied no delegate."""
        self._refuse_closed()
        partitions = [
            (np.ravel(detail["inputs"]).tolist(), np.ravel(detail["outputs"]).tolist())
            for detail in self._interpreter._get_ops_details()
            if detail["op_name"] == "DELEGATE"
        ]
        if not partitions:
            return None
        return xnnpack_share(self._graph, partitions, delegate=f"XNNPACK of {self.runtime}")

    def _run(self, arrays: Arrays) -> Arrays:
        self._invoke(self._interpreter, arrays)
        return {name: np.array(self._interpreter.get_tensor(index)) for name, index in self._signature.outputs.items()}

    def _trace(self, arrays: Arrays) -> Arrays:
        self._invoke(self._tracer, arrays)
        return {name: np.array(self._tracer.get_tensor(index)) for name, index, _ in self._made}

    def _release(self) -> None:
        del self._interpreter
        self.__dict__.pop("_tracer", None)

    @cached_property
    def _tracer(self) -> Interpreter:
        return self._open(delegate=False)

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

    def _open(self, *, delegate: bool) -> Interpreter:
        runtime = import_module(f"{self._module}.interpreter")
        resolvers = runtime.OpResolverType
        try:
            with quiet():
                interpreter = runtime.Interpreter(
                    model_path=self._named,
                    model_content=None if self._named else self._path.read_bytes(),
                    num_threads=self._threads,
                    experimental_op_resolver_type=(
                        resolvers.AUTO if delegate else resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                    ),
                    experimental_preserve_all_tensors=not delegate,
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"{self.runtime} cannot load {self._path.name}: {first_line(error)}") from error
        return interpreter

    def _invoke(self, interpreter: Interpreter, arrays: Arrays) -> None:
        for name, array in arrays.items():
            interpreter.set_tensor(self._signature.inputs[name], np.ascontiguousarray(array))
        interpreter.invoke()
