"""ONNX files at the level of the protobuf wire format, so that a machine with only a runtime can look inside.

Only what tracing needs: the outputs of every node, in file order (which ONNX requires to be topological), and a copy
of the model whose graph also hands these out. The copy needs no rewriting: protobuf merges a singular message field
that occurs twice, so ``model + (field graph: more outputs)`` is the same model with more outputs.

Field numbers are those of ``onnx.proto``: ModelProto.graph 7, GraphProto.node 1, GraphProto.output 12, NodeProto
input 1, output 2, name 3, op_type 4, attribute 5, ValueInfoProto.name 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgevit.errors import SessionError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_OUTPUT = 7, 1, 12
_NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE = 2, 3, 4
_VALUE_NAME = 1


@dataclass(frozen=True)
class WireNode:
    """One node of the top-level graph: operator type, name, and the names of the tensors that it makes."""

    op_type: str
    name: str
    outputs: tuple[str, ...]


def graph_nodes(model: bytes) -> tuple[WireNode, ...]:
    """The nodes of a serialised ONNX model's top-level graph, in file order.

    Raises:
        SessionError: The bytes are not a protobuf message with a graph.
    """
    view = memoryview(model)
    try:
        graphs = [value for field, value in _fields(view) if field == _MODEL_GRAPH]
        return tuple(_node(node) for graph in graphs for field, node in _fields(graph) if field == _GRAPH_NODE)
    except (IndexError, UnicodeDecodeError) as error:
        raise SessionError("not a readable ONNX file: its protobuf structure is broken") from error


def with_outputs(model: bytes, names: Sequence[str]) -> bytes:
    """The model with the tensors ``names`` as further graph outputs (types are left to the runtime's inference)."""
    graph = b"".join(_message(_GRAPH_OUTPUT, _message(_VALUE_NAME, name.encode())) for name in names)
    return model + _message(_MODEL_GRAPH, graph)


def _node(view: memoryview) -> WireNode:
    fields = [(field, bytes(value).decode()) for field, value in _fields(view) if field in (2, 3, 4)]
    return WireNode(
        op_type=next((text for field, text in fields if field == _NODE_OP_TYPE), ""),
        name=next((text for field, text in fields if field == _NODE_NAME), ""),
        outputs=tuple(text for field, text in fields if field == _NODE_OUTPUT and text),
    )


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of one message; the value of a field that is not length-delimited is an empty view."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        field, wire_type = key >> 3, key & 7
        size = 0
        if wire_type == _VARINT:
            _, position = _varint(view, position)
        elif wire_type == _BYTES:
            size, position = _varint(view, position)
        elif wire_type in (_FIXED64, _FIXED32):
            position += 8 if wire_type == _FIXED64 else 4
        else:
            raise IndexError(f"wire type {wire_type}")
        if position + size > len(view):
            raise IndexError("a field ends behind the end of its message")
        yield field, view[position : position + size]
        position += size


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[position]
        value |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            return value, position


def _message(field: int, payload: bytes) -> bytes:
    return _encoded(field << 3 | _BYTES) + _encoded(len(payload)) + payload


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
