"""Read a ``.ptl`` file without torch, and without running or importing anything that it names.

``bytecode.pkl`` holds ``(version, (function, (("instructions", ...), ("operators", ...), ...), schema), ...)``.

What is read here decides whether torch may load the file, so torch must not read anything else in it: its reader finds
records without regard to case, takes the first of two of one name, prefers a FlatBuffer in front of the archive, and
goes by position where a key is expected. A file in which the two could differ is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgevit.errors import ArtifactError, first_line
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, decode, tensors_from
from export.formats.ptl_file.versions import base_name, lowest_mobile, since, why_not_standard
from export.recipe import Format

MODULES = "modules"
_CODE = ("instructions", "operators", "constants", "types", "register_size")
_FLATBUFFER_MAGIC, _FLATBUFFER_MAGIC_AT = b"PTMF", 4  # torch/csrc/jit/serialization/flatbuffer_serializer.h


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone.

    Raises:
        ArtifactError: Not a complete TorchScript-lite file.
    """
    archive = read_archive(path)
    extra, version = dict(archive.extra_files), archive.bytecode_version
    modules = decode(extra.pop(MODULES, "{}"), dict[str, tuple[str, ...]], f"{path}: metadata '{MODULES}' is broken")
    calls = sorted(archive.calls.items(), key=lambda item: -item[1])
    return FileFacts(
        format=Format.PTL,
        inputs=tensors_from(extra, INPUTS, str(path)),
        outputs=tensors_from(extra, OUTPUTS, str(path)),
        operators=tuple(_operator(name, count, modules) for name, count in calls),
        requires=f"PyTorch Mobile >= {lowest_mobile(version, archive.calls)} (bytecode {version})",
        metadata={**extra, "bytecode": str(version)},
    )


def _operator(name: str, count: int, modules: dict[str, tuple[str, ...]]) -> Operator:
    why_not = why_not_standard(name)
    return Operator(
        name=name,
        count=count,
        standard=why_not is None,
        why_not=why_not,
        since=since(name),
        modules=modules.get(base_name(name), ()),
    )


@dataclass(frozen=True)
class LiteArchive:
    """What a TorchScript-lite file says: bytecode version, calls per operator, and the extra files."""

    bytecode_version: int
    calls: dict[str, int]
    extra_files: dict[str, str]


class _Inert:
    """Stands for every class and function that a pickle names; accepts anything, does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _InertUnpickler(pickle.Unpickler):
    """Rebuilds tuples, lists, texts and numbers; imports and calls nothing that the file names."""

    def find_class(self, module_name: str, global_name: str, /) -> type[_Inert]:
        return _Inert

    def persistent_load(self, pid: object) -> None:
        return None


def read_archive(path: Path) -> LiteArchive:
    """Read ``path`` without executing anything from it.

    Raises:
        ArtifactError: Not a complete TorchScript-lite file.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _require_one_reading(path, file, archive)
            if (bad := archive.testzip()) is not None:
                raise ArtifactError(f"{path} is damaged: the checksum of its record {bad} does not match")
            records = {name.partition("/")[2]: name for name in archive.namelist()}
            if "bytecode.pkl" not in records:
                raise ArtifactError(f"{path} is no TorchScript-lite file: it has no bytecode.pkl")
            version, calls = _bytecode(archive.read(records["bytecode.pkl"]))
            extra = {
                name.removeprefix("extra/"): archive.read(full).decode(errors="replace")
                for name, full in records.items()
                if name.startswith("extra/")
            }
    except ArtifactError:
        raise
    except Exception as error:  # zipfile and pickle raise zlib.error, struct.error and others on damaged bytes
        raise ArtifactError(f"cannot read {path} as TorchScript lite: {first_line(error)}") from error
    return LiteArchive(bytecode_version=version, calls=calls, extra_files=extra)


def _require_one_reading(path: Path, file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Refuse an archive in which another reader may find other records than this one.

    Raises:
        ArtifactError: Says what is ambiguous.
    """
    file.seek(0)
    head = file.read(_FLATBUFFER_MAGIC_AT + len(_FLATBUFFER_MAGIC))
    infos = archive.infolist()
    names = [info.filename for info in infos]
    reasons = {
        "it does not begin with the archive": not head.startswith(b"PK\x03\x04")
        or min(info.header_offset for info in infos) != 0,
        "it begins like a FlatBuffer": head.endswith(_FLATBUFFER_MAGIC),
        "it ends in a comment": bool(archive.comment),
        "two of its records have one name": len({name.casefold() for name in names}) != len(names),
        "its records lie in several folders": len({name.partition("/")[0].casefold() for name in names}) != 1,
    }
    if found := [reason for reason, holds in reasons.items() if holds]:
        raise ArtifactError(f"{path} can be read in more than one way, and so is not read at all: {'; '.join(found)}")


def _bytecode(data: bytes) -> tuple[int, dict[str, int]]:
    """Version, and calls by operator; operators that a table names without a call count, too: with 0 calls."""
    version, *functions = _InertUnpickler(io.BytesIO(data)).load()
    calls: Counter[str] = Counter()
    for function in functions:
        if (keys := tuple(key for key, _ in function[1])) != _CODE:
            raise ValueError(f"a function's code must hold {', '.join(_CODE)}, but holds {', '.join(map(str, keys))}")
        code: dict[str, Any] = dict(function[1])
        names = [_operator_name(*row[:2]) for row in code["operators"]]
        calls.update(dict.fromkeys(names, 0))
        for name, first, *_ in code["instructions"]:
            if name in {"OP", "OPN"}:
                calls[names[first]] += 1
    return int(version), dict(calls)


def _operator_name(name: object, overload: object) -> str:
    if not isinstance(name, str) or not isinstance(overload, str):
        raise TypeError(f"an operator must be named by texts, but is named {name!r}, {overload!r}")
    return f"{name}.{overload}" if overload else name
