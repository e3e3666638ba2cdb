"""The bytes of an ONNX file as nested fields, read without protobuf: strictly, and at most so many of them.

Two readers of protobuf may differ where a field that can stand once stands twice, where one is unknown to the older of
them, or where a text is no UTF-8. What stands twice or is unknown is refused here; a text that is no UTF-8 is kept with
its odd bytes visible. Numbers of tensors stay bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Field: TypeAlias = "int | float | str | bytes | Message"


class ProtobufError(ValueError):
    """The bytes are no ONNX model, or could be read in more than one way."""


@dataclass(slots=True)
class Message:
    """One message: the values of each field that it has, by the field's name."""

    kind: str
    fields: dict[str, list[Field]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A text; "" where it is absent."""
        value = self.one(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int | None:
        """A whole number; None where it is absent."""
        value = self.one(name)
        return value if isinstance(value, int) else None

    def message(self, name: str) -> Message | None:
        """A message; None where it is absent."""
        value = self.one(name)
        return value if isinstance(value, Message) else None

    def one(self, name: str) -> Field | None:
        """The only value of a field; None where it is absent."""
        values = self.fields.get(name)
        return values[0] if values else None

    def messages(self, name: str) -> list[Message]:
        """All messages of a field."""
        return [value for value in self.fields.get(name, ()) if isinstance(value, Message)]

    def texts(self, name: str) -> list[str]:
        """All texts of a field."""
        return [value for value in self.fields.get(name, ()) if isinstance(value, str)]


MOST_PARTS = 500_000  # chosen: EdgeViT-XXS has 10,000; each takes half a kilobyte of memory here
_MOST_NESTED = 100  # as protobuf itself allows
_VARINT_BYTES = 10

# By message, the fields of onnx.proto (ONNX 1.23): number, name, type; "*" marks what may stand more than once. Types:
# int (any varint), text, raw (bytes), f32, f64, ints (numbers that may be packed; kept as bytes), or a message.
_SCHEMA_TEXT = """
Model: 1 ir_version int, 2 producer_name text, 3 producer_version text, 4 domain text, 5 model_version int,
  6 doc_string text, 7 graph Graph, 8 opset_import OperatorSetId*, 14 metadata_props StringStringEntry*,
  20 training_info Training*, 25 functions Function*, 26 configuration DeviceConfiguration*
Graph: 1 node Node*, 2 name text, 5 initializer Tensor*, 10 doc_string text, 11 input ValueInfo*, 12 output ValueInfo*,
  13 value_info ValueInfo*, 14 quantization_annotation TensorAnnotation*, 15 sparse_initializer SparseTensor*,
  16 metadata_props StringStringEntry*
Node: 1 input text*, 2 output text*, 3 name text, 4 op_type text, 5 attribute Attribute*, 6 doc_string text,
  7 domain text, 8 overload text, 9 metadata_props StringStringEntry*, 10 device_configurations NodeDeviceConfiguration*
Attribute: 1 name text, 2 f f32, 3 i int, 4 s raw, 5 t Tensor, 6 g Graph, 7 floats ints*, 8 ints ints*, 9 strings raw*,
  10 tensors Tensor*, 11 graphs Graph*, 13 doc_string text, 14 tp Type, 15 type_protos Type*, 20 type int,
  21 ref_attr_name text, 22 sparse_tensor SparseTensor, 23 sparse_tensors SparseTensor*
Tensor: 1 dims ints*, 2 data_type int, 3 segment Segment, 4 float_data ints*, 5 int32_data ints*, 6 string_data raw*,
  7 int64_data ints*, 8 name text, 9 raw_data raw, 10 double_data ints*, 11 uint64_data ints*, 12 doc_string text,
  13 external_data StringStringEntry*, 14 data_location int, 16 metadata_props StringStringEntry*
Segment: 1 begin int, 2 end int
SparseTensor: 1 values Tensor, 2 indices Tensor, 3 dims ints*
ValueInfo: 1 name text, 2 type Type, 3 doc_string text, 4 metadata_props StringStringEntry*
Type: 1 tensor_type TensorType, 4 sequence_type ElementType, 5 map_type MapType, 6 denotation text,
  7 opaque_type OpaqueType, 8 sparse_tensor_type TensorType, 9 optional_type ElementType
TensorType: 1 elem_type int, 2 shape Shape
ElementType: 1 elem_type Type
MapType: 1 key_type int, 2 value_type Type
OpaqueType: 1 domain text, 2 name text
Shape: 1 dim Dimension*
Dimension: 1 dim_value int, 2 dim_param text, 3 denotation text
OperatorSetId: 1 domain text, 2 version int
StringStringEntry: 1 key text, 2 value text
TensorAnnotation: 1 tensor_name text, 2 quant_parameter_tensor_names StringStringEntry*
Function: 1 name text, 4 input text*, 5 output text*, 6 attribute text*, 7 node Node*, 8 doc_string text,
  9 opset_import OperatorSetId*, 10 domain text, 11 attribute_proto Attribute*, 12 value_info ValueInfo*,
  13 overload text, 14 metadata_props StringStringEntry*
Training: 1 initialization Graph, 2 algorithm Graph, 3 initialization_binding StringStringEntry*,
  4 update_binding StringStringEntry*
DeviceConfiguration: 1 name text, 2 num_devices int, 3 device text*
NodeDeviceConfiguration: 1 configuration_id text, 2 sharding_spec raw*, 3 pipeline_stage int
"""
_Row: TypeAlias = tuple[str, str, bool]


def _schema() -> dict[str, dict[int, _Row]]:
    """The text above by message and number: name, type, and whether it may stand more than once."""
    found: dict[str, dict[int, _Row]] = {}
    for line in _SCHEMA_TEXT.replace(",\n ", ",").strip().splitlines():
        message, _, rows = line.partition(":")
        found[message] = {
            int(number): (name, kind.rstrip("*"), kind.endswith("*"))
            for number, name, kind in (row.split() for row in rows.split(","))
        }
    return found


_SCHEMA = _schema()
_WIRES = {"int": (0,), "text": (2,), "raw": (2,), "f32": (5,), "ints": (0, 1, 2, 5)}
_WIDTHS = {1: 8, 5: 4}


def parse(data: bytes) -> Message:
    """The model in ``data``.

    Raises:
        ProtobufError: It is none, or could be read in more than one way.
    """
    return _Parser(data).message("Model", 0, len(data), 0)


class _Parser:
    """Walks through the bytes once."""

    def __init__(self, data: bytes) -> None:
        self.data, self.parts = data, 0

    def message(self, kind: str, start: int, end: int, depth: int) -> Message:
        if depth > _MOST_NESTED:
            raise ProtobufError(f"messages are nested more than {_MOST_NESTED} deep")
        found, schema = Message(kind), _SCHEMA[kind]
        self.count(start, end)
        fields, at = found.fields, start
        while at < end:
            tag, place = self.varint(at, end)
            if (row := schema.get(tag >> 3)) is None:
                raise ProtobufError(f"byte {at}: field {tag >> 3} of {kind} is unknown")
            name, value_kind, repeated = row
            if tag & 7 not in _WIRES.get(value_kind, (2,)):
                raise ProtobufError(f"byte {at}: the field {name} of {kind} is no {value_kind}")
            if name in fields and not repeated:
                raise ProtobufError(f"byte {at}: {kind} has its {name} twice")
            value, at = self.value(value_kind, tag & 7, place, end, depth)
            fields.setdefault(name, []).append(value)
        return found

    def count(self, start: int, end: int) -> None:
        """Count the parts of one message before any is built, which takes ten times as long.

        Raises:
            ProtobufError: They are too many.
        """
        data, at, left = self.data, start, MOST_PARTS - self.parts
        while at < end:
            left -= 1
            if left < 0:
                raise ProtobufError(f"it has more than {MOST_PARTS} parts")
            tag, at = (data[at], at + 1) if data[at] < 0x80 else self.varint(at, end)
            if (wire := tag & 7) == 2:
                length, at = (data[at], at + 1) if at < end and data[at] < 0x80 else self.varint(at, end)
                at += length
            else:
                at = at + _WIDTHS[wire] if wire in _WIDTHS else self.varint(at, end)[1]
        self.parts = MOST_PARTS - left

    def value(self, kind: str, wire: int, at: int, end: int, depth: int) -> tuple[Field, int]:
        """One value, and where the next field begins."""
        if wire == 0:
            number, behind = self.varint(at, end)
            return (self.data[at:behind] if kind == "ints" else number - (number >> 63 << 64)), behind
        length, start = (_WIDTHS[wire], at) if wire in _WIDTHS else self.varint(at, end)
        behind = start + length
        if behind > end:
            raise ProtobufError(f"byte {at}: a field ends outside of its message")
        if kind == "f32":
            return float(struct.unpack_from("<f", self.data, start)[0]), behind
        if kind in {"raw", "ints"}:
            return self.data[start:behind], behind
        if kind == "text":
            return self.data[start:behind].decode(errors="backslashreplace"), behind
        return self.message(kind, start, behind, depth + 1), behind

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """A number of at most 64 bits, and where it ends."""
        data, value = self.data, 0
        for place in range(at, min(end, at + _VARINT_BYTES)):
            byte = data[place]
            value |= (byte & 0x7F) << 7 * (place - at)
            if byte < 0x80:
                return value & (1 << 64) - 1, place + 1
        raise ProtobufError(f"byte {at}: a number does not end")


def every(message: Message, visit: Callable[[Message], None]) -> None:
    """Call ``visit`` with ``message`` and every message inside of it, at any depth."""
    waiting = [message]
    while waiting:
        current = waiting.pop()
        visit(current)
        waiting.extend(value for values in current.fields.values() for value in values if isinstance(value, Message))
