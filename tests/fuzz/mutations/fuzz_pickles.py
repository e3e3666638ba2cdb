"""Changes to pickles by their opcodes: memos that grow, globals, calls, lengths that lie."""

from __future__ import annotations

import pickletools
import struct
from random import Random

from fuzz_bytes import CHANGES as BYTES
from fuzz_bytes import Change

_SELF_TUPLES = b"N\x94" + b"".join(
    b"h" + bytes([depth]) + b"h" + bytes([depth]) + b"\x86\x94" for depth in range(60)
)  # t = (t, t), 60 deep: a hash or a text of it never ends
PIECES = (
    _SELF_TUPLES,
    b"(lp0\n" + b"g0\na" * 3,  # a list in itself
    b"r" + struct.pack("<I", 2**28), b"j" + struct.pack("<I", 2**28), b"r\xff\xff\xff\xff", b"j\xff\xff\xff\xff",
    b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n", b"\x8c\x02os\x8c\x06system\x93", b"ctorch\nload\n",
    b"c__torch__\nfrom_file\n", b"\x81", b"R", b"b", b"Q", b"(", b"t", b"0", b"1", b"2", b"d", b"}", b"]", b"u", b"s",
    b"e",
    b".", b"N", b"\x88", b"\x94", b"T" + struct.pack("<I", 2**31 - 1), b"B\xff\xff\xff\xff",
    b"\x8e" + struct.pack("<Q", 2**62),
    b"\x8d" + struct.pack("<Q", 2**33), b"\x8b" + struct.pack("<i", 2**30), b"X" + struct.pack("<I", 2**32 - 1),
    b"\x8a\xff" + b"\x7f" * 255, b"I" + b"9" * 5000 + b"\n", b"I\xc2\xb2\n", b"F1e999\n", b"L" + b"9" * 5000 + b"L\n",
    b"G" + struct.pack(">d", float("inf")), b"G" + struct.pack(">d", float("nan")), b"\x95" + struct.pack("<Q", 2**40),
    b"(" * 20_000, b"]" * 20_000, b"(" * 2000 + b"t" * 2000, b"Vx\xff\n", b"X\x02\x00\x00\x00\xff\xfe", b"\x82\x01",
    b"\x96" + b"\xff" * 8,
)  # fmt: skip


def _opcodes(data: bytes) -> list[int]:
    """Where opcodes begin, as far as the pickle can be read."""
    places: list[int] = []
    try:
        for _, _, place in pickletools.genops(data):
            places.append(place or 0)
            if len(places) >= 5000:
                break
    except Exception:  # it is damaged already: what was found will do
        return places or [0]
    return places or [0]


def opcode_in(data: bytes, rng: Random) -> bytes:
    """A piece of a pickle in front of an opcode, or in its place."""
    places = _opcodes(data)
    at = rng.randrange(len(places))
    end = places[at + 1] if at + 1 < len(places) and rng.random() < 0.5 else places[at]
    return data[: places[at]] + rng.choice(PIECES) + data[end:]


def opcode_moved(data: bytes, rng: Random) -> bytes:
    """One opcode lost, doubled, or another's."""
    places = [*_opcodes(data), len(data)]
    at, other = rng.randrange(len(places) - 1), rng.randrange(len(places) - 1)
    mine, theirs = data[places[at] : places[at + 1]], data[places[other] : places[other + 1]]
    return data[: places[at]] + rng.choice((b"", mine * 2, theirs, theirs + mine)) + data[places[at + 1] :]


CHANGES: tuple[Change, ...] = (opcode_in, opcode_in, opcode_in, opcode_moved, opcode_moved, *BYTES)
