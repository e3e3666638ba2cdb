"""A ``.tflite`` file as objects that can be changed, and back to bytes: the same objects always give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import BufferT, ModelT
    from flatbuffers import Builder  # type: ignore[import-untyped]

ALIGNMENT = 16  # schema.fbs: ``force_align`` of a buffer's data


def unpacked(data: bytes) -> ModelT:
    """The file as objects of the schema."""
    from ai_edge_litert.tools.flatbuffer_utils import read_model_from_bytearray

    return read_model_from_bytearray(bytearray(data))


def packed(model: ModelT) -> bytes:
    """The bytes of ``model``, with all data inside the FlatBuffer, where readers of any age look for it.

    FlatBuffers' own objects forget the alignment that the schema asks for.
    """
    from flatbuffers import Builder

    model.buffers = [_Aligned(buffer) for buffer in model.buffers]
    builder = Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Aligned:
    """A buffer that is packed with its data where the schema wants it."""

    def __init__(self, buffer: BufferT) -> None:
        self._buffer = buffer

    def Pack(self, builder: Builder) -> int:
        from ai_edge_litert import schema_py_generated as schema

        placed = None if self._buffer.data is None else _vector(builder, bytes(self._buffer.data))
        schema.BufferStart(builder)
        if placed is not None:
            schema.BufferAddData(builder, placed)
        return int(schema.BufferEnd(builder))


def _vector(builder: Builder, data: bytes) -> int:
    builder.StartVector(1, len(data), ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return int(builder.EndVector())
