"""Read a ``.ptl`` file without torch, and without running or importing anything that it names.

``bytecode.pkl`` holds ``(version, (function, (("instructions", ...), ("operators", ...), ...), schema), ...)``.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.errors import ArtifactError, first_line
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, decode, tensors_from
from export.formats.ptl_file.versions import base_name, lowest_mobile, since, why_not_standard
from export.recipe import Format

MODULES = "modules"


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone.

    Raises:
        ArtifactError: Not a complete TorchScript-lite file.
    """
    archive = read_archive(path)
    extra, version = dict(archive.extra_files), archive.bytecode_version
    modules = decode(extra.pop(MODULES, "{}"), dict[str, list[str]], f"{path}: metadata '{MODULES}' is broken")
    calls = sorted(archive.calls.items(), key=lambda item: -item[1])
    return FileFacts(
        format=Format.PTL,
        inputs=tensors_from(extra, INPUTS, str(path)),
        outputs=tensors_from(extra, OUTPUTS, str(path)),
        operators=tuple(_operator(name, count, modules) for name, count in calls),
        requires=f"PyTorch Mobile >= {lowest_mobile(version, archive.calls)} (bytecode {version})",
        metadata={**extra, "bytecode": str(version)},
    )


def _operator(name: str, count: int, modules: dict[str, list[str]]) -> Operator:
    why_not = why_not_standard(name)
    return Operator(
        name=name,
        count=count,
        standard=why_not is None,
        why_not=why_not,
        since=since(name),
        modules=tuple(modules.get(base_name(name), ())),
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
        with zipfile.ZipFile(path) as archive:
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


def _bytecode(data: bytes) -> tuple[int, dict[str, int]]:
    version, *functions = _InertUnpickler(io.BytesIO(data)).load()
    calls: Counter[str] = Counter()
    for function in functions:
        code: dict[str, Any] = dict(function[1])
        names = [f"{row[0]}.{row[1]}" if row[1] else str(row[0]) for row in code["operators"]]
        for name, first, *_ in code["instructions"]:
            if name in {"OP", "OPN"}:
                calls[names[first]] += 1
    return int(version), dict(calls)
