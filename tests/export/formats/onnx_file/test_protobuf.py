"""The wire format of ONNX, read without protobuf, against the package onnx; bounded in time and memory."""

from __future__ import annotations

import time

import onnx
import pytest
from google.protobuf.descriptor import Descriptor
from onnx import TensorProto, helper

from export.formats.onnx_file import protobuf
from export.formats.onnx_file.protobuf import Message, ProtobufError, every, parse


def model() -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "n"]) for name in "xy")
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 3], [0.5] * 6)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="/a/b/Conv", pads=[0, -1], auto_pad="VALID", alpha=-0.5)
    return helper.make_model(helper.make_graph([node], "graph é", [x], [y], [weight]), ir_version=8)


def test_what_onnx_writes_is_read() -> None:
    found = parse(model().SerializeToString())
    graph = found.message("graph")
    assert graph is not None and (graph.text("name"), found.number("ir_version")) == ("graph é", 8)
    (node,), (weight,) = graph.messages("node"), graph.messages("initializer")
    assert (node.texts("input"), node.text("op_type"), weight.number("data_type")) == (["x", "w"], "Conv", 1)
    assert {entry.text("name"): entry.one("f") for entry in node.messages("attribute")}["alpha"] == -0.5
    assert found.message("missing") is None and found.number("model_version") is None and found.text("domain") == ""


def _fields(descriptor: Descriptor) -> dict[int, tuple[str, bool]]:
    return {field.number: (field.name, field.is_repeated) for field in descriptor.fields}


@pytest.mark.parametrize("name", protobuf._SCHEMA)
def test_the_schema_is_that_of_onnx(name: str) -> None:
    messages = dict(onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name)
    known = messages | {part.name: part for message in messages.values() for part in message.nested_types}
    alias = {
        "Shape": "TensorShapeProto", "Training": "TrainingInfoProto", "TensorType": "Tensor", "MapType": "Map",
        "ElementType": "Sequence", "OpaqueType": "Opaque",
        **{same: same for same in ("Segment", "Dimension", "TensorAnnotation")},
    }  # fmt: skip
    descriptor = known[alias.get(name, f"{name}Proto")]
    assert {number: (row[0], row[2]) for number, row in protobuf._SCHEMA[name].items()} == _fields(descriptor)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff" * 100_000, "a number does not end"),
        (b"\x08" + b"\x80" * 12, "a number does not end"),
        (b"\x08", "a number does not end"),
        (b"\x08\x01\x08\x01", "has its ir_version twice"),
        (field(7, b"") + field(7, b""), "has its graph twice"),
        (b"\x98\x06\x01", "field 99 of Model is unknown"),
        (b"\x3b\x3c", "the field graph of Model is no Graph"),
        (b"\x12\x7fabc", "a field ends outside of its message"),
        (b"\x0a\x01a", "the field ir_version of Model is no int"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends outside"),
    ],
)
def test_what_readers_could_take_differently_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ProtobufError, match=words):
        parse(data)


def test_a_text_that_is_no_utf8_keeps_its_odd_bytes_visible() -> None:
    assert parse(field(2, b"mod\xe8le")).text("producer_name") == r"mod\xe8le"


def test_depth_and_number_of_parts_are_bounded() -> None:
    data = b""
    for _ in range(60):  # a graph in a node's attribute in a graph
        data = _sized(1, _sized(5, _sized(6, data)))
    with pytest.raises(ProtobufError, match="nested more than 100 deep"):
        parse(_sized(7, data))
    started = time.monotonic()
    with pytest.raises(ProtobufError, match="has more than 500000 parts"):
        parse(_sized(7, b"\x0a\x00" * 600_000))
    assert time.monotonic() - started < 10


def _sized(number: int, data: bytes) -> bytes:
    size, length = b"", len(data)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def test_every_message_is_visited_once() -> None:
    seen: list[Message] = []
    every(parse(model().SerializeToString()), seen.append)
    kinds = [part.kind for part in seen]
    assert (kinds.count("Node"), kinds.count("Attribute"), kinds.count("Tensor")) == (1, 3, 1)
    assert len({id(part) for part in seen}) == len(seen)
