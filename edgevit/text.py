"""The one way from files to text: bytes of regular files, their encoding, JSON and TOML, and text fit for a terminal.

Needs the standard library alone, since it travels to devices with the runner.
"""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgevit.errors import ArtifactError, EdgevitExportError

TEXT_BYTES = 64 * 2**20  # as JSON of small numbers 64 MiB become some 1 GiB of objects, and no record is near it
TOML_BYTES = 2**20  # a person writes them, and tomllib may take the square of a line's length
MAX_DEPTH = 64  # chosen: our own records nest 8 deep
_SAMPLE_BYTES = 4096
_CHUNK_BYTES = 1 << 16
_INTEGERS = range(-(2**63), 2**64)
_BOMS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SURROGATES = re.compile("[\ud800-\udfff]+")
_Failure = type[EdgevitExportError]


def read_bytes(path: Path, *, what: str, limit_bytes: int = TEXT_BYTES, failure: _Failure = ArtifactError) -> bytes:
    """All bytes of a regular file; a pipe or a device, which may never end, is not waited for.

    Args:
        path: The file, or a link to it.
        what: What it is to the user, for messages, e.g. ``labels``.
        limit_bytes: The largest size; it is checked before any byte is read.
        failure: The class of the error.

    Raises:
        EdgevitExportError: As ``failure``: unreadable, no regular file, or too large.
    """
    with open_regular(path, what=what, failure=failure) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit_bytes:
            raise failure(f"{_named(what, path)} has {size:,} bytes, expected at most {limit_bytes:,}")
        data = file.read(size + 1)  # not the limit: as much memory is taken as is asked for
        while len(data) <= limit_bytes and (more := file.read(_CHUNK_BYTES)):  # or /proc, without sizes
            data += more
    if len(data) > limit_bytes:
        raise failure(f"{_named(what, path)} grew beyond {limit_bytes:,} bytes while it was read")
    return data


@contextmanager
def open_regular(path: Path, *, what: str, failure: _Failure = ArtifactError) -> Iterator[BinaryIO]:
    """A regular file, opened to be read; a pipe or a device is refused without waiting for it.

    Raises:
        EdgevitExportError: As ``failure``: it cannot be opened or read, or is no regular file.
    """
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = next((kind for holds, kind in _KINDS if holds(mode)), "no file")
            raise failure(f"cannot read {_named(what, path)}: it is {kind}, expected a file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    except OSError as error:
        raise failure(f"cannot read {_named(what, path)}: {error.strerror or error}") from error
    except ValueError as error:
        if "\0" not in str(path):
            raise
        raise failure(f"cannot read {_named(what, path)}: its name holds a NUL") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _named(what: str, path: Path) -> str:
    return f"{what} {printable(str(path))}"


def encoding_of(data: bytes) -> tuple[str, int]:
    """The encoding that ``data`` begins in, and the length of its byte order mark.

    UTF-16 without a mark shows by the zeros beside its ASCII; what shows nothing is UTF-8.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding, len(mark)
    head = data[:_SAMPLE_BYTES]
    even, odd = head[::2].count(0), head[1::2].count(0)
    # chosen: at least half of it ASCII, and next to no other characters whose other byte is zero
    if not head or 4 * max(even, odd) < len(head) or 8 * min(even, odd) > max(even, odd):
        return "utf-8", 0
    return ("utf-16-be" if even > odd else "utf-16-le"), 0


def decode(data: bytes, *, origin: str, failure: _Failure = ArtifactError) -> str:
    """Text in UTF-8 with or without a byte order mark, UTF-16 with or without, or UTF-32 with one.

    Args:
        data: The bytes of the whole text.
        origin: Where they are from, for messages, e.g. ``labels names.txt``.
        failure: The class of the error.

    Raises:
        EdgevitExportError: As ``failure``: bytes that are no text in that encoding (with byte and line), or NUL.
    """
    encoding, start = encoding_of(data)
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as error:
        at = start + error.start
        raise failure(
            f"{printable(origin)} is no {encoding.upper()} text: byte {at + 1} (line {_line(data, at, encoding)}) "
            f"is 0x{data[at]:02x}, {error.reason}",
            hint="save it as UTF-8",
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise failure(f"{printable(origin)} is no text: line {line} holds a NUL character")
    return text


def _line(data: bytes, at: int, encoding: str) -> int:
    """The line of byte ``at``, which is the first that does not decode; lines may end in CR alone."""
    before = data[:at].decode(encoding, "ignore")
    return len(re.findall("\r\n|\r|\n", before)) + 1


def parse_json(data: bytes | str, *, origin: str, failure: _Failure = ArtifactError) -> object:
    """The value of a JSON text, read strictly.

    Raises:
        EdgevitExportError: As ``failure``: no JSON, a key twice, NaN or Infinity, numbers beyond 64 bits or float64,
            lone surrogates, or nested deeper than ``MAX_DEPTH``.
    """
    text = decode(data, origin=origin, failure=failure) if isinstance(data, bytes) else data
    return _parsed(text, "JSON", _load_json, origin, failure)


def parse_toml(data: bytes | str, *, origin: str, failure: _Failure = ArtifactError) -> dict[str, object]:
    """The table of a TOML text; ``inf`` and ``nan`` are numbers there.

    Raises:
        EdgevitExportError: As ``failure``: no TOML, larger than ``TOML_BYTES``, or what ``parse_json`` refuses as well.
    """
    if len(data) > TOML_BYTES:
        raise failure(f"{printable(origin)} has {len(data):,} bytes, expected at most {TOML_BYTES:,} of TOML")
    text = decode(data, origin=origin, failure=failure) if isinstance(data, bytes) else data
    table = _parsed(text, "TOML", _load_toml, origin, failure)
    assert isinstance(table, dict), "a TOML text is a table"
    return table


def _parsed(text: str, kind: str, load: Callable[[str], object], origin: str, failure: _Failure) -> object:
    """What ``load`` makes of a text, when all of it can be kept and shown."""
    try:
        value = load(text)
        _check(value)
    except RecursionError as error:
        raise failure(f"{printable(origin)} is not valid {kind}: nested too deep") from error
    except ValueError as error:
        raise failure(f"{printable(origin)} is not valid {kind}: {printable(str(error))}") from error
    return value


def require_unique_keys(text: str) -> None:
    """Refuse a JSON text in which a key stands twice; for readers that let the last one win.

    Raises:
        ValueError: The first such key, or no JSON.
    """
    json.loads(text, object_pairs_hook=_unique)


def _load_json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)


def _load_toml(text: str) -> object:
    if any(part.count(".") > MAX_DEPTH for part in re.split(r"[=,{}\r\n]", text)):
        raise ValueError(f"a key of more than {MAX_DEPTH} parts")  # tomllib takes the square of their number
    return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A table of keys that each stand once."""
    table = dict(pairs)
    if len(table) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key '{name}' stands twice")
    return table


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _finite(word: str) -> float:
    if not math.isfinite(value := float(word)):
        raise ValueError(f"{word[:80]} is larger than float64 holds")
    return value


def _check(value: object) -> None:
    """Raise ValueError for what cannot be kept, shown or counted with; not by recursion, whose depth is the text's."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            else:
                _check_plain(item)
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {MAX_DEPTH}")


def _check_plain(value: object) -> None:
    if isinstance(value, str) and not value.isascii() and _SURROGATES.search(value):
        raise ValueError(f"'{value[:80]}' holds half of a character (a lone surrogate)")
    if isinstance(value, int) and value not in _INTEGERS:
        raise ValueError("an integer has more than 64 bits")


def printable(text: str) -> str:
    r"""``text`` with everything that is not seen as itself as an escape: ``\x1b``, ``\n``, ``\u202e``.

    Control, format and direction marks cannot steer a terminal then, and a byte of a file name that is no UTF-8
    (a surrogate in Python) is shown as that byte: ``mod\xe8le``.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def encodable(text: str) -> str:
    """``text`` as UTF-8 can hold it: a name's bytes that are none stand in it as ``printable`` shows them."""
    return _SURROGATES.sub(lambda found: printable(found[0]), text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return "\\" + (char.encode("unicode_escape").decode()[1:] if code == ord(char) else f"x{code:02x}")
