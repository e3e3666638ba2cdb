"""Changes to bytes of any kind; each takes the data and a random generator and gives other data.

Everything is drawn by ``random.Random`` seeded with a text, so that one seed gives the same inputs on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

Change = Callable[[bytes, Random], bytes]

LONGEST = 1 << 20  # bytes; chosen: what grows faster than its input shows at a megabyte
WHOLE = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, -1)
"""Where lengths, counts, offsets and signs turn over."""


def _place(data: bytes, rng: Random) -> int:
    return rng.randrange(len(data) + 1)


def _stretch(data: bytes, rng: Random, longest: int = 64) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + rng.randint(1, longest))


def flip_bits(data: bytes, rng: Random) -> bytes:
    """One to eight bits turned."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def random_bytes(data: bytes, rng: Random) -> bytes:
    """A stretch overwritten by any bytes."""
    start, end = _stretch(data, rng)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def number(data: bytes, rng: Random) -> bytes:
    """A whole number of 1 to 8 bytes at the turn of something, in either order of bytes, put over what is there."""
    size = rng.choice((1, 2, 4, 4, 4, 8))
    start = _place(data, rng)
    start -= start % size if rng.random() < 0.7 else 0  # most formats align
    value = rng.choice((*WHOLE, len(data), len(data) - start, -len(data)))
    raw = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big")))
    return data[:start] + raw + data[start + size :]


def run_of_ones(data: bytes, rng: Random) -> bytes:
    """A run of 0xff, short or very long: the longest varint, the largest number, no text in any encoding."""
    start = _place(data, rng)
    count = rng.choice((4, 16, 256, 4096, 100_000))
    return data[:start] + b"\xff" * count + data[start + (count if rng.random() < 0.5 else 0) :]


def cut_off(data: bytes, rng: Random) -> bytes:
    """The beginning alone, as a full disk or a lost connection leaves it."""
    return data[: _place(data, rng)]


def cut_out(data: bytes, rng: Random) -> bytes:
    """Without a stretch."""
    start, end = _stretch(data, rng, 256)
    return data[:start] + data[end:]


def repeat(data: bytes, rng: Random) -> bytes:
    """A stretch several times, up to very often."""
    start, end = _stretch(data, rng, 256)
    times = rng.choice((2, 3, 10, 200))
    return data[:end] + data[start:end] * (times - 1) + data[end:]


def move(data: bytes, rng: Random) -> bytes:
    """A stretch elsewhere."""
    start, end = _stretch(data, rng, 256)
    rest = data[:start] + data[end:]
    place = _place(rest, rng)
    return rest[:place] + data[start:end] + rest[place:]


CHANGES: tuple[Change, ...] = (
    flip_bits, flip_bits, random_bytes, number, number, number, run_of_ones, cut_off, cut_out, repeat, move,
)  # fmt: skip


def splice(data: bytes, other: bytes, rng: Random) -> bytes:
    """The beginning of one and the end of another."""
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def token_in(data: bytes, tokens: Sequence[bytes], rng: Random) -> bytes:
    """A token that means something to the format, inserted or over what is there."""
    token = rng.choice(tokens)
    start = _place(data, rng)
    return data[:start] + token + data[start + (len(token) if rng.random() < 0.5 else 0) :]
