"""What the XNNPACK delegate of a ``.pte`` file holds: operators, constants and products, from the bytes alone.

Slot numbers are those of the XNNPACK backend's ``schema.fbs``.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass

from export.formats.flatbuffer import Budget, FlatbufferError, Table, root

# Members of XNNPACK's XNodeUnion, in the order of schema.fbs; the union's tag counts from 1.
XNODES = tuple(
    """
    Add FullyConnected Softmax Sigmoid StaticTranspose Clamp Conv2d Div StaticResizeBilinear2D StaticConstantPad
    AvgPooling2d Minimum DepthwiseConv2d MaxPooling2d Multiply Subtract Floor Convert GlobalAvgPooling2d
    StaticReshape ArgMaxPooling2d SquareRoot Ceiling Hardswish LeakyReLU Maximum Negate Square ELU Abs PReLU
    Concatenate2 Concatenate3 Concatenate4 StaticSlice ScaledDotProductAttention BatchMatrixMultiply Concatenate5
    ConvTranspose2d ReciprocalSquareRoot Log Gelu Tanh Exp Sin Copy Cos
    """.split()  # noqa: SIM905
)
# XNNDatatype; fixed-point numbers have one scale or one for each channel.
DATATYPES = {
    1: "float32", 2: "float16", 3: "int8", 4: "uint8", 5: "int32", 6: "int8", 7: "int32", 8: "int4", 10: "int4",
    12: "int32", 14: "bfloat16",
}  # fmt: skip
DYNAMIC = "dynamic int8"
_RUN_TIME = {9: DYNAMIC}  # of activations only
_BITS = {"float32": 32, "float16": 16, "int8": 8, "uint8": 8, "int32": 32, "int4": 4, "bfloat16": 16}
_INPUT = {"FullyConnected": 0, "Conv2d": 15, "DepthwiseConv2d": 15, "ConvTranspose2d": 15}  # weights in the next slot
_QUANTIZED_VALUE = 2


@dataclass(frozen=True)
class Product:
    """A layer with weights as XNNPACK computes it: its operator, and the dtypes of what it reads and of its weights."""

    operator: str
    activation: str
    weights: str


def graph_of(payload: memoryview, budget: Budget) -> Table:
    """The graph of an XNNPACK payload: a header (offset and size of the graph), the graph, then constants.

    Raises:
        FlatbufferError: The payload has no such header, or less than it says.
    """
    if len(payload) < 30 or bytes(payload[4:8]) != b"XH00":
        raise FlatbufferError("an XNNPACK payload has no XH00 header")
    start, length = struct.unpack_from("<II", payload, 10)
    if start + length > len(payload):
        raise FlatbufferError("the graph of an XNNPACK payload ends outside it")
    graph = payload[start : start + length]
    return root(graph, bytes(graph[4:8]), budget)


def operators_of(graph: Table) -> Counter[str]:
    """Operators in a graph of XNNPACK, by name."""
    return Counter(_operator(node) for node in graph.tables(1))


def constants_of(graph: Table, file_bytes: int) -> Counter[str]:
    """Elements of the constants with more than one in a graph of XNNPACK, by dtype.

    Args:
        graph: The graph.
        file_bytes: Of the file that it is a part of.

    Raises:
        FlatbufferError: A constant has more elements than the file could hold.
    """
    found: Counter[str] = Counter()
    for value in _tensors(graph).values():
        if not value.scalar(3, "I"):
            continue
        dtype, elements = _dtype(value), math.prod(value.numbers(2, "uint32").tolist())
        if elements * _BITS.get(dtype, 1) > 8 * file_bytes:
            raise FlatbufferError(f"a constant of {elements} elements of {dtype} is in a file of {file_bytes} bytes")
        if elements > 1:
            found[dtype] += elements
    return found


def products_of(graph: Table) -> Counter[Product]:
    """Layers with constant weights in a graph of XNNPACK.

    Raises:
        FlatbufferError: A layer reads a value that the graph does not have.
    """
    values, found = _tensors(graph), Counter[Product]()
    for node in graph.tables(1):
        name, layer = _operator(node), node.table(1)
        if name not in _INPUT or layer is None:
            continue
        ids = [layer.scalar(_INPUT[name] + place, "I") for place in range(2)]
        if any(each not in values for each in ids):
            raise FlatbufferError(f"{name} reads values {ids} of {len(values)}")
        activation, weights = (values[each] for each in ids)
        if weights.scalar(3, "I"):
            found[Product(name, _dtype(activation), _dtype(weights))] += 1
    return found


def _operator(node: Table) -> str:
    tag = node.scalar(0, "B")
    return XNODES[tag - 1] if 1 <= tag <= len(XNODES) else f"XNode {tag}"


def _tensors(graph: Table) -> dict[int, Table]:
    """The values of a graph by their numbers."""
    found = {}
    for value in graph.tables(2):
        tensor = value.table(1)
        if tensor is not None and value.scalar(0, "B") == _QUANTIZED_VALUE:
            tensor = tensor.table(0)
        if tensor is None:
            raise FlatbufferError("a value of an XNNPACK graph is no tensor")
        found[tensor.scalar(6, "I")] = tensor
    return found


def _dtype(value: Table) -> str:
    code = value.scalar(0, "h")
    return DATATYPES.get(code) or _RUN_TIME.get(code, f"type {code}")
