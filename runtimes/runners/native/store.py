"""Built programs and fetched libraries in the user's cache: one of each for an ABI, checked whenever it is read.

    <runners>/<abi>/programs/<name>/record.json       what it was made of, and the SHA-256 of each file
                                   <key>/<file>       the files; the key is made of their hashes
    <runners>/<abi>/libraries/<runtime>/...           the same

A new one is put beside the old one, whose place the record then takes in one move; so what is interrupted leaves the
old one as it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from edgevit.errors import ArtifactError, FailureError, ImpossibleError, UsageError
from edgevit.names import why_not_beside
from edgevit.records import Record, require_within, sha256_file, unwritable
from edgevit.shell import command_line
from edgevit.temporary import exclusive, remove_abandoned, temporary_directory, to_disk
from runtimes.runners.native.abis import Abi
from runtimes.runners.native.runtimes_table import GLIBC

RECORD_FILE = "record.json"
MOST_FILE_BYTES = 2**32  # chosen: libtorch_cpu has 434 MB
MOST_FILES = 64  # chosen: glibc with its loader has eight
_ELSEWHERE = "set EDGEVIT_RUNNERS to a directory that you may write to"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class StoredFile(Record):
    """One file of an entry, by its name there."""

    name: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        """Refuse names that lead elsewhere, and what is no hash."""
        if problem := why_not_beside(self.name):
            raise ImpossibleError(f"the file name {self.name[:80]!r}: {problem}")
        _require_sha256(self.sha256)
        require_within(0, MOST_FILE_BYTES, size_bytes=self.size_bytes)


class LinkedLibrary(Record):
    """The runtime's library that a program was linked with, and cannot run without."""

    runtime: str
    version: str
    sha256: str

    def __post_init__(self) -> None:
        """Refuse what is no hash."""
        _require_sha256(self.sha256)


class StoredProgram(Record):
    """A native runner for one ABI.

    Attributes:
        name: Of the program: ``edgevit-runner``.
        abi: Row of ``ABIS``.
        file: The one file.
        source_sha256: SHA-256 over all C++ sources, as ``build.source_sha256`` makes it.
        request_version: Version of the request that it reads.
        compiler: Its own words: name and version.
        linked: What it was linked with; None where it loads the library when it runs.
        needs_glibc: Highest version of glibc's symbols that it needs; None for Android.
    """

    schema_version: Literal[1] = 1
    name: str
    abi: str
    file: StoredFile
    source_sha256: str
    request_version: int
    compiler: str
    linked: LinkedLibrary | None = None
    needs_glibc: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no hash."""
        _require_sha256(self.source_sha256)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All of them."""
        return (self.file,)


class StoredLibrary(Record):
    """A runtime's library for one ABI, and what it needs beside it.

    Attributes:
        runtime: ``onnxruntime``, ``litert``, ``executorch``, ``torch``, or ``glibc``.
        version: Of the runtime.
        abi: Row of ``ABIS``.
        files: The main file first.
        origin: File name of the wheel or AAR, or of the directory, that they are from.
        needs_glibc: Highest version of glibc's symbols that they need; None for Android.
    """

    schema_version: Literal[1] = 1
    runtime: str
    version: str
    abi: str
    files: tuple[StoredFile, ...]
    origin: str
    needs_glibc: str | None = None

    def __post_init__(self) -> None:
        """Refuse a library without a file, or with two of a name."""
        names = [file.name for file in self.files]
        if not 0 < len(names) <= MOST_FILES or len(set(names)) < len(names):
            raise ImpossibleError(f"a library of {len(names)} files, expected 1 to {MOST_FILES} of different names")

    @property
    def name(self) -> str:
        """The runtime."""
        return self.runtime

    @property
    def main(self) -> StoredFile:
        """The file that is loaded or linked with."""
        return self.files[0]


class _Entry(Protocol):
    """What both records have."""

    @property
    def name(self) -> str: ...
    @property
    def abi(self) -> str: ...
    @property
    def files(self) -> tuple[StoredFile, ...]: ...


RecordT = TypeVar("RecordT", StoredProgram, StoredLibrary)


@dataclass(frozen=True)
class Found(Generic[RecordT]):
    """An entry whose files were checked, and the directory that they are in."""

    record: RecordT
    directory: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, the main one first."""
        return tuple(self.directory / file.name for file in self.record.files)

    @property
    def main(self) -> Path:
        """The program, or the file that is loaded or linked with."""
        return self.paths[0]


def store_home() -> Path:
    """The directory of all ABIs: ``$EDGEVIT_RUNNERS``, else below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Raises:
        UsageError: There is none of them.
    """
    if named := os.environ.get("EDGEVIT_RUNNERS"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "edgevit-export" / "runners"
    try:
        return Path.home() / ".cache" / "edgevit-export" / "runners"
    except RuntimeError as error:  # a user without a name, as in many containers, and no HOME
        raise UsageError(f"no place for native runners: {error}", hint=_ELSEWHERE) from error


def find_program(abi: Abi, name: str, *, glance: bool = False) -> Found[StoredProgram] | None:
    """The built program of that name; None where none was built.

    Args:
        abi: Of the device.
        name: Of the program.
        glance: Believe a file of the right size that was not written after its record; else its hash is checked.

    Raises:
        ArtifactError: Its record or its file is damaged; the hint is the command that builds it anew.
    """
    return _find(StoredProgram, abi, "programs", name, build_command(abi), glance=glance)


def find_library(abi: Abi, runtime: str, format: str, *, glance: bool = False) -> Found[StoredLibrary] | None:
    """The fetched library of a runtime; None where none was fetched.

    Args:
        abi: Of the device.
        runtime: The runtime.
        format: One that it runs, or the name of glibc, for the command in the hint.
        glance: As of ``find_program``.

    Raises:
        ArtifactError: Its record or one of its files is damaged; the hint is the command that fetches it anew.
    """
    return _find(StoredLibrary, abi, "libraries", runtime, fetch_command(abi, format), glance=glance)


def fetch_command(abi: Abi, format: str) -> str:
    """The command that brings the library for a format, or glibc."""
    what = ("--glibc",) if format == GLIBC else ("--format", format)
    return command_line("edgevit-export", "runner", "fetch", "--abi", abi.name, *what)


def build_command(abi: Abi) -> str:
    """The command that builds the programs for an ABI."""
    return command_line("edgevit-export", "runner", "build", "--abi", abi.name)


def stored_names(abi: Abi, kind: Literal["programs", "libraries"]) -> list[str]:
    """Names of what has a record there, damaged or not.

    Raises:
        UsageError: The store cannot be read.
    """
    home = store_home() / abi.name / kind
    try:
        names = [path.name for path in home.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read {home}: {error.strerror}", hint=_ELSEWHERE) from error
    return sorted(name for name in names if _is_there(home / name / RECORD_FILE))


def _is_there(path: Path) -> bool:
    """Whether there is a record, or something that cannot be looked at, which reading it tells."""
    try:
        path.lstat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def keep_program(record: StoredProgram, file: Path) -> Found[StoredProgram]:
    """Put a built program in the place of the one that was there.

    Raises:
        UsageError, FailureError: The cache cannot be written.
        ArtifactError: The file is not as the record says.
    """
    return _keep(record, "programs", (file,))


def keep_library(record: StoredLibrary, files: Sequence[Path]) -> Found[StoredLibrary]:
    """Put a fetched library in the place of the one that was there; ``files`` in the order of the record's.

    Raises:
        UsageError, FailureError: The cache cannot be written.
        ArtifactError: A file is not as the record says.
    """
    return _keep(record, "libraries", files)


def stored_file(path: Path) -> StoredFile:
    """What a record says of a file that is to be kept under its name."""
    return StoredFile(name=path.name, sha256=sha256_file(path), size_bytes=path.stat().st_size)


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty directory on the file system of the store, gone afterwards; what processes left that died goes as well.

    Raises:
        UsageError, FailureError: It cannot be made, or the block cannot write there.
    """
    home = store_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        remove_abandoned(home)
        with temporary_directory(home) as room:
            yield room
    except OSError as error:
        raise _not_kept(home, error) from error


def _not_kept(home: Path, error: OSError) -> UsageError | FailureError:
    """As ``unwritable``, with the way to another place: no word of the command line names this one."""
    told = unwritable(home, error)
    told.hint = told.hint or _ELSEWHERE
    return told


def _require_sha256(text: str) -> None:
    if not _SHA256.fullmatch(text):
        raise ImpossibleError(f"the SHA-256 {text[:80]!r}, expected 64 hexadecimal digits")


def _key(record: _Entry) -> str:
    """The name of the directory of an entry's files; other files, another name."""
    told = "".join(f"{file.name}\0{file.sha256}\0" for file in record.files)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _find(kind: type[RecordT], abi: Abi, folder: str, name: str, mend: str, *, glance: bool) -> Found[RecordT] | None:
    home = store_home() / abi.name / folder / name
    path = home / RECORD_FILE
    if not _is_there(path):
        return None
    try:
        record = kind.load(path)
        if (record.name, record.abi) != (name, abi.name):
            raise ArtifactError(f"{path} is the record of {record.name} for {record.abi}")
        found = Found(record, home / _key(record))
        for file, stored in zip(found.paths, record.files, strict=True):
            _require_intact(file, stored, path if glance else None)
    except ArtifactError as error:
        raise ArtifactError(error.message, hint=mend) from error
    return found


def _require_intact(path: Path, stored: StoredFile, witness: Path | None = None) -> None:
    """Refuse a file that is not the one that was kept; sizes are enough where it is no newer than ``witness``."""
    try:
        seen = path.stat()
        if seen.st_size != stored.size_bytes:
            raise ArtifactError(f"{path} has {seen.st_size:,} bytes, its record says {stored.size_bytes:,}")
        if witness is not None and seen.st_mtime_ns <= witness.stat().st_mtime_ns:
            return
        if (sha256 := sha256_file(path)) != stored.sha256:
            raise ArtifactError(
                f"{path} is damaged: its SHA-256 is {sha256[:16]}, its record says {stored.sha256[:16]}"
            )
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error


def _keep(record: RecordT, folder: str, files: Sequence[Path]) -> Found[RecordT]:
    home = store_home() / record.abi / folder / record.name
    found = Found(record, home / _key(record))
    try:
        home.mkdir(parents=True, exist_ok=True)
        with exclusive(home / "lock"):
            if not _is_intact(found):
                _place(found, files)
            record.save(home / RECORD_FILE)
            to_disk(home)
            _remove_others(home, found.directory.name)
    except OSError as error:
        raise _not_kept(home, error) from error
    return found


def _is_intact(found: Found[RecordT]) -> bool:
    """Whether an entry of the very same files is there already."""
    try:
        for path, stored in zip(found.paths, found.record.files, strict=True):
            _require_intact(path, stored)
    except ArtifactError:
        return False
    return True


def _place(found: Found[RecordT], files: Sequence[Path]) -> None:
    home = found.directory.parent
    with temporary_directory(home) as room:
        staged = room / "files"
        staged.mkdir()
        for file, stored in zip(files, found.record.files, strict=True):
            _copy(file, staged / stored.name, stored)
        to_disk(staged)
        if found.directory.exists():  # what is left of one that was damaged
            found.directory.rename(room / "old")
        staged.rename(found.directory)


def _copy(source: Path, target: Path, stored: StoredFile) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)
    _require_intact(target, stored)
    to_disk(target)


def _remove_others(home: Path, kept: str) -> None:
    """Remove the files of earlier entries; what cannot be removed does no harm."""
    remove_abandoned(home)
    with suppress(OSError):
        for path in list(home.iterdir()):
            if path.name not in (kept, RECORD_FILE) and re.fullmatch(r"[0-9a-f]{16}", path.name):
                shutil.rmtree(path, ignore_errors=True)
