"""The one reader of ``.npz`` files: arrays of plain numbers and text, whose sizes are known before memory is taken.

``np.load`` takes what a header asks for, evaluates the header's text, and unpacks what a member holds to its end. Here
a member must hold exactly the bytes of the array that it declares, no archive unpacks to far more than it has, and a
header is read by a pattern.
"""

from __future__ import annotations

import math
import re
import zlib
from io import BytesIO
from pathlib import Path
from typing import IO, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ArtifactError, EdgevitExportError, first_line
from edgevit.text import printable, read_bytes

Array = NDArray[np.generic]

NPZ_BYTES = 2**30  # chosen: no golden set and no trace is near it, and every computer that measures holds it
SMALL_BYTES = 2**26  # chosen: 64 MiB fit everywhere
MAX_INFLATION = 100  # chosen: noise does not pack; a trace with a constant voltage and no flags unpacks to some 3 times
DEFLATE_MOST = 1032  # bytes that deflate can make of one (RFC 1951: 258 for two bits)
LONGEST_EMPTY = 2**16  # chosen: an array without elements takes no bytes, however long its other axes are
MOST_MEMBERS = 4096  # chosen: a golden set has some 20, a plain one two for each sample
MOST_AXES = 32  # numpy's own limit before version 2
MOST_HEADER_BYTES = 4096  # chosen: numpy writes 118, and with 32 long axes 700

_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([^']{1,16})',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d, ]*)\),?\s*\}\s*"
)
_SIZES = re.compile(r"(?:\d{1,18}(?:, *|$))*", re.ASCII)
_DTYPE = re.compile(r"\|b1|[|<>=](?:[iu]1|[iu][248]|f[248]|U[1-9]\d{0,6})", re.ASCII)
_INDEXED = re.compile(r"(0|[1-9]\d{0,6})/(.+)", re.ASCII | re.DOTALL)
_DAMAGED = (BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, OverflowError, LookupError)
_ENTRY = b"PK\x01\x02"  # begins a member in the archive's directory
_END, _END_BYTES = b"PK\x05\x06", 22  # begins the archive's last record; its length without a comment
_ENCRYPTED, _PATCHED, _STRONG = 0x1, 0x20, 0x40  # flags of a member
_HIGHEST, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)  # of Unicode


def read_arrays(path: Path, *, what: str, failure: type[EdgevitExportError] = ArtifactError) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, by key.

    Args:
        path: The file.
        what: What it is to the user, for messages, e.g. ``golden set``.
        failure: The class of the error.

    Raises:
        EdgevitExportError: As ``failure``; see ``parse_arrays``, or the file cannot be read.
    """
    data = read_bytes(path, what=what, limit_bytes=NPZ_BYTES, failure=failure)
    return parse_arrays(data, origin=f"{printable(str(path))} is not a readable {what}", failure=failure)


def parse_arrays(
    data: bytes, *, origin: str, limit_bytes: int | None = None, failure: type[EdgevitExportError] = ArtifactError
) -> dict[str, Array]:
    """The arrays of an ``.npz`` in memory, by key.

    Args:
        data: The archive.
        origin: Begins messages, e.g. ``g.npz is not a readable golden set``.
        limit_bytes: What it may unpack to; None for ``MAX_INFLATION`` times its size, or ``SMALL_BYTES``.
        failure: The class of the error.

    Raises:
        EdgevitExportError: As ``failure``: no archive of arrays, a damaged one, one that unpacks to more than it may,
            or arrays of anything but numbers, bools and text.
    """
    limit_bytes = max(SMALL_BYTES, MAX_INFLATION * len(data)) if limit_bytes is None else limit_bytes
    arrays: dict[str, Array] = {}
    try:
        if (count := data.count(_ENTRY)) > MOST_MEMBERS:
            raise ValueError(f"it lists {count:,} members, expected {MOST_MEMBERS:,} at most")
        with ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > limit_bytes:
                raise ValueError(f"its {len(data):,} bytes would unpack to {unpacked:,}, more than {limit_bytes:,}")
            if (before := min((member.header_offset for member in members), default=0)) > 0:
                raise ValueError(f"{before:,} bytes stand before its first member, expected none")
            if data[-_END_BYTES : -_END_BYTES + 4] != _END:
                raise ValueError("bytes stand behind the archive's end, expected none")
            for member in members:
                key, name = member.filename.removesuffix(".npy"), f"member '{member.filename[:80]}'"
                if key == member.filename or key in arrays:
                    raise ValueError(f"{name} {'stands twice' if key in arrays else 'is no .npy'}")
                arrays[key] = _member(archive, member, name)
    except _DAMAGED as error:
        raise failure(f"{origin}: {printable(first_line(error))}") from error
    return arrays


def indexed(key: str) -> tuple[int, str] | None:
    """The sample and the tensor that a key ``INDEX/NAME`` names; None for another key."""
    found = _INDEXED.fullmatch(key)
    return (int(found[1]), found[2]) if found else None


def _member(archive: ZipFile, member: ZipInfo, name: str) -> Array:
    """One array; ValueError and what zipfile raises for what is none."""
    if member.flag_bits & (_ENCRYPTED | _PATCHED | _STRONG):
        raise ValueError(f"{name} is encrypted or a patch")
    most = {ZIP_STORED: member.compress_size, ZIP_DEFLATED: DEFLATE_MOST * (member.compress_size + 1)}
    if member.compress_type not in most:
        raise ValueError(f"{name} is packed by method {member.compress_type}, expected none or deflate")
    if member.file_size > most[member.compress_type]:
        raise ValueError(f"{name} has {member.compress_size:,} bytes, which cannot unpack to {member.file_size:,}")
    with archive.open(member) as file:
        dtype, shape, order, size = _header(file, name)
        bytes_left = member.file_size - file.tell()
        if size != bytes_left:
            raise ValueError(f"{name} declares {dtype} {shape} of {size:,} bytes, but holds {bytes_left:,}")
        data = file.read(size)
    if len(data) != size:
        raise ValueError(f"{name} ends after {len(data):,} of {size:,} bytes")
    array = np.frombuffer(data, dtype)
    _check_values(array, name)
    native: Array = array.astype(dtype.newbyteorder("="))  # a copy, so that it can be written to
    return native.reshape(shape, order=order)


def _header(file: IO[bytes], name: str) -> tuple[np.dtype[np.generic], tuple[int, ...], Literal["C", "F"], int]:
    """What an array's header declares: type, shape, order (``C`` or ``F``), and the bytes of its elements."""
    magic = file.read(8)
    length_bytes = {b"\x93NUMPY\x01\0": 2, b"\x93NUMPY\x02\0": 4, b"\x93NUMPY\x03\0": 4}.get(magic)
    if length_bytes is None:
        raise ValueError(f"{name} does not begin as an array of numpy")
    length = int.from_bytes(file.read(length_bytes), "little")
    if length > MOST_HEADER_BYTES:
        raise ValueError(f"{name} has a header of {length:,} bytes, expected {MOST_HEADER_BYTES:,} at most")
    found = _HEADER.fullmatch(file.read(length))
    if found is None:
        raise ValueError(f"{name} has a header that is not numpy's")
    described, fortran, sizes = (part.decode("latin-1") for part in found.groups())
    if not _DTYPE.fullmatch(described):
        raise ValueError(f"{name} holds elements of type '{described}', expected numbers, bools or text")
    if not _SIZES.fullmatch(sizes):
        raise ValueError(f"{name} has the shape ({sizes[:80]})")
    shape = tuple(int(size) for size in re.findall(r"\d+", sizes))
    dtype = np.dtype(described)
    if len(shape) > MOST_AXES or (0 in shape and max(shape) > LONGEST_EMPTY):
        raise ValueError(f"{name} has the shape ({sizes[:80]})")
    return dtype, shape, "F" if fortran == "True" else "C", math.prod(shape) * dtype.itemsize


def _check_values(flat: Array, name: str) -> None:
    """Refuse what numpy would only stumble over when it is used; ``flat`` is (n,)."""
    if flat.dtype.kind == "b" and np.any(flat.view(np.uint8) > 1):
        raise ValueError(f"{name} holds bools that are neither true nor false")
    if flat.dtype.kind == "U":
        codes = flat.view(np.dtype(np.uint32).newbyteorder(flat.dtype.byteorder))
        first, last = _SURROGATES
        if np.any((codes > _HIGHEST) | ((codes >= first) & (codes <= last))):
            raise ValueError(f"{name} holds text that is no Unicode")
