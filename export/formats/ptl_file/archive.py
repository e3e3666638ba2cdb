"""The zip archive of a ``.ptl`` file: records that every reader finds alike, together no larger than the file.

What is read here decides whether torch may load the file, so torch must not read anything else in it: its reader finds
records without regard to case, takes the first of two of one name, and prefers a FlatBuffer in front of the archive. A
file in which two readers could differ is refused. Records are stored as they are; only what the lite interpreter does
not run (source text and debug tables below ``code/``) may be packed.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from edgevit.errors import ArtifactError, first_line

_FLATBUFFER_MAGIC, _FLATBUFFER_MAGIC_AT = b"PTMF", 4  # torch/csrc/jit/serialization/flatbuffer_serializer.h
_END, _END_BYTES = b"PK\x05\x06", 22
_END64, _END64_BYTES, _LOCATOR, _LOCATOR_BYTES = b"PK\x06\x06", 56, b"PK\x06\x07", 20
_FLAGS = 0x808  # names are UTF-8, sizes are repeated behind the data: as miniz writes. Another one, such as
# encryption, means bytes that are not what they seem.
_LOCAL_HEADER_BYTES = 30
_CODE = "code/"
_MOST_RECORDS = 100_000  # chosen: a record is a tensor or a source file; large networks have thousands
_MOST_KEPT_BYTES = 16 << 20  # chosen: pickles and texts of EdgeViT-XXS have 0.04 MB together
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Records:
    """``sizes`` has the bytes of every record by its name without the folder that all lie in; ``kept`` has contents."""

    sizes: dict[str, int]
    kept: dict[str, bytes]


def read_records(path: Path, keep: Callable[[str], bool]) -> Records:
    """The records of the archive at ``path``, every checksum checked, with the contents of those to ``keep``.

    Raises:
        ArtifactError: It is damaged, two readers could find different records in it, or what to keep is too much.
    """
    with _translated(path), path.open("rb") as file:
        _require_plain_end(file)
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if problem := _problem(file, infos):
                raise ArtifactError(f"{path} can be read in more than one way, and so is not read at all: {problem}")
            names = {info.filename.partition("/")[2]: info for info in infos}
            kept_bytes = sum(info.file_size for name, info in names.items() if keep(name))
            if kept_bytes > _MOST_KEPT_BYTES:
                raise ArtifactError(
                    f"{path}: its pickles and texts claim {kept_bytes} bytes, {_MOST_KEPT_BYTES} at most"
                )
            kept = {
                name: data
                for name, info in names.items()
                if (data := _read(archive, name, info, keep(name))) is not None
            }
    return Records({name: info.file_size for name, info in names.items()}, kept)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what zipfile raises on damaged bytes into our error."""
    try:
        yield
    except ArtifactError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, ValueError, OSError, EOFError,
        OverflowError, LookupError,
    ) as error:  # fmt: skip
        raise ArtifactError(f"cannot read {path} as TorchScript lite: {first_line(error)}") from error


def _require_plain_end(file: IO[bytes]) -> None:
    """The directory's end stands at the file's end, and the long form of it before it says the same.

    Raises:
        ArtifactError, ValueError: It does not.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _LOCATOR_BYTES - _END64_BYTES))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if size < _END_BYTES or not end.startswith(_END) or end[20:] != b"\0\0":
        raise ValueError("it does not end as an archive without a comment does: it is cut off, or another file")
    count, directory_bytes, start = struct.unpack_from("<HII", end, 10)
    if tail[-_END_BYTES - _LOCATOR_BYTES :].startswith(_LOCATOR):
        (place,) = struct.unpack_from("<Q", tail, len(tail) - _END_BYTES - _LOCATOR_BYTES + 8)
        long_end = tail[:_END64_BYTES]
        if place != size - len(tail) or not long_end.startswith(_END64):
            raise ValueError("the long form of its directory's end is elsewhere than before it")
        longs = struct.unpack_from("<QQQ", long_end, 32)
        if any(
            short not in (most, long)
            for short, long, most in zip((count, directory_bytes, start), longs, _FULL, strict=True)
        ):
            raise ValueError("the two forms of its directory's end differ")
        count = longs[0]
    if count > _MOST_RECORDS:
        raise ValueError(f"it claims {count} records, {_MOST_RECORDS} at most")


_FULL = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)  # "see the long form"


def _problem(file: IO[bytes], infos: list[zipfile.ZipInfo]) -> str | None:
    """Why another reader may find other records than this one; None if it cannot."""
    file.seek(0)
    head = file.read(_FLATBUFFER_MAGIC_AT + len(_FLATBUFFER_MAGIC))
    names = [info.filename for info in infos]
    ordered = sorted(infos, key=lambda info: info.header_offset)
    reasons = {
        "it has no records": not infos,
        "it does not begin with the archive": not head.startswith(b"PK\x03\x04")
        or bool(ordered and ordered[0].header_offset),
        "it begins like a FlatBuffer": head.endswith(_FLATBUFFER_MAGIC),
        "two of its records have one name": len({name.casefold() for name in names}) != len(names),
        "its records lie in several folders": len({name.partition("/")[0].casefold() for name in names}) > 1,
        "a record's name ends at a zero byte or at nothing": any(
            info.filename != info.orig_filename or not info.filename.partition("/")[2] for info in infos
        ),
        "two of its records overlap": any(
            first.header_offset + _LOCAL_HEADER_BYTES + first.compress_size > second.header_offset
            for first, second in pairwise(ordered)
        ),
        "a record is encrypted or marked in a way that torch does not write": any(
            info.flag_bits & ~_FLAGS for info in infos
        ),
        "a record is packed": any(_packed(info) for info in infos),
        "a record's own header differs from the directory": any(_told_twice_otherwise(file, info) for info in infos),
    }
    return "; ".join(reason for reason, holds in reasons.items() if holds) or None


def _told_twice_otherwise(file: IO[bytes], info: zipfile.ZipInfo) -> bool:
    """Whether the header in front of a record has another kind of packing or other marks than the directory."""
    file.seek(info.header_offset)
    flags, method = struct.unpack_from("<HH", file.read(_LOCAL_HEADER_BYTES), 6)
    return bool((flags, method) != (info.flag_bits, info.compress_type))


def _packed(info: zipfile.ZipInfo) -> bool:
    """Whether a record is not stored as it is, where it must be."""
    if info.compress_type == zipfile.ZIP_STORED:
        return info.compress_size != info.file_size
    in_code = info.filename.partition("/")[2].startswith(_CODE)
    return info.compress_type != zipfile.ZIP_DEFLATED or not in_code


def _read(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, keep: bool) -> bytes | None:
    """A record's bytes where they are to be kept; the checksum of any that the interpreter may read is checked."""
    if not keep and info.compress_type != zipfile.ZIP_STORED:
        return None  # source text, which the interpreter does not look at
    kept, left = bytearray(), info.file_size
    with archive.open(info) as record:
        while chunk := record.read(min(_CHUNK_BYTES, left + 1)):
            left -= len(chunk)
            if keep:
                kept += chunk
    if left:
        raise ValueError(f"its record {name} has another size than its directory says")
    return bytes(kept) if keep else None
