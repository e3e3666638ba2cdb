"""ONNX artifacts in ONNX Runtime's CPU provider, with every intermediate tensor on request."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import SessionError, first_line
from edgevit.spec import TensorSpec
from runtimes.sessions.feed import check_feed
from runtimes.sessions.onnx_wire import WireNode, graph_nodes, with_outputs

Array = NDArray[np.generic]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
_ERRORS_ONLY = 3  # onnxruntime's severity levels: 0 verbose ... 3 error, 4 fatal


class _NodeArg(Protocol):
    name: str
    type: str
    shape: list[int | str | None]


class _Inference(Protocol):
    def get_inputs(self) -> list[_NodeArg]: ...
    def get_outputs(self) -> list[_NodeArg]: ...
    def run(self, output_names: list[str], feed: dict[str, Array]) -> list[Array]: ...


class OnnxSession:
    """One ONNX file, opened in ONNX Runtime on the CPU.

    Tracing turns the runtime's own graph optimisation off, so that every tensor of the file exists: a difference that
    only the runtime's optimiser makes is then visible as "``run`` and the end of ``trace`` disagree".
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.runtime = f"onnxruntime {import_module('onnxruntime').__version__}"
        self._path = path
        self._threads = threads
        self._inference: _Inference | None = _open(path, None, threads, optimise=True)
        self.inputs: tuple[TensorSpec, ...] = tuple(map(_tensor_spec, self._inference.get_inputs()))
        self.outputs: tuple[TensorSpec, ...] = tuple(map(_tensor_spec, self._inference.get_outputs()))
        self._tracer: _Inference | None = None

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Run once. See ``runtimes.sessions.session.Session.run``."""
        return self._run(self._opened(), [spec.name for spec in self.outputs], arrays)

    def trace(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Every tensor that the nodes of the top-level graph make, in file order, which is topological."""
        self._opened()
        names = [name for node in self._nodes() for name in node.outputs]
        if self._tracer is None:
            outputs = {spec.name for spec in self.outputs}
            model = with_outputs(self._path.read_bytes(), [name for name in names if name not in outputs])
            self._tracer = _open(self._path, model, self._threads, optimise=False)
        return self._run(self._tracer, names, arrays)

    def producers(self) -> dict[str, str]:
        """The operator type that makes each tensor which ``trace`` hands out."""
        return {name: node.op_type for node in self._nodes() for name in node.outputs}

    def close(self) -> None:
        """Free the runtime's memory; the session cannot be run again."""
        self._inference = self._tracer = None

    def _nodes(self) -> tuple[WireNode, ...]:
        return graph_nodes(self._path.read_bytes())

    def _opened(self) -> _Inference:
        if self._inference is None:
            raise SessionError(f"the session of {self._path.name} is closed")
        return self._inference

    def _run(self, inference: _Inference, names: list[str], arrays: dict[str, Array]) -> dict[str, Array]:
        check_feed(self.inputs, arrays, f"{self._path.name} ({self.runtime})")
        feed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        try:
            results = inference.run(names, feed)
        except Exception as error:  # onnxruntime's classes share no public base below Exception
            raise SessionError(f"{self.runtime} could not run {self._path.name}: {first_line(error)}") from error
        return dict(zip(names, results, strict=True))


def open_session(path: Path, threads: int = 1) -> OnnxSession:
    """Open an ONNX file on the CPU.

    Args:
        path: The ``.onnx`` file.
        threads: Threads inside one operator; operators run one after the other.

    Raises:
        SessionError: The file is missing, damaged, or more than this runtime can load.
    """
    if not path.is_file():
        raise SessionError(f"cannot open {path}: no such file")
    return OnnxSession(path, threads)


def _open(path: Path, model: bytes | None, threads: int, *, optimise: bool) -> _Inference:
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY + 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    try:
        source = str(path) if model is None else model
        return cast(_Inference, onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # as above
        raise SessionError(f"onnxruntime cannot load {path.name}: {first_line(error)}") from error


def _tensor_spec(arg: _NodeArg) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in arg.shape)
    return TensorSpec(name=arg.name, shape=shape, dtype=_DTYPES.get(arg.type, arg.type))
