"""Changes to zip archives: a member changed with its checksum made right, sizes that lie, names that meet.

Archives are put together by hand and stored without compression: ``zlib`` differs between machines, and the same seed
must give the same bytes. The one bomb is a stream of fixed codes.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from fuzz_bytes import CHANGES as BYTES
from fuzz_bytes import Change, number
from fuzz_json import change_value
from fuzz_pickles import CHANGES as PICKLES
from fuzz_texts import CHANGES as TEXTS

BOMB_BYTES = 2 << 30  # what the bomb unpacks to: twice what a reader may take


@dataclass(frozen=True)
class Member:
    """A file of an archive: ``stored`` as it lies there, ``size`` when unpacked; ``method`` 0 stored, 8 deflated."""

    name: bytes
    stored: bytes
    size: int
    crc: int
    method: int = 0
    flags: int = 0


def plain(name: bytes, content: bytes) -> Member:
    """A member that is stored as it is."""
    return Member(name, content, len(content), zlib.crc32(content))


def members(data: bytes) -> list[Member]:
    """The members of an archive, unpacked; empty where it can be read no more."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [plain(info.filename.encode(), archive.read(info)) for info in archive.infolist()]
    except Exception:  # damaged by an earlier change
        return []


def put_together(parts: list[Member], *, comment: bytes = b"", lie: dict[str, int] | None = None) -> bytes:
    """An archive of ``parts``; ``lie`` overwrites fields of the end record."""
    body, directory = b"", b""
    for part in parts:
        sizes = struct.pack("<III", part.crc & 0xFFFFFFFF, len(part.stored) & 0xFFFFFFFF, part.size & 0xFFFFFFFF)
        common = (
            struct.pack("<HHHHH", 20, part.flags, part.method, 0, 33) + sizes + struct.pack("<HH", len(part.name), 0)
        )
        directory += b"PK\x01\x02\x14\x00" + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + part.name
        body += b"PK\x03\x04" + common + part.name + part.stored
    end = {"count": len(parts), "size": len(directory), "offset": len(body)} | (lie or {})
    count = end["count"] & 0xFFFF
    return body + directory + struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, count, count, end["size"] & 0xFFFFFFFF, end["offset"] & 0xFFFFFFFF, len(comment)
    ) + comment  # fmt: skip


@cache
def bomb() -> bytes:
    """A deflate stream of ``BOMB_BYTES`` zeros in 2 MiB: codes under which a match of 258 bytes is two zero bits."""
    lengths = {18: 1, 1: 2, 2: 2}  # of the codes for lengths of codes: 18 is 0 (a run of zeros), 1 is 10, 2 is 11
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    begin = "1" + "01" + _bits(29, 5) + _bits(0, 5) + _bits(len(order) - 4, 4)
    begin += "".join(_bits(lengths.get(symbol, 0), 3) for symbol in order)
    # literal 0: 2 bits, 255 without a code, the end: 2 bits, 28 without, a length of 258: 1 bit; one byte back: 1 bit
    begin += "11" + "0" + _bits(127, 7) + "0" + _bits(106, 7) + "11" + "0" + _bits(17, 7) + "10" + "10"
    begin += "10"  # the literal 0 itself
    padding = -len(begin) % 8
    end = "0" * (padding % 2) + "11"
    head = int((begin + "0" * padding)[::-1], 2).to_bytes((len(begin) + padding) // 8, "little")
    return head + bytes(BOMB_BYTES // 258 // 4) + bytes([int(end[::-1], 2)])


def _bits(value: int, count: int) -> str:
    """``value`` in ``count`` bits, the lowest first."""
    return format(value, f"0{count}b")[::-1]


def change_member(data: bytes, rng: Random) -> bytes:
    """One member's content changed as what it is; its checksum and its sizes are right."""
    parts = members(data)
    if not parts:
        return rng.choice(BYTES)(data, rng)
    at = rng.randrange(len(parts))
    content = parts[at].stored
    parts[at] = plain(parts[at].name, rng.choice(_changes_of(parts[at].name, content))(content, rng))
    return put_together(parts)


def _changes_of(name: bytes, content: bytes) -> tuple[Change, ...]:
    if content[:6] == b"\x93NUMPY":
        return (npy_header, npy_header, npy_header, *BYTES)
    if name.endswith(b".pkl"):
        return PICKLES
    if content[:1] in b'{["' and content:
        return (change_value, change_value, *TEXTS)
    return (*BYTES, *TEXTS) if content[:200].isascii() else BYTES


def lying_sizes(data: bytes, rng: Random) -> bytes:
    """A member whose sizes, checksum, method or flags are not true, in directory and header alike."""
    parts = members(data)
    if not parts:
        return number(data, rng)
    at = rng.randrange(len(parts))
    part = parts[at]
    size = rng.choice((0, 1, 2**31, 2**32 - 1, len(part.stored) * 2, max(0, len(part.stored) - 1)))
    parts[at] = rng.choice(
        (
            replace(part, size=size),
            replace(part, crc=part.crc ^ 1),
            replace(part, method=rng.choice((1, 8, 9, 12, 14, 93, 99))),
            replace(part, flags=rng.choice((1, 8, 0x20, 0x40, 0x800, 0x2000))),
        )
    )
    return put_together(parts)


def with_bomb(data: bytes, rng: Random) -> bytes:
    """A member, or a new one, that unpacks to 2 GiB; it may say so or not."""
    parts = members(data) or [plain(b"x", b"")]
    at = rng.randrange(len(parts))
    said = rng.choice((BOMB_BYTES, BOMB_BYTES, parts[at].size, 2**32 - 1))
    name = parts[at].name if rng.random() < 0.8 else b"bomb" + parts[at].name
    parts[at] = Member(name, bomb(), said, 0, method=8)
    return put_together(parts)


def names(data: bytes, rng: Random) -> bytes:
    """Members renamed, doubled, lost, in another order, or under names that mean something."""
    parts = members(data)
    if not parts:
        return data
    at = rng.randrange(len(parts))
    part = parts[at]
    odd = (
        b"",
        b"\xff",
        b"../x",
        b"/abs",
        b"a" * 60_000,
        part.name.upper(),
        part.name + b"\0",
        b"x/" + part.name,
        b".npy",
        b"x",
    )
    match rng.randrange(5):
        case 0:
            parts[at] = replace(part, name=rng.choice(odd))
        case 1:
            parts.insert(at, part)
        case 2:
            del parts[at]
        case 3:
            parts[at] = replace(
                part, name=re.sub(rb"\d+", lambda _: rng.choice((b"7", b"-1", b"\xc2\xb2", b"9" * 5000)), part.name)
            )
        case _:
            rng.shuffle(parts)
    return put_together(parts, comment=rng.choice((b"", b"", b"comment", b"PK\x05\x06" + bytes(18))))


def end_record(data: bytes, rng: Random) -> bytes:
    """An end of the archive that tells other counts and places, or bytes in front of it all."""
    parts = members(data)
    lie = {rng.choice(("count", "size", "offset")): rng.choice((0, 1, 65535, 2**31, 2**32 - 1, 7))}
    return rng.choice((b"", b"MZ", bytes(64))) + put_together(parts, lie=lie)


_HEADERS = (
    "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", "{'descr': '%s', 'fortran_order': True, 'shape': %s, }",
    "{'descr': '%s', 'shape': %s, }", "{'shape': %s, 'descr': '%s', 'fortran_order': 2, 'x': 1}",
)  # fmt: skip
_DTYPES = (
    "<f4", "<f8", ">f8", "<i8", "|u1", "|b1", "<U0", "<U1", "<U100000000", "|S0", "|V0", "|V1", "|O", "<M8[ns]", "<c16",
    "<f2", "f99", "", "<U-1", "<f4,<f4", "<i4", "object", "<U2000000000", "<g",
)  # fmt: skip
_SHAPES = (
    "()", "(0,)", "(1,)", "(100000000000,)", "(4000000000,)", "(2, 2)", "(-1,)", "(1.5,)", "(True,)", "('a',)", "3",
    "[3]",
    "(9223372036854775807, 2)", "(1,) * 40", "(" + "1," * 70 + ")", "(65536, 65536, 65536, 65536)", "(0, 100000000000)",
    "(" * 500 + ")" * 500, "None", "(16, 16, 3)", "(1, 7)", "(805306368,)", "(5,)", "(" + "9" * 5000 + ",)",
)  # fmt: skip


def npy_header(data: bytes, rng: Random) -> bytes:
    """A ``.npy`` with another header: type, shape, length, version, or a word of it changed."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        return rng.choice(BYTES)(data, rng)
    length = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + length], data[10 + length :]
    match rng.randrange(5):
        case 0 | 1:
            pair = (rng.choice(_DTYPES), rng.choice(_SHAPES))
            form = rng.choice(_HEADERS)
            header = (form % (pair if form.startswith("{'descr'") else pair[::-1])).encode()
        case 2:
            shape = rng.choice(_SHAPES).encode()
            header = re.sub(rb"'shape': \([^)]*\)", lambda _: b"'shape': " + shape, header)
        case 3:
            descr = rng.choice(_DTYPES).encode()
            header = re.sub(rb"'descr': '[^']*'", lambda _: b"'descr': '" + descr + b"'", header)
        case _:
            header = rng.choice((*BYTES, *TEXTS))(header, rng)
    header = header.rstrip() + b"\n"
    said = rng.choice((len(header), len(header), len(header), len(header), 0, 65535))
    version = rng.choice((b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\xff\xff"))
    size = (
        struct.pack("<H", said & 0xFFFF) if version[0] == 1 else struct.pack("<I", rng.choice((said, said, 2**32 - 1)))
    )
    return data[:6] + version + size + header + body


CHANGES: tuple[Change, ...] = (
    change_member, change_member, change_member, change_member, change_member, change_member, lying_sizes, lying_sizes,
    names, names, end_record, *BYTES,
)  # fmt: skip
RARE: tuple[Change, ...] = (with_bomb,)  # each costs a megabyte to make and to look at
