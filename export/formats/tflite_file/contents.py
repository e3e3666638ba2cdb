"""What stands in a ``.tflite`` file: tensors, operators, signatures and metadata, parsed from its bytes alone.

Slot numbers are those of ``tflite/converter/schema/schema.fbs`` (LiteRT). Everything is checked against everything:
buffer lengths against tensor shapes, tensor indices against the tensor list, so that a file that parses here does not
take the runtime down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.formats.flatbuffer import FlatbufferError, Table, parse_file, root
from export.formats.tflite_file.versions import CUSTOM, builtin_names

IDENTIFIER = b"TFL3"
_EXTERNAL_GROUPS, _EXTERNAL_BUFFERS, _EXTERNAL_BUFFER = 8, 9, 10  # slots of Model, Model and Tensor
_VARIABLE = 5  # slot of Tensor
_CONTROL_FLOW = {"IF": 92, "WHILE": 93}  # with the options that name two graphs
DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 8: "complex64"}
DTYPES |= {9: "int8", 10: "float64", 12: "uint64", 15: "uint32", 16: "uint16"}


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """``shape`` holds -1 where the shape signature leaves an axis free. ``constant``: its data is in the file.

    Constants of one ``buffer`` share their data.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    buffer: int = 0


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """``name`` is the builtin's, or the custom code of a custom operator. Index -1 marks an absent optional input.

    ``graphs`` are those that it runs inside: the branches of IF, condition and body of WHILE.
    """

    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    graphs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TfliteGraph:
    """One subgraph; operators stand in execution order."""

    name: str
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TfliteSignature:
    """A named entry: ``inputs`` and ``outputs`` are tensor indices of ``subgraph`` by name."""

    key: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """A parsed file; ``metadata`` holds the raw bytes of every metadata entry."""

    graphs: tuple[TfliteGraph, ...]
    signatures: tuple[TfliteSignature, ...]
    metadata: dict[str, bytes]
    description: str


def parse(path: Path) -> TfliteFile:
    """Parse the file at ``path``.

    Raises:
        ArtifactError: It cannot be read, or is not a well-formed TFLite file; the message says where it breaks.
    """
    return parse_file(path, parse_bytes, "TFLite file")


def parse_bytes(data: bytes) -> TfliteFile:
    """Parse the bytes of a file.

    Raises:
        FlatbufferError: They are not a well-formed TFLite file.
    """
    model = root(data, IDENTIFIER)
    if (version := model.scalar(0, "I")) != 3:
        raise FlatbufferError(f"schema version {version}, expected 3")
    if model.tables(_EXTERNAL_GROUPS) or model.tables(_EXTERNAL_BUFFERS):
        raise FlatbufferError("it keeps tensors in other files: nothing would notice if those changed")
    codes = [_operator_code(code) for code in model.tables(1)]
    buffers = [_buffer(buffer, data) for buffer in model.tables(4)]
    graphs = tuple(_graph(graph, codes, buffers) for graph in model.tables(2))
    if not graphs:
        raise FlatbufferError("no subgraph")
    _require_ends(graphs)
    for graph in graphs:
        _require_no_state(graph)
    signatures = tuple(_signature(signature, graphs) for signature in model.tables(7))
    metadata = {entry.text(0): bytes(_buffer_of(entry, 1, buffers)) for entry in model.tables(6)}
    if len(metadata) != len(model.tables(6)):
        raise FlatbufferError("two entries of its metadata have one name")
    return TfliteFile(graphs=graphs, signatures=signatures, metadata=metadata, description=model.text(3))


def _operator_code(code: Table) -> tuple[str, int, bool]:
    builtin = max(code.scalar(0, "b"), code.scalar(3, "i"))
    version = code.scalar(2, "i", 1)
    name = builtin_names().get(builtin)
    if name is None:
        raise FlatbufferError(f"builtin operator {builtin} is not in the schema")
    return (code.text(1) or CUSTOM, version, True) if name == CUSTOM else (name, version, False)


def _buffer(buffer: Table, data: bytes) -> memoryview:
    """A buffer's bytes, inside the FlatBuffer or behind it; none for a tensor without data."""
    start, length = buffer.scalar(1, "Q"), buffer.scalar(2, "Q")
    if start <= 1:
        return buffer.blob(0)
    if start + length > len(data):
        raise FlatbufferError(f"buffer at byte {start} with {length} bytes ends outside the file")
    return memoryview(data)[start : start + length]


def _buffer_of(table: Table, slot: int, buffers: list[memoryview]) -> memoryview:
    return buffers[_index(table.scalar(slot, "I"), len(buffers), "buffer")]


def _graph(graph: Table, codes: list[tuple[str, int, bool]], buffers: list[memoryview]) -> TfliteGraph:
    tensors = tuple(_tensor(tensor, buffers) for tensor in graph.tables(0))
    return TfliteGraph(
        name=graph.text(4),
        tensors=tensors,
        operators=tuple(_operator(operator, codes, len(tensors)) for operator in graph.tables(3)),
        inputs=_indices(graph, 1, len(tensors), lowest=0),
        outputs=_indices(graph, 2, len(tensors), lowest=0),
    )


def _tensor(tensor: Table, buffers: list[memoryview]) -> TfliteTensor:
    shape = tuple(int(size) for size in tensor.numbers(0, "int32"))
    free = tuple(int(size) for size in tensor.numbers(7, "int32"))
    kind = tensor.scalar(1, "b")
    if tensor.scalar(_EXTERNAL_BUFFER, "I"):
        raise FlatbufferError(f"tensor {tensor.text(3)!r} lies in another file: nothing would notice if that changed")
    if tensor.scalar(_VARIABLE, "B"):
        raise FlatbufferError(f"tensor {tensor.text(3)!r} is variable: a state from call to call")
    if not 0 <= kind <= 20 or any(size < 0 for size in shape):
        raise FlatbufferError(f"tensor {tensor.text(3)!r} has the type {kind} and the shape {shape}")
    length, sparse = len(_buffer_of(tensor, 2, buffers)), tensor.table(6) is not None
    if length and not sparse and kind in DTYPES:  # others are strings, or packed
        expected = math.prod(shape) * np.dtype(DTYPES[kind]).itemsize
        if length != expected:
            raise FlatbufferError(f"tensor {tensor.text(3)!r} holds {length} bytes, its shape {shape} needs {expected}")
    dtype = DTYPES.get(kind, f"type {kind}")
    named = free if len(free) == len(shape) else shape
    return TfliteTensor(tensor.text(3), named, dtype, length > 0, tensor.scalar(2, "I"))


def _operator(operator: Table, codes: list[tuple[str, int, bool]], tensors: int) -> TfliteOperator:
    name, version, custom = codes[_index(operator.scalar(0, "I"), len(codes), "operator code")]
    options, graphs = operator.table(4), tuple[int, ...]()
    if (kind := _CONTROL_FLOW.get(name)) is not None:
        if options is None or operator.scalar(3, "B") != kind:
            raise FlatbufferError(f"{name} does not say which graphs it runs")
        graphs = (options.scalar(0, "i"), options.scalar(1, "i"))
    inputs, outputs = (_indices(operator, slot, tensors, lowest=-1) for slot in (1, 2))
    return TfliteOperator(name, version, custom, inputs, outputs, graphs)


def _require_no_state(graph: TfliteGraph) -> None:
    """Refuse a graph in which a tensor could hold what another call has left there.

    Raises:
        FlatbufferError: A tensor is read before it is written, written twice, or written although it is stored.
    """
    written = {*graph.inputs}
    written |= {at for at, tensor in enumerate(graph.tensors) if tensor.constant or 0 in tensor.shape}
    stored = {at for at in written if 0 not in graph.tensors[at].shape}
    for operator in graph.operators:
        if early := {*operator.inputs} - written - {-1}:
            raise FlatbufferError(
                f"{operator.name} reads tensor {min(early)} before it is written: a state from call to call"
            )
        if again := stored.intersection(operator.outputs):
            raise FlatbufferError(
                f"{operator.name} writes tensor {min(again)}, which is stored, given or written before"
            )
        written.update(operator.outputs)
        stored.update(place for place in operator.outputs if place >= 0)


def _require_ends(graphs: tuple[TfliteGraph, ...]) -> None:
    """Refuse a graph that runs inside of itself, at any depth: the runtime would follow it without end.

    Raises:
        FlatbufferError: Such a graph, or one that does not exist.
    """
    inner = [{index for operator in graph.operators for index in operator.graphs} for graph in graphs]
    for index in set[int]().union(*inner):
        if not 0 <= index < len(graphs):
            raise FlatbufferError(f"graph {index} does not exist: there are {len(graphs)}")
    waiting = set(range(len(graphs)))
    while done := {index for index in waiting if not inner[index] & waiting}:
        waiting -= done
    if waiting:
        raise FlatbufferError(f"graph {min(waiting)} runs inside of itself")


def _signature(signature: Table, graphs: tuple[TfliteGraph, ...]) -> TfliteSignature:
    subgraph = _index(signature.scalar(4, "I"), len(graphs), "subgraph")
    tensors = len(graphs[subgraph].tensors)
    inputs, outputs = (
        {entry.text(0): _index(entry.scalar(1, "I"), tensors, "tensor") for entry in signature.tables(slot)}
        for slot in (0, 1)
    )
    return TfliteSignature(signature.text(2), subgraph, inputs, outputs)


def _indices(table: Table, slot: int, count: int, *, lowest: int) -> tuple[int, ...]:
    found = tuple(int(index) for index in table.numbers(slot, "int32"))
    if any(not lowest <= index < count for index in found):
        raise FlatbufferError(f"tensor indices {found} do not fit {count} tensors")
    return found


def _index(value: int, count: int, kind: str) -> int:
    if value >= count:
        raise FlatbufferError(f"{kind} {value} does not exist: there are {count}")
    return value
