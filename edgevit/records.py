"""What passes between rooms: frozen records that save to and read from JSON.

A record is a frozen ``msgspec.Struct``: construction is typed, JSON is checked on reading (unknown, missing and
mistyped fields are errors that name the path inside the file). Records that are stored on their own carry
``schema_version``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform, get_args, get_type_hints

import msgspec

from edgevit.errors import (
    ArtifactError,
    EdgevitExportError,
    FailureError,
    ImpossibleError,
    UsageError,
    is_of_the_system,
)
from edgevit.temporary import temporary_file, to_disk
from edgevit.text import TEXT_BYTES, decode, encodable, printable, read_bytes, require_unique_keys

_T = TypeVar("_T")
_LONG = re.compile(r"\d{19}")  # the digits that any integer of more than 64 bits has
SMALL_BYTES = 4096  # chosen, because file systems give room in blocks of that size
LONGEST_SUFFIX = 16  # chosen: longer than any format's; a name that just fits must not become too long


class _RecordMeta(msgspec.StructMeta):
    """Makes every record keyword-only, which msgspec does not inherit."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: object) -> _RecordMeta:
        settings = {"kw_only": True, **config}
        return super().__new__(mcs, name, bases, namespace, **settings)  # type: ignore[arg-type]  # they are msgspec's


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, metaclass=_RecordMeta, frozen=True, forbid_unknown_fields=True):
    """Base of all records. ``limit_bytes`` is the size of the largest file that is read as one."""

    limit_bytes: ClassVar[int] = TEXT_BYTES

    def to_json(self) -> str:
        """The record as indented JSON with a final newline.

        A name that is no text (bytes of a path that are no UTF-8) stands in it as ``printable`` shows it.
        """
        try:
            data = msgspec.json.encode(self)
        except UnicodeEncodeError:
            data = msgspec.json.encode(_readable(msgspec.to_builtins(self)))
        return msgspec.json.format(data, indent=2).decode() + "\n"

    @classmethod
    def from_json(
        cls, text: str | bytes, *, origin: str = "JSON text", failure: type[EdgevitExportError] = ArtifactError
    ) -> Self:
        """Read a record back.

        Raises:
            EdgevitExportError: As ``failure``: the text is not JSON, not a record of this kind, or of a newer version;
                the message names the field.
        """
        return read_json(text, cls, what=f"{cls.__name__} record", origin=origin, failure=failure)

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
        return cls.from_json(read_bytes(path, what=cls.__name__, limit_bytes=cls.limit_bytes), origin=str(path))


def read_json(
    text: str | bytes, kind: type[_T], *, what: str, origin: str, failure: type[EdgevitExportError] = ArtifactError
) -> _T:
    """JSON as a value of ``kind``: a record, a union of records, or anything else that msgspec takes for a type.

    Args:
        text: The JSON.
        kind: What it holds.
        what: The same for messages.
        origin: Where it is from, for messages.
        failure: The class of the error.

    Raises:
        EdgevitExportError: As ``failure``: no text, no JSON, something else than ``kind``, a key twice, an integer of
            more than 64 bits, or a newer version of it. The message names the field.
    """
    if isinstance(text, bytes):
        text = decode(text, origin=origin, failure=failure)
    try:
        value = msgspec.json.decode(text, type=kind)
        require_unique_keys(text)
        if _LONG.search(text) and (path := _path_of_long(msgspec.to_builtins(value))) is not None:
            raise ValueError(f"an integer has more than 64 bits - at `${path}`")
    except (msgspec.MsgspecError, ValueError, RecursionError, EdgevitExportError) as error:
        if newer := _newer_version(text, kind, error):
            raise failure(
                f"{printable(origin)} is a {what} of a newer version ({newer}) than this program knows",
                hint="update edgevit-export",
            ) from error
        raise failure(f"{printable(origin)} is not a valid {what}: {printable(str(error))}") from error
    return value


def require_within(low: float, high: float, **figures: float | None) -> None:
    """Refuse figures outside of ``low`` to ``high``; None is none, and types are msgspec's. For ``__post_init__``.

    Raises:
        ImpossibleError: The first such figure, by its name.
    """
    for name, value in figures.items():
        if isinstance(value, int | float) and not low <= value <= high:
            raise ImpossibleError(f"{name} is {str(value)[:24]}, expected {low:g} to {high:g}")


def _path_of_long(value: object) -> str | None:
    """Where the first integer of more than 64 bits stands; None if there is none."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else ""
    named = [(f".{key}", item) for key, item in value.items()] if isinstance(value, dict) else []
    numbered = [(f"[{place}]", item) for place, item in enumerate(value)] if isinstance(value, list | tuple) else []
    below = ((step, _path_of_long(item)) for step, item in named + numbered)
    return next((f"{step}{path}" for step, path in below if path is not None), None)


class _Versioned(msgspec.Struct):
    schema_version: object = None


def is_version(text: str, version: int) -> bool:
    """Whether a JSON text is an object of that schema version; one without is of version 1."""
    return _version_in(text) == version


def _version_in(text: str) -> object:
    """The schema version that a JSON text tells, 1 where an object tells none; None for what cannot be read."""
    try:
        seen = msgspec.json.decode(text, type=_Versioned).schema_version
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return 1 if seen is None else seen


def _newer_version(text: str, kind: object, error: Exception) -> int | None:
    """The version of a record, or of one within, that is newer than what this program writes; None if none is."""
    if within := re.fullmatch(r"Invalid enum value (\d{1,9}) - at `\$.*\bschema_version`", str(error)):
        return int(within[1]) or None
    hints = get_type_hints(kind) if isinstance(kind, type) else {}
    seen, known = _version_in(text), get_args(hints.get("schema_version"))
    return seen if isinstance(seen, int) and known and max(known) < seen < 2**31 else None


def _readable(value: object) -> object:
    """The same lists, tables and values, with every string one that UTF-8 can hold."""
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return encodable(value) if isinstance(value, str) else value


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path that is moved over ``path`` when the block succeeds.

    It is an empty file in the same directory, under a name that no other process gets, with the same suffix (converters
    look at it). After any exception, Ctrl-C included, it is removed, and a file that was at ``path`` is untouched.
    A link stays one: what it points to is replaced. A device or a pipe (``/dev/stdout``) is written into.
    """
    suffix = path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""
    if _is_stream(path):
        with temporary_file(Path(tempfile.gettempdir()), suffix) as temporary:
            yield temporary
            with temporary.open("rb") as written, path.open("wb") as stream:
                shutil.copyfileobj(written, stream)
        return
    target = _target(path)
    with temporary_file(target.parent, suffix) as temporary:
        yield temporary
        to_disk(temporary)
        temporary.replace(target)


def _target(path: Path) -> Path:
    """What is replaced when ``path`` is written: what a link points to, there or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_stream(path: Path) -> bool:
    """Whether ``path`` names what has no other file to be replaced by: a device, a pipe, an open descriptor."""
    if not path.exists() or path.is_dir():
        return False
    return not path.is_file() or path.parts[:2] in {("/", "dev"), ("/", "proc")}


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Make the directory of ``path`` for the block that writes it there.

    Raises:
        UsageError: The directory cannot be made, or the block failed to write: what stands in the way.
        FailureError: The disk is full, or fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> UsageError | FailureError:
    """Why ``path`` cannot be written, by who can help it: who named the place, or who makes room."""
    told = f"cannot write {path}: {in_the_way(path, error)}"
    if is_of_the_system(error) and error.errno != errno.EROFS:  # a read-only place is one that was named wrongly
        return FailureError(told, hint="free some space, or write elsewhere")
    return UsageError(told)


def failure_to_write(path: Path, save: Callable[[Path], object]) -> UsageError | FailureError | None:
    """Save a file behind the work; returns why that failed, which must not cost what the work gave."""
    try:
        with writing(path):
            save(path)
    except (UsageError, FailureError) as error:
        return error
    return None


def require_writable(path: Path) -> None:
    """Refuse before any work a file that could not be written after it; its directory is made.

    Raises:
        UsageError: What stands in the way.
        FailureError: The disk is full, or fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _is_stream(path):
            require_room(_target(path).parent)
    except OSError as error:
        raise unwritable(path, error) from error


def require_room(directory: Path) -> None:
    """Make a small file in ``directory`` and remove it.

    Raises:
        OSError: That is not possible.
    """
    with temporary_file(directory) as path:
        path.write_bytes(bytes(SMALL_BYTES))


def in_the_way(path: Path, error: OSError) -> str:
    """Why ``path`` cannot be written; the system's own words know a temporary name, or none."""
    if os.path.isdir(path) and error.errno in (errno.EISDIR, errno.EEXIST):  # noqa: PTH112  # ``is_dir`` may raise
        return "it is a directory"
    for place in (path, *path.parents):
        if os.path.islink(place) and not os.path.exists(place):  # noqa: PTH110, PTH114
            return f"{place} is a link to {os.path.realpath(place)}, which does not exist"
        if place != path and os.path.isfile(place):  # noqa: PTH113
            return f"{place} is a file, not a directory"
    return error.strerror or str(error)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
