"""The zip archive of a TorchScript-lite file: read without running anything from it, written byte for byte alike.

``bytecode.pkl`` holds ``(version, (function, (("instructions", ...), ("operators", ...), ...), schema), ...)``. What
torch writes differs from run to run (a serialisation id, the archive's name, a counter in class names, source paths
of the machine in ``*.debug_pkl``, addresses in memory as tensor names); ``canonical`` removes all of that.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.errors import ArtifactError

ALIGNMENT_BYTES = 64
ROOT = "archive"
_CONSTANTS, _STORAGE = "constants/", ".storage"
_MANGLED = re.compile(r"[./]___torch_mangle_\d+")
_VOLATILE = re.compile(r"\.debug_pkl$|^\.data/serialization_id$|^extra/")


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
    except (OSError, zipfile.BadZipFile, ValueError, TypeError, KeyError, IndexError, EOFError) as error:
        raise ArtifactError(f"cannot read {path} as TorchScript lite: {error}") from error
    except Exception as error:  # zipfile and pickle raise zlib.error, struct.error and others on damaged bytes
        raise ArtifactError(f"cannot read {path} as TorchScript lite: {type(error).__name__}: {error}") from error
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


def canonical(data: bytes, extra_files: dict[str, str]) -> bytes:
    """The same program as ``data``, without what differs between two runs, with ``extra_files`` in place of its own.

    Tensors that torch stores twice, as it does in backported files, are stored once.

    The program must be frozen to one module: classes that differ only in torch's counter would become one.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        records = {info.filename.partition("/")[2]: source.read(info) for info in source.infolist()}
        keys = _storage_keys(records)
        written: set[str] = set()
        for name in sorted(records, key=lambda name: _order(name, keys)):
            if _VOLATILE.search(name) or _renamed(name, keys) in written:
                continue
            written.add(_renamed(name, keys))
            _add(target, out, _renamed(name, keys), _rewrite(name, records[name], keys))
        for name, text in sorted(extra_files.items()):
            _add(target, out, f"extra/{name}", text.encode())
    return out.getvalue()


def _storage_keys(records: dict[str, bytes]) -> dict[str, str]:
    """New names for the tensors below ``constants/``: torch may name them by their address in memory.

    They are numbered in the order in which the pickles name them; equal tensors get one number.
    """
    keys: dict[str, str] = {}
    numbers: dict[bytes, str] = {}
    for name in ("constants.pkl", "bytecode.pkl"):
        for _, argument, _ in pickletools.genops(records.get(name, b".")):
            record = f"{_CONSTANTS}{argument}"
            if isinstance(argument, str) and argument.endswith(_STORAGE) and record in records:
                digest = hashlib.sha256(records[record]).digest()
                keys[argument] = numbers.setdefault(digest, f"{len(numbers)}{_STORAGE}")
    return keys


def _order(name: str, keys: dict[str, str]) -> tuple[bool, int, str]:
    """Tensors last, by number; the rest by name."""
    number = keys.get(name.removeprefix(_CONSTANTS))
    return number is not None, int((number or "0").removesuffix(_STORAGE)), name if number is None else ""


def _renamed(name: str, keys: dict[str, str]) -> str:
    if name.startswith(_CONSTANTS) and (key := keys.get(name.removeprefix(_CONSTANTS))):
        return _CONSTANTS + key
    return _MANGLED.sub("", name)


def _add(target: zipfile.ZipFile, out: io.BytesIO, name: str, data: bytes) -> None:
    """Store a record with its data at a multiple of 64 bytes, as the mobile runtime's memory map wants it."""
    info = zipfile.ZipInfo(f"{ROOT}/{name}")
    info.create_system = 0
    start = out.tell() + 30 + len(info.filename.encode()) + 4
    padding = -start % ALIGNMENT_BYTES
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    target.writestr(info, data)


def _rewrite(name: str, data: bytes, keys: dict[str, str]) -> bytes:
    if name.endswith(".py"):
        return _MANGLED.sub("", data.decode()).encode()
    if name.endswith(".pkl"):
        return _rewrite_pickle(data, keys)
    return data


def _rewrite_pickle(data: bytes, keys: dict[str, str]) -> bytes:
    """Rename classes and tensors in a protocol-2 pickle, whose texts carry their length in front."""
    out, operations = bytearray(), [*pickletools.genops(data)]
    starts = [position or 0 for _, _, position in operations]
    for (opcode, argument, _), start, end in zip(operations, starts, [*starts[1:], len(data)], strict=True):
        if opcode.name == "BINUNICODE":
            text = _MANGLED.sub("", keys.get(str(argument), str(argument))).encode()
            out += b"X" + len(text).to_bytes(4, "little") + text
        elif opcode.name == "GLOBAL":
            out += _MANGLED.sub("", data[start:end].decode()).encode()
        else:
            out += data[start:end]
    return bytes(out)
