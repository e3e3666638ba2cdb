"""Changes to pictures: chunks of PNG with their checksums made right, and sizes that no picture has."""

from __future__ import annotations

import struct
import zlib
from random import Random

from fuzz_bytes import CHANGES as BYTES
from fuzz_bytes import Change
from fuzz_zips import bomb

_PNG = b"\x89PNG\r\n\x1a\n"
_SIDES = (0, 1, 2, 7, 16, 4096, 30_000, 60_000, 65_535, 100_000, 2**31 - 1, 2**31, 2**32 - 1)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], len(_PNG)
    while place + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    return found


def _joined(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return _PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def png_chunk(data: bytes, rng: Random) -> bytes:
    """One chunk changed, lost, doubled or of another kind; other files are changed as bytes."""
    if not data.startswith(_PNG):
        return rng.choice(BYTES)(data, rng)
    chunks = _chunks(data)
    at = rng.randrange(len(chunks)) if chunks else 0
    match rng.randrange(5) if chunks else 9:
        case 0 | 1:
            kind, body = chunks[at]
            chunks[at] = (kind, rng.choice(BYTES)(body, rng))
        case 2:
            del chunks[at]
        case 3:
            chunks.insert(at, chunks[at])
        case _:
            chunks.insert(
                at, (rng.choice((b"zTXt", b"iCCP", b"iTXt", b"eXIf", b"acTL", b"tRNS", b"PLTE")), rng.randbytes(40))
            )
    return _joined(chunks)


def png_size(data: bytes, rng: Random) -> bytes:
    """Another width and height, depth and kind of colour; sometimes with pixels that unpack to all of it."""
    if not data.startswith(_PNG):
        return rng.choice(BYTES)(data, rng)
    chunks = _chunks(data)
    depth, colour = rng.choice(((8, 2), (8, 6), (16, 2), (16, 0), (1, 0), (8, 3), (4, 7), (0, 0), (255, 255)))
    head = struct.pack(
        ">IIBBBBB", rng.choice(_SIDES), rng.choice(_SIDES), depth, colour, 0, 0, rng.choice((0, 0, 1, 2))
    )
    rest = [each for each in chunks if each[0] != b"IHDR"]
    if rng.random() < 0.03:
        rest = [(b"IDAT", b"\x78\x9c" + bomb()), (b"IEND", b"")]
    return _joined([(b"IHDR", head), *rest])


CHANGES: tuple[Change, ...] = (png_chunk, png_chunk, png_size, png_size, *BYTES)
