"""A TorchScript-lite file written byte for byte alike: without what differs from one run of torch to the next.

That is a serialisation id, the archive's name, a counter in class names, source paths of the machine in
``*.debug_pkl``, and addresses in memory as tensor names.

Files of an older bytecode also get the layout of their time: torch writes the programs into today's.
"""

from __future__ import annotations

import hashlib
import io
import pickletools
import re
import zipfile

ALIGNMENT_BYTES = 64  # kFieldAlignment in caffe2/serialize/inline_container.h
ROOT = "archive"
_CONSTANTS, _STORAGE = "constants/", ".storage"
_MANGLED = re.compile(r"[./]___torch_mangle_\d+")
_VERSION, _VERSION_SINCE_10 = "version", ".data/version"
_HIGHEST_OLD_VERSION = 5
"""Of the file's format: PyTorch 1.8, 1.9, 1.10 and 1.11 read up to 5, 6, 6 and 9, and 1.8 reads ``version`` only. A
newer runtime goes by it to give ``div`` (up to 3) and ``full`` (up to 4) their old meaning; what it does for
``linspace``, ``logspace`` and ``gelu`` (up to 7, 8, 9) only fills in their default arguments."""
_OWN_TENSORS = 4  # up to this bytecode the program's tensors lie below bytecode/, later below constants/
_FULL_PROGRAM = re.compile(r"constants\.pkl$|constants/|code/")
_VOLATILE = re.compile(r"\.debug_pkl$|^\.data/serialization_id$|^extra/")


def records_of(data: bytes) -> dict[str, bytes]:
    """The records of a file as torch wrote it, by name without the folder that all lie in."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {info.filename.partition("/")[2]: source.read(info) for info in source.infolist()}


def canonical(records: dict[str, bytes], extra_files: dict[str, str], bytecode: int | None = None) -> bytes:
    """The file of ``records``, without what differs between two runs, with ``extra_files`` in place of its own.

    Tensors that torch stores twice, as it does in backported files, are stored once. With bytecode 4 the lite program
    has its own, so the full one beside it (``constants`` and ``code``), which no lite interpreter reads, is left out.

    Args:
        records: As torch wrote them (``records_of``), or as a rewriting of them left them.
        extra_files: Texts by name.
        bytecode: The older bytecode that the program was taken back to; None if it has torch's own.

    The program must be frozen to one module: classes that differ only in torch's counter would become one.
    """
    out = io.BytesIO()
    if bytecode is not None:
        records = _of_its_time(records, bytecode)
    with zipfile.ZipFile(out, "w") as target:
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


def _of_its_time(records: dict[str, bytes], bytecode: int) -> dict[str, bytes]:
    """The records of a file of an older bytecode, as the runtimes that it is for look for them."""
    kept = dict(records)
    version = kept.pop(_VERSION_SINCE_10, None) or kept[_VERSION]
    kept[_VERSION] = b"%d\n" % min(int(version), _HIGHEST_OLD_VERSION)
    if bytecode <= _OWN_TENSORS:
        kept = {name: data for name, data in kept.items() if not _FULL_PROGRAM.match(name)}
    return kept


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
