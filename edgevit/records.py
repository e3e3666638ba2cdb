"""What passes between rooms: frozen records that save to and read from JSON.

A record is a frozen ``msgspec.Struct``: construction is typed, JSON is checked on reading (unknown, missing and
mistyped fields are errors that name the path inside the file). Records that are stored on their own carry
``schema_version``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, dataclass_transform

import msgspec

from edgevit.errors import ArtifactError, UsageError


class _RecordMeta(msgspec.StructMeta):
    """Makes every record keyword-only, which msgspec does not inherit."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: object) -> _RecordMeta:
        settings = {"kw_only": True, **config}
        return super().__new__(mcs, name, bases, namespace, **settings)  # type: ignore[arg-type]  # they are msgspec's


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, metaclass=_RecordMeta, frozen=True, forbid_unknown_fields=True):
    """Base of all records."""

    def to_json(self) -> str:
        """The record as indented JSON with a final newline."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, origin: str = "JSON text") -> Self:
        """Read a record back.

        Raises:
            ArtifactError: The text is not JSON, or not a record of this kind; the message names the field.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise ArtifactError(f"{origin} is not a valid {cls.__name__} record: {error}") from error

    def save(self, path: Path) -> None:
        """Write the record to ``path`` atomically."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the record stored at ``path``.

        Raises:
            ArtifactError: The file cannot be read, or is not a record of this kind.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
        return cls.from_json(text, origin=str(path))


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the directory of ``path`` that is moved over ``path`` when the block succeeds.

    The temporary file keeps the suffix (converters look at it). After any exception, Ctrl-C included, it is removed
    and a file that was at ``path`` before is untouched.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Make the directory of ``path`` for the block that writes it there.

    Raises:
        UsageError: The directory cannot be made, or the block failed to write: what stands in the way.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
    except OSError as error:
        raise UsageError(f"cannot write {path}: {_in_the_way(path, error)}") from error


def _in_the_way(path: Path, error: OSError) -> str:
    """Why ``path`` cannot be written; the system's own words know a temporary name, or none."""
    if os.path.isdir(path):  # noqa: PTH112  # says no, where ``Path.is_dir`` raises on what it may not look at
        return "it is a directory"
    for parent in path.parents:
        if os.path.isfile(parent):  # noqa: PTH113
            return f"{parent} is a file, not a directory"
    return error.strerror or str(error)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
