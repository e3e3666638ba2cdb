"""The zip that ``torch.save`` writes, opened so that Python sees in it what torch will see.

Two readers of one zip can find two directories in it: Python moves the directory to where it should be when something
stands before or behind it, torch takes it from where the zip says that it is. What is checked here must be what is read
there.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgevit.errors import CheckpointError, first_line

MOST_INFLATED = 20  # times the file; chosen: weights hardly shrink, and torch stores them as they are
_START = b"PK\x03\x04"
_END = struct.Struct("<4s8xIIH")  # of the directory: its size, where it begins, length of the comment behind
_LOCATOR = struct.Struct("<4s4xQ4x")  # of the end of the directory of a large zip, which stands before it
_LARGE_END = struct.Struct("<4s36xQQ")


def is_zip(file: IO[bytes]) -> bool:
    """Whether torch reads ``file`` as a zip: by how it begins. A zip may also stand behind something else."""
    file.seek(0)
    start = file.read(len(_START))
    file.seek(0)
    return start == _START


def archive_of(file: IO[bytes], path: Path) -> zipfile.ZipFile:
    """The zip in ``file``.

    Raises:
        CheckpointError: Python cannot read it, or would read another directory than torch; or it inflates too far.
    """
    with _in_words(path):
        if not _one_directory(file):
            raise CheckpointError(f"checkpoint {path} is truncated or not a checkpoint: no zip ends where it ends")
        archive = zipfile.ZipFile(file)
    stored, inflated = path.stat().st_size, sum(info.file_size for info in archive.infolist())
    if inflated > MOST_INFLATED * stored + 2**20:
        raise CheckpointError(
            f"checkpoint {path} has {stored:,} bytes and would inflate to {inflated:,}: weights do not shrink so far"
        )
    return archive


def member_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> IO[bytes]:
    """One file of the zip, opened.

    Raises:
        CheckpointError: Python cannot open it.
    """
    with _in_words(path):
        return archive.open(info)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except (CheckpointError, MemoryError, OSError):
        raise
    except Exception as error:  # what zipfile raises is not documented: UnicodeDecodeError, NotImplementedError...
        reason = f"its zip is damaged: {first_line(error)}"
        raise CheckpointError(f"checkpoint {path} is truncated or not a checkpoint: {reason}") from error


def _one_directory(file: IO[bytes]) -> bool:
    """Whether the directory stands where the end of the zip says, nothing between the two and nothing behind them."""
    end = file.seek(0, os.SEEK_END) - _END.size
    if end < 0:
        return False
    mark, size, begins, comment = _END.unpack(_at(file, end, _END.size))
    if mark != b"PK\x05\x06" or comment:
        return False
    mark, large_end = _LOCATOR.unpack(_at(file, end - _LOCATOR.size, _LOCATOR.size))
    if mark == b"PK\x06\x07":
        end -= _LOCATOR.size + _LARGE_END.size
        if large_end != end:
            return False
        mark, size, begins = _LARGE_END.unpack(_at(file, end, _LARGE_END.size))
        if mark != b"PK\x06\x06":
            return False
    return bool(begins + size == end)


def _at(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(max(0, place))
    return file.read(count)
