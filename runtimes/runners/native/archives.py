"""Wheels, AARs and directories as one thing: names of members, and members taken out one by one, safely.

A member's path only says which member it is: nothing is ever written to it. Sizes are held against limits before and
while something is inflated, since archives may be hostile.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from edgevit.errors import ArtifactError, UsageError, first_line
from edgevit.records import unwritable
from edgevit.text import decode, open_regular, printable

MOST_MEMBERS = 100_000  # chosen: torch's wheel has 14,000, a large site-packages of its libraries far fewer
MOST_MEMBER_BYTES = 2**31  # chosen: libtorch_cpu has 434 MB
MOST_TEXT_BYTES = 2**20  # chosen: a wheel's metadata have some kB
MOST_INFLATED = 200  # times; chosen: libraries shrink to a third, deflate reaches 1,032 on zeros
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # all that wheels and AARs use; others may take any memory
_CHUNK_BYTES = 1 << 20


class Archive(Protocol):
    """What libraries are taken from."""

    @property
    def path(self) -> Path:
        """The file or directory."""
        ...

    @property
    def members(self) -> tuple[str, ...]:
        """Paths inside, with ``/`` between their parts."""
        ...

    def extract(self, member: str, target: Path) -> None:
        """Write one member to a file of the caller's choice."""
        ...

    def text(self, member: str) -> str:
        """A small member that is a text."""
        ...


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """A wheel, an AAR, or a directory that holds what is in one.

    Raises:
        UsageError: It is none of them, or is not there.
        ArtifactError: It is damaged, or too large to be one.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise UsageError(f"{path} does not exist: expected a wheel (.whl), an AAR (.aar) or a directory")
    if path.suffix.lower() not in (".whl", ".aar", ".zip"):
        raise UsageError(f"{path} is no wheel (.whl), no AAR (.aar) and no directory, by its name")
    with open_regular(path, what="archive") as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # what zipfile raises is not documented: UnicodeDecodeError, NotImplementedError...
            raise _damaged(path, error) from error
        with archive:
            yield _Zip(path, archive)


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        infos = [info for info in archive.infolist() if info.filename and not info.filename.endswith("/")]
        if len(infos) > MOST_MEMBERS:
            raise ArtifactError(f"{path} has {len(infos):,} members, expected at most {MOST_MEMBERS:,}")
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) < len(infos):
            raise ArtifactError(f"{path} has two members of one name")
        self.members = tuple(self._infos)

    def extract(self, member: str, target: Path) -> None:
        _write(target, self._chunks(self._checked(member, MOST_MEMBER_BYTES)))

    def text(self, member: str) -> str:
        info = self._checked(member, MOST_TEXT_BYTES)
        return decode(b"".join(self._chunks(info)), origin=self._named(member))

    def _chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """What a member inflates to, never more of it at once than is asked for."""
        try:
            with self._archive.open(info) as source:
                while chunk := source.read(_CHUNK_BYTES):
                    yield chunk
        except (ArtifactError, MemoryError, OSError):
            raise
        except Exception as error:  # as above, and zlib's
            raise _damaged(self.path, error) from error

    def _checked(self, member: str, most: int) -> zipfile.ZipInfo:
        info = self._infos[member]
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ArtifactError(f"{self._named(member)} is a link, expected a file")
        if info.compress_type not in _METHODS:
            raise ArtifactError(f"{self._named(member)} is packed by method {info.compress_type}, expected deflate")
        if info.file_size > most or info.file_size > MOST_INFLATED * info.compress_size + 2**16:
            raise ArtifactError(
                f"{self._named(member)} would inflate from {info.compress_size:,} to {info.file_size:,} bytes"
            )
        return info

    def _named(self, member: str) -> str:
        return f"'{printable(member)}' in {self.path}"


class _Folder:
    """Only libraries and metadata are listed: a whole Python may be around them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found: list[str] = []
        for folder, _, names in os.walk(path):
            inside = Path(folder).relative_to(path)
            found += [(inside / name).as_posix() for name in names if ".so" in name or name == "METADATA"]
            if len(found) > MOST_MEMBERS:
                raise UsageError(
                    f"{path} holds more than {MOST_MEMBERS:,} libraries: name the directory of one package"
                )
        self.members = tuple(sorted(found))

    def extract(self, member: str, target: Path) -> None:
        with open_regular(self.path / member, what="library") as source:
            _write(target, iter(partial(source.read, _CHUNK_BYTES), b""))

    def text(self, member: str) -> str:
        with open_regular(self.path / member, what="metadata") as file:
            return decode(file.read(MOST_TEXT_BYTES), origin=str(self.path / member))


def _write(target: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file; what the disk refuses is no fault of the archive, which is open meanwhile."""
    try:
        with target.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        raise unwritable(target, error) from error


def _damaged(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"{path} is truncated or no zip: {printable(first_line(error))}", hint="get it anew")
