"""Changes to texts of devices, tools and people: numbers, lines, cells, encodings."""

from __future__ import annotations

import re
from random import Random

from fuzz_bytes import Change

NUMBERS = (
    b"NaN", b"nan", b"inf", b"-inf", b"Infinity", b"1e999", b"-1e999", b"1e-999", b"1e308", b"-0", b"0", b"-1", b"1e6",
    b"9" * 5000, b"0." + b"9" * 5000, b"1" + b"0" * 400, b"2147483648", b"4294967295", b"4294967296",
    b"9223372036854775808", b"18446744073709551616", b"65535", b"0x10", b"1_000", b"1,5", b"1.2.3", b"+5", b" ", b"",
    "²".encode(), "٣".encode(), "½".encode(), "५".encode(), "1²".encode(), b"0-4294967295", b"1" * 30,
)  # fmt: skip
"""What may stand where a number is expected. Superscripts and other scripts' digits are digits to ``str.isdigit``."""
WORDS = (
    b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[31m", b"\x1b]0;title\x07", "\u202e".encode(), b"\x85",
    "\u2028".encode(), b"\r", b"\x0c", b"\x1c", b'"', b"'", b"\\", b",", b";", b"\t", b"#", b"{", b"}", b"=", b"|",
    b"@@ ",
    b"[" * 3000, b"(" * 3000, b'{"a":' * 2000, b"A" * 100_000, b"%s%n", b"../../x", b"/", b"..", b"true", b"null",
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?")
_CELL = re.compile(rb"[^\s,;|\t:=]+")


def other_number(data: bytes, rng: Random) -> bytes:
    """One number replaced."""
    return _replaced(data, _NUMBER, rng.choice(NUMBERS), rng)


def other_cell(data: bytes, rng: Random) -> bytes:
    """One word or cell replaced by a number, by a word that means something, or by another cell."""
    cells = _CELL.findall(data[:20_000]) or [b""]
    return _replaced(data, _CELL, rng.choice((rng.choice(NUMBERS), rng.choice(WORDS), rng.choice(cells))), rng)


def _replaced(data: bytes, pattern: re.Pattern[bytes], new: bytes, rng: Random) -> bytes:
    found = list(pattern.finditer(data[:200_000]))
    if not found:
        return data + new
    match = rng.choice(found)
    return data[: match.start()] + new + data[match.end() :]


def word_in(data: bytes, rng: Random) -> bytes:
    """A word inserted anywhere."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice((*WORDS, *NUMBERS)) + data[place:]


def lines(data: bytes, rng: Random) -> bytes:
    """Lines lost, doubled, swapped, joined, or one of them very often."""
    rows = data.split(b"\n")
    at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    match rng.randrange(6):
        case 0:
            del rows[at]
        case 1:
            rows.insert(at, rows[other])
        case 2:
            rows[at], rows[other] = rows[other], rows[at]
        case 3:
            rows[at : at + 2] = [b" ".join(rows[at : at + 2])]
        case 4:
            rows[at:at] = [rows[at]] * rng.choice((50, 1000))
        case _:
            rows.insert(at, b"")
    return b"\n".join(rows)


def encoded(data: bytes, rng: Random) -> bytes:
    """In another encoding, with or without a mark of it, or with other ends of lines."""
    text = data.decode("utf-8", "replace")
    return rng.choice(
        (
            b"\xef\xbb\xbf" + data,
            text.encode("utf-16"),
            text.encode("utf-16-le"),
            text.encode("utf-16-be"),
            b"\xff\xfe" + text.encode("utf-16-be"),
            b"\xff\xfe" + text.encode("utf-16-le")[:-1],
            text.encode("utf-32"),
            text.replace("a", "ä").encode("latin-1", "replace"),
            data.replace(b"\n", b"\r\n"),
            data.replace(b"\n", b"\r"),
            data.replace(b"e", b"\xe9", 1),
        )
    )


CHANGES: tuple[Change, ...] = (other_number, other_number, other_cell, other_cell, word_in, lines, encoded)
