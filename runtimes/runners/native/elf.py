"""ELF files: for which machine they are, and what they need. Strict, since files may be hostile.

Only what the loader itself looks at is read (program headers and the dynamic section), so that stripped files are read
as well as others. Every place and count is held against the file's size first. Layout: System V ABI, chapter 4 and 5;
symbol versions: Linux Standard Base Core 5.0, section 10.7.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Literal

from edgevit.errors import ArtifactError
from edgevit.text import open_regular, printable

MOST_VERSIONS = 4096  # chosen: libtorch_cpu needs 51
LONGEST_NAME = 2**16  # bytes; chosen: mangled names of templates have some thousands
MOST_HEADERS = 4096  # chosen: files have about ten
_MAGIC = b"\x7fELF"
_EXECUTABLE, _DYNAMIC = 2, 3
_LOAD, _DYNAMIC_SEGMENT, _INTERPRETER = 1, 2, 3
_NULL, _NEEDED, _STRTAB, _STRSZ, _SONAME = 0, 1, 5, 10, 14
_FLAGS_1, _VERNEED = 0x6FFFFFFB, 0x6FFFFFFE
_PIE = 0x08000000
_VERSION_FILE = Struct("<HHIII")
_VERSION = Struct("<IHHII")


@dataclass(frozen=True)
class _Layout:
    """The structures of one class of files."""

    header: Struct
    segment: Struct
    entry: Struct


_LAYOUTS = {
    1: _Layout(Struct("<16sHHIIIIIHHHHHH"), Struct("<IIIIIIII"), Struct("<iI")),
    2: _Layout(Struct("<16sHHIQQQIHHHHHH"), Struct("<IIQQQQQQ"), Struct("<qQ")),
}


@dataclass(frozen=True)
class ElfFile:
    """What the headers of a file say.

    Attributes:
        machine: Number of its instruction set: 40 ARM, 62 x86-64, 183 AArch64.
        bits: 32 or 64.
        kind: ``program`` is what can be started, ``library`` what others are linked with or load.
        interpreter: The loader that a program asks for.
        soname: The name by which others ask for it.
        needed: The libraries that must be there, in the order of search.
        versions: Symbol versions that it needs, each with the library that must have it.
    """

    machine: int
    bits: int
    kind: Literal["program", "library"]
    interpreter: str | None
    soname: str | None
    needed: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]

    def highest(self, prefix: str) -> str | None:
        """The highest version that it needs of those that begin with ``prefix``: ``GLIBC`` gives ``2.34``."""
        numbers = (version.removeprefix(f"{prefix}_") for _, version in self.versions if version.startswith(prefix))
        plain = [number for number in numbers if all(map(_is_number, number.split(".")))]
        return max(plain, key=version_key, default=None)


def version_key(version: str) -> tuple[int, ...]:
    """What orders versions of digits and dots; another part counts as 0."""
    return tuple(int(part) if _is_number(part) else 0 for part in version.split("."))


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 10


def read_elf(path: Path) -> ElfFile:
    """The headers of a program or a shared library.

    Raises:
        ArtifactError: It cannot be read, is no little-endian ELF file, is neither, or is damaged.
    """
    with open_regular(path, what="ELF file") as file:
        image = _Image(file, path)
        soname = image.number(_SONAME)
        return ElfFile(
            machine=image.machine,
            bits=image.bits,
            kind=image.kind(),
            interpreter=image.interpreter(),
            soname=None if soname is None else image.name(soname),
            needed=tuple(image.name(value) for tag, value in image.dynamic if tag == _NEEDED),
            versions=tuple(image.versions()),
        )


class _Image:
    """An open file, its headers read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._size = os.fstat(file.fileno()).st_size
        start = file.read(len(_MAGIC))
        if start != _MAGIC:
            raise ArtifactError(f"{printable(str(path))} is no ELF file: it begins with '{start.hex(' ')}'")
        head = self._bytes(0, 20)
        if head[4] not in _LAYOUTS or head[5] != 1:
            raise self._damaged(f"its class is {head[4]} and its byte order {head[5]}, expected 1 or 2, and 1 (little)")
        self.layout, self.bits = _LAYOUTS[head[4]], 32 * head[4]
        fields = self._fields(self.layout.header, 0)
        self._type, self.machine = fields[1], fields[2]
        if self._type not in (_EXECUTABLE, _DYNAMIC):
            raise self._damaged(f"its type is {self._type}, expected 2 (program) or 3 (shared library or program)")
        self._segments = list(self._table(self.layout.segment, fields[5], fields[9], fields[10]))
        if self.bits == 32:  # the flags stand elsewhere; nothing here looks at them
            self._segments = [(kind, 0, *rest) for kind, *rest in self._segments]
        self.dynamic = tuple(self._dynamic())
        self._names: bytes | None = None

    def kind(self) -> Literal["program", "library"]:
        """A library may have an interpreter as well (libc says its version when it is started), and then a name."""
        flags = self.number(_FLAGS_1) or 0
        started = self.number(_SONAME) is None and any(row[0] == _INTERPRETER for row in self._segments)
        return "program" if self._type == _EXECUTABLE or flags & _PIE or started else "library"

    def interpreter(self) -> str | None:
        """The text of the segment that names the loader."""
        row = next((row for row in self._segments if row[0] == _INTERPRETER), None)
        if row is None:
            return None
        if not 1 < row[5] <= 4096:
            raise self._damaged(f"the name of its loader has {row[5]} bytes")
        return self._text(self._bytes(row[2], row[5]).split(b"\0")[0])

    def number(self, tag: int) -> int | None:
        """The first entry of that kind in the dynamic section."""
        return next((value for each, value in self.dynamic if each == tag), None)

    def name(self, at: int) -> str:
        """The text at a place of the table of names."""
        if self._names is None:
            start, size = self.number(_STRTAB), self.number(_STRSZ)
            if start is None or size is None:
                raise self._damaged("it has no table of names")
            self._names = self._bytes(self._place(start), size)
        end = self._names.find(b"\0", at, at + LONGEST_NAME)
        if end < 0:
            raise self._damaged(f"the name at byte {at} of {len(self._names)} does not end")
        return self._text(self._names[at:end])

    def versions(self) -> Iterator[tuple[str, str]]:
        """Library and version of each that is needed."""
        start, seen = self.number(_VERNEED), 0
        at = None if start is None else self._place(start)
        while at is not None:
            _, count, file, first, step = self._fields(_VERSION_FILE, at)
            inner: int | None = at + first
            for _ in range(count):
                seen += 1
                if inner is None or seen > MOST_VERSIONS:
                    raise self._damaged(f"its needed versions are more than {MOST_VERSIONS}, or end too early")
                *_, name, further = self._fields(_VERSION, inner)
                yield self.name(file), self.name(name)
                inner = self._further(inner, further)
            at = self._further(at, step)

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        row = next((row for row in self._segments if row[0] == _DYNAMIC_SEGMENT), None)
        if row is None:
            return
        size = self.layout.entry.size
        if row[5] > MOST_HEADERS * size:
            raise self._damaged(f"its dynamic section has {row[5]:,} bytes")
        for tag, value in self.layout.entry.iter_unpack(self._bytes(row[2], row[5] // size * size)):
            if tag == _NULL:
                return
            yield tag, value

    def _table(self, row: Struct, at: int, size: int, count: int) -> Iterator[tuple[int, ...]]:
        if not count:
            return
        if size != row.size or count > MOST_HEADERS:
            raise self._damaged(
                f"it has {count} headers of {size} bytes, expected at most {MOST_HEADERS} of {row.size}"
            )
        yield from row.iter_unpack(self._bytes(at, count * size))

    def _place(self, address: int) -> int:
        """Where in the file stands what is loaded to an address."""
        for kind, _, offset, start, _, size, *_ in self._segments:
            if kind == _LOAD and start <= address < start + size:
                return offset + address - start
        raise self._damaged(f"the address {address:#x} is in none of its segments")

    def _further(self, at: int, step: int) -> int | None:
        """The place of the next entry; 0 ends a list, and none overlaps the one before."""
        if step and step < _VERSION.size:
            raise self._damaged(f"an entry of its needed versions has {step} bytes")
        return at + step if step else None

    def _fields(self, row: Struct, at: int) -> tuple[int, ...]:
        fields: tuple[int, ...] = row.unpack(self._bytes(at, row.size))
        return fields

    def _bytes(self, at: int, count: int) -> bytes:
        if not (0 <= at <= self._size and 0 <= count <= self._size - at):
            raise self._damaged(f"{count:,} bytes at {at:,} are beyond its {self._size:,}")
        self._file.seek(at)
        data = self._file.read(count)
        if len(data) != count:
            raise self._damaged(f"it ended at byte {at + len(data):,} while it was read")
        return data

    def _text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._damaged(f"the name {data[:40]!r} is no UTF-8") from error

    def _damaged(self, what: str) -> ArtifactError:
        return ArtifactError(f"{printable(str(self._path))} is a damaged or unknown ELF file: {what}")
