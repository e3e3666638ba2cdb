"""ONNX artifacts in ONNX Runtime's CPU provider, with every intermediate tensor on request."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import ArtifactError, MissingDependencyError, SessionError, first_line
from edgevit.spec import TensorSpec
from export.formats.onnx_file.read import read
from runtimes.sessions.session import Array, Arrays, LocalSession

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession, NodeArg

_FLOATS = {"float": "float32", "double": "float64"}  # in "tensor(float)"; the other types have numpy's names
_FATAL_ONLY = 4  # onnxruntime's severity levels: 0 verbose ... 3 error, 4 fatal


class OnnxSession(LocalSession):
    """One ONNX file, opened in ONNX Runtime on the CPU; operators run one after the other.

    Tracing turns the runtime's own graph optimisation off, so that every tensor of the file exists: a difference that
    only the runtime's optimiser makes is then visible as "``run`` and the end of ``trace`` disagree".
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        super().__init__(path, threads)
        try:
            self._require_standard(read(path))
        except ArtifactError as error:
            raise SessionError(error.message) from error
        self.runtime = f"onnxruntime {import_module('onnxruntime').__version__}"
        self._inference = self._open(self._named or path.read_bytes(), optimise=True)
        self.inputs = tuple(map(_tensor_spec, self._inference.get_inputs()))
        self.outputs = tuple(map(_tensor_spec, self._inference.get_outputs()))

    @classmethod
    def probe(cls, package: str) -> None:
        """Reach for what an incomplete installation lacks: its empty folder can be imported all the same."""
        _ = import_module(package).InferenceSession

    def trace(self, arrays: Arrays) -> Arrays:
        """Every tensor that the nodes of the top-level graph make, in file order, which is topological.

        Raises:
            MissingDependencyError: The package onnx is not installed.
        """
        return self._checked(self._trace, arrays)

    def producers(self) -> dict[str, str]:
        """The operator type that makes each tensor which ``trace`` hands out."""
        return {name: node.op_type for node in self._model.graph.node for name in node.output if name}

    def _run(self, arrays: Arrays) -> Arrays:
        return _answers(self._inference, [spec.name for spec in self.outputs], arrays)

    def _trace(self, arrays: Arrays) -> Arrays:
        return _answers(self._tracer, list(self.producers()), arrays)

    def _release(self) -> None:
        del self._inference
        self.__dict__.pop("_model", None)
        self.__dict__.pop("_tracer", None)

    @cached_property
    def _model(self) -> ModelProto:
        try:
            import onnx
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"cannot trace {self._path.name}: onnx is not installed", packages=("onnx>=1.17",)
            ) from error
        try:
            return onnx.load_from_string(self._path.read_bytes())
        except Exception as error:  # protobuf's classes share no public base below Exception; names may be no UTF-8
            raise SessionError(f"onnx cannot read {self._path.name}, to trace it: {first_line(error)}") from error

    @cached_property
    def _tracer(self) -> InferenceSession:
        """The model with every intermediate tensor as a further output; their types are left to the runtime."""
        outputs = {spec.name for spec in self.outputs}
        names = [name for name in self.producers() if name not in outputs]
        for name in names:
            self._model.graph.output.add(name=name)
        data = self._model.SerializeToString()
        del self._model.graph.output[len(outputs) :]
        return self._open(data, optimise=False)

    def _open(self, source: str | bytes, *, optimise: bool) -> InferenceSession:
        onnxruntime = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
        try:
            return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's classes share no public base below Exception
            raise SessionError(f"onnxruntime cannot load {self._path.name}: {first_line(error)}") from error


def _answers(inference: InferenceSession, names: list[str], arrays: Arrays) -> Arrays:
    results: list[Array] = inference.run(names, {name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return dict(zip(names, results, strict=True))


def _tensor_spec(arg: NodeArg) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in arg.shape)
    kind = arg.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(name=arg.name, shape=shape, dtype=_FLOATS.get(kind, kind))
