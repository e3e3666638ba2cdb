"""Read FlatBuffers by slot number, with every offset checked: a corrupted file is an error, never a wild read.

TFLite, ExecuTorch and XNNPACK payloads are FlatBuffers. Reading them here, from the bytes alone, needs neither
TensorFlow nor ExecuTorch, and works where only the small runtime is installed. Layout of tables, vtables and vectors:
FlatBuffers' "Internals" page. Slot numbers are the positions of the fields in the format's own schema.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ArtifactError

# What reading a file may cost, in bytes of it: vectors may be shared, so that a small file could name one of them a
# million times. A table counts as much as what is made of it here takes of memory. Chosen: a table
# takes eight bytes or more, so that files in which each part is named once stay below.
_MOST_READINGS, _SPARE_BYTES, _TABLE_BYTES, _MOST_TABLES = 32, 1 << 20, 256, 1_000_000
File = TypeVar("File")
Buffer = bytes | memoryview


class FlatbufferError(ValueError):
    """The bytes are no well-formed FlatBuffer."""


class Budget:
    """What may still be read of a file."""

    def __init__(self, size: int) -> None:
        self._left, self._tables = _MOST_READINGS * size + _SPARE_BYTES, _MOST_TABLES

    def spend(self, bytes_: int) -> None:
        """Account for what is read.

        Raises:
            FlatbufferError: It is too much for a file of this size: its parts are named over and over.
        """
        self._left -= bytes_
        if self._left < 0:
            raise FlatbufferError("its tables name the same parts over and over")

    def count_table(self) -> None:
        """Account for a table that is read.

        Raises:
            FlatbufferError: There are too many.
        """
        self._tables -= 1
        self.spend(_TABLE_BYTES)
        if self._tables < 0:
            raise FlatbufferError(f"it has more than {_MOST_TABLES} tables")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a FlatBuffer; fields are read by slot number.

    Raises (every method):
        FlatbufferError: An offset or length points outside the data.
    """

    data: Buffer
    position: int
    vtable: int
    fields: int
    budget: Budget

    def scalar(self, slot: int, code: str, default: int = 0) -> int:
        """An integer field; ``code`` is its struct format character."""
        place = self._place(slot, struct.calcsize("<" + code))
        return default if place is None else int(struct.unpack_from("<" + code, self.data, place)[0])

    def table(self, slot: int) -> Table | None:
        """A sub-table, or None where the field is absent."""
        place = self._place(slot, 4)
        return None if place is None else _table(self.data, place + _unsigned(self.data, place), self.budget)

    def tables(self, slot: int) -> tuple[Table, ...]:
        """A vector of tables; empty where the field is absent."""
        start, count = self._vector(slot, 4)
        places = range(start, start + 4 * count, 4)
        return tuple(_table(self.data, place + _unsigned(self.data, place), self.budget) for place in places)

    def text(self, slot: int) -> str:
        """A string; "" where the field is absent; bytes that are no UTF-8 stay visible, as backslash and code."""
        raw = self.blob(slot)
        self.budget.spend(len(raw))
        return bytes(raw).decode("utf-8", errors="backslashreplace")

    def blob(self, slot: int) -> memoryview:
        """A vector of bytes, without copying; empty where the field is absent."""
        start, count = self._vector(slot, 1)
        return memoryview(self.data)[start : start + count]

    def numbers(self, slot: int, dtype: str) -> NDArray[np.int64]:
        """A vector of integers of the numpy type ``dtype`` (little endian), as (n,) int64; empty where absent."""
        kind = np.dtype(dtype).newbyteorder("<")
        start, count = self._vector(slot, kind.itemsize)
        self.budget.spend(count * kind.itemsize)
        return np.frombuffer(self.data, kind, count, start if count else 0).astype(np.int64)

    def floats(self, slot: int) -> tuple[float, ...]:
        """A vector of float32; empty where absent."""
        start, count = self._vector(slot, 4)
        self.budget.spend(count * 4)
        return tuple(np.frombuffer(self.data, "<f4", count, start if count else 0).tolist())

    def slots(self) -> tuple[int, ...]:
        """The slots that hold a field."""
        return tuple(slot for slot in range(self.fields) if self._place(slot, 1) is not None)

    def _place(self, slot: int, width: int) -> int | None:
        if slot >= self.fields:
            return None
        offset = _half(self.data, self.vtable + 4 + 2 * slot)
        if offset == 0:
            return None
        if self.position + offset + width > len(self.data):
            raise FlatbufferError(f"field {slot} of the table at byte {self.position} lies outside the data")
        return self.position + offset

    def _vector(self, slot: int, width: int) -> tuple[int, int]:
        place = self._place(slot, 4)
        if place is None:
            return 0, 0
        start = place + _unsigned(self.data, place)
        count = _unsigned(self.data, start)
        if start + 4 + count * width > len(self.data):
            raise FlatbufferError(f"vector at byte {start} with {count} elements ends outside the data")
        return start + 4, count


def parse_file(path: Path, parse_bytes: Callable[[bytes], File], kind: str) -> File:
    """What ``parse_bytes`` finds in the file at ``path``, which should be a valid ``kind``.

    Raises:
        ArtifactError: It cannot be read, or is not well-formed; the message says where it breaks.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    try:
        return parse_bytes(data)
    except FlatbufferError as error:
        raise ArtifactError(f"{path} is not a valid {kind} ({len(data)} bytes): {error}") from error


def root(data: Buffer, identifier: bytes, budget: Budget | None = None) -> Table:
    """The root table of ``data``; ``budget`` is that of the file which it is a part of.

    Raises:
        FlatbufferError: Too short, another file identifier (bytes 4..8) than expected, or a wild root offset.
    """
    if len(data) < 16:
        raise FlatbufferError(f"{len(data)} bytes are too few")
    seen = bytes(data[4:8])
    if seen != identifier:
        raise FlatbufferError(f"file identifier is {seen!r}, expected {identifier!r}")
    return _table(data, _unsigned(data, 0), budget or Budget(len(data)))


def _table(data: Buffer, position: int, budget: Budget) -> Table:
    budget.count_table()
    if position % 4 or not 4 <= position <= len(data) - 4:
        raise FlatbufferError(f"table at byte {position} lies outside the data or is not aligned")
    vtable = position - int(struct.unpack_from("<i", data, position)[0])
    if vtable % 2 or not 4 <= vtable <= len(data) - 4:
        raise FlatbufferError(f"vtable of the table at byte {position} lies outside the data")
    vtable_bytes, table_bytes = _half(data, vtable), _half(data, vtable + 2)
    broken = vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4
    if broken or vtable + vtable_bytes > len(data) or position + table_bytes > len(data):
        raise FlatbufferError(f"table at byte {position} has a broken vtable")
    return Table(data, position, vtable, (vtable_bytes - 4) // 2, budget)


def _unsigned(data: Buffer, position: int) -> int:
    if not 0 <= position <= len(data) - 4:
        raise FlatbufferError(f"offset at byte {position} lies outside the data")
    return int(struct.unpack_from("<I", data, position)[0])


def _half(data: Buffer, position: int) -> int:
    if not 0 <= position <= len(data) - 2:
        raise FlatbufferError(f"vtable entry at byte {position} lies outside the data")
    return int(struct.unpack_from("<H", data, position)[0])
