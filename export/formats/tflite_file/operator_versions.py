"""The version of an operator follows from its types; a quantiser changes the types and leaves the versions behind."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from export.formats.tflite_file.versions import FIRST_RUNTIME, builtin_names, newest, since

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT, OperatorCodeT, OperatorT, SubGraphT, TensorT

_FLOAT32, _FLOAT16, _INT8 = 0, 1, 9  # TensorType
_HYBRID = (_FLOAT32, _INT8, _FLOAT32)
_WHOLE = (_INT8, _INT8, _INT8)
RUNTIME = b"min_runtime_version"
"""The metadata in which a TFLite file says it."""


def set_versions(model: ModelT) -> None:
    """Give every operator of ``model`` that works on int8 or half precision the version that its types need.

    Older runtimes then refuse the file for its version instead of failing at it, and the audit tells the lowest. What
    the file itself says of the lowest runtime follows.
    """
    names = builtin_names()
    codes: dict[tuple[int, int, bytes], int] = {}
    listed = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            version = version_of(names[code.builtinCode], operator, graph) or code.version
            key = (code.builtinCode, version, bytes(code.customCode or b""))
            if key not in codes:
                codes[key] = len(codes)
                listed.append(_code_like(code, version))
            operator.opcodeIndex = codes[key]
    model.operatorCodes = listed
    lowest = newest(filter(None, (since(names[code.builtinCode], code.version) for code in listed))) or FIRST_RUNTIME
    for entry in model.metadata or ():
        if bytes(entry.name) == RUNTIME:
            model.buffers[entry.buffer].data = list(lowest.encode().ljust(16, b"\0"))  # as the converter has it


def version_of(name: str, operator: OperatorT, graph: SubGraphT) -> int | None:
    """By ``tflite/tools/versioning/op_version.cc`` (LiteRT); None for one that quantising leaves as it is."""
    tensors = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    types = (tensors[0].type, tensors[1].type, tensors[-1].type)
    if name == "QUANTIZE":
        return 1
    if name == "DEQUANTIZE":
        return 3 if types[0] == _FLOAT16 else 5 if _per_channel(tensors[0]) else 2
    if types not in {_HYBRID, _WHOLE} or name not in _BY_NAME:
        return None
    return _BY_NAME[name](operator, tensors, types == _HYBRID)


def _fully_connected(operator: OperatorT, tensors: list[TensorT], hybrid: bool) -> int:
    if hybrid and _per_channel(tensors[1]):
        return 12
    if len(operator.inputs) == 2:
        return 6
    if operator.builtinOptions.keepNumDims:
        return 5
    return 3 if hybrid else 4


def _convolution(operator: OperatorT, tensors: list[TensorT], hybrid: bool) -> int:
    if tensors[0].shape[3] != tensors[1].shape[3]:  # grouped
        return 6
    return (5 if _per_channel(tensors[1]) else 2) if hybrid else 3


def _depthwise(operator: OperatorT, tensors: list[TensorT], hybrid: bool) -> int:
    return (6 if _per_channel(tensors[1]) else 4) if hybrid else 3


def _batched(operator: OperatorT, tensors: list[TensorT], hybrid: bool) -> int:
    return 1 if hybrid else 2


_BY_NAME = {
    "FULLY_CONNECTED": _fully_connected,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "BATCH_MATMUL": _batched,
}


def _per_channel(tensor: TensorT) -> bool:
    scales = tensor.quantization and tensor.quantization.scale
    return scales is not None and len(scales) > 1


def _code_like(code: OperatorCodeT, version: int) -> OperatorCodeT:
    changed = copy.copy(code)
    changed.version = version
    return changed
