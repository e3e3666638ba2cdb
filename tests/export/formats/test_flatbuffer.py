"""FlatBuffers that the official package wrote, read by slot; and what is not one."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from edgevit.errors import ArtifactError
from export.formats.flatbuffer import FlatbufferError, parse_file, root


def written() -> bytes:
    """A table with an int8, a text, a vector of int32 and a vector of one table that holds a uint16."""
    builder = flatbuffers.Builder(64)
    text = builder.CreateString("größe")
    builder.StartVector(4, 3, 4)
    for value in (3, -2, 1):
        builder.PrependInt32(value)
    numbers = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUint16Slot(0, 40_000, 0)
    inner = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(inner)
    tables = builder.EndVector()
    builder.StartObject(6)
    builder.PrependInt8Slot(0, -5, 0)
    for slot, offset in ((1, text), (2, numbers), (3, tables), (4, inner)):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TEST")
    return bytes(builder.Output())


def test_fields_are_read_by_slot() -> None:
    table = root(written(), b"TEST")
    assert (table.scalar(0, "b"), table.text(1), table.numbers(2, "int32").tolist()) == (-5, "größe", [1, -2, 3])
    (inner,) = table.tables(3)
    single = table.table(4)
    assert single is not None
    assert inner.scalar(0, "H") == single.scalar(0, "H") == 40_000


def test_absent_fields_have_their_defaults() -> None:
    table = root(written(), b"TEST")
    for slot in (5, 17):  # declared but never set; not declared
        assert (table.scalar(slot, "i", 7), table.table(slot), table.tables(slot), table.text(slot)) == (
            7,
            None,
            (),
            "",
        )
        assert table.numbers(slot, "int32").size == 0


def test_what_is_no_flatbuffer_is_told(tmp_path: Path) -> None:
    with pytest.raises(FlatbufferError, match="file identifier is b'TEST', expected b'TFL3'"):
        root(written(), b"TFL3")
    with pytest.raises(FlatbufferError, match="3 bytes are too few"):
        root(b"abc", b"TEST")
    path = tmp_path / "broken.any"
    with pytest.raises(ArtifactError, match="cannot read"):
        parse_file(path, lambda data: root(data, b"TEST"), "test file")
    path.write_bytes(b"\xff" * 4 + b"TEST" + bytes(32))
    with pytest.raises(ArtifactError, match=r"broken\.any is not a valid test file \(40 bytes\): table at byte"):
        parse_file(path, lambda data: root(data, b"TEST"), "test file")


def test_floats_and_the_slots_that_hold_something() -> None:
    builder = flatbuffers.Builder(64)
    values = builder.CreateNumpyVector(np.array([1.5, -2.0], "<f4"))
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(2, values, 0)
    builder.PrependInt8Slot(3, 7, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TEST")
    table = root(bytes(builder.Output()), b"TEST")
    assert table.floats(2) == (1.5, -2.0)
    assert table.floats(0) == ()
    assert table.slots() == (2, 3)
