"""Read a ``.ptl`` file without torch, and without running or importing anything that it names.

All that torch's loader reads is read here before, by its own rules (``archive``, ``pickled``, ``bytecode``): every
pickle, the debug tables that it opens on the way included. Loading alone would otherwise run code (``__setstate__``,
which may widen stored tensors and do nothing else: ``restore``), and read memory that is not the file's.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import ArtifactError
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, decode, tensors_from
from export.formats.ptl_file.archive import Records, read_records
from export.formats.ptl_file.bytecode import Function, functions_of
from export.formats.ptl_file.flow import check_flow
from export.formats.ptl_file.narrow.restore import SETSTATE, restored
from export.formats.ptl_file.pickled import Seen, unpickle
from export.formats.ptl_file.prepacked import RUNS
from export.formats.ptl_file.releases import lowest, since
from export.formats.ptl_file.stored import STORED
from export.formats.ptl_file.values import DTYPES, Object, PickleError, Value, conv_parts, conv_problem
from export.formats.ptl_file.versions import arity, base_name, operator_table, why_not_standard
from export.recipe import Format

MODULES = "modules"
_EXTRA = "extra/"
_PROGRAM, _OBJECT = "bytecode.pkl", "data.pkl"
_VERSIONS = (".data/version", "version")
_OPENED = {
    _PROGRAM, _OBJECT, "constants.pkl", "metadata.pkl", "mobile_debug.pkl", "mobile_debug_handles.pkl",
    "callstack_debug_map.pkl",
}  # fmt: skip
_MOST_PICKLE_BYTES = 2 << 20  # chosen: EdgeViT-XXS has 0.03 MB; the worst that fit take 3 s and 0.4 GB to read
_MOST_INSTRUCTIONS = 200_000  # chosen: EdgeViT-XXS has 1,100


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
        requires=_requires(archive),
        metadata={**extra, "bytecode": str(version)},
        weights=archive.weights,
    )


def _requires(archive: LiteArchive) -> str:
    version = archive.bytecode_version
    first = lowest(version, archive.file_version, archive.uses)
    xnnpack = " with XNNPACK" if any(name in RUNS for name in archive.calls) else ""
    return f"PyTorch Mobile >= {first}{xnnpack} (bytecode {version})"


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
    """What a TorchScript-lite file says.

    Attributes:
        bytecode_version: Of the program.
        file_version: Of the archive that it lies in.
        calls: Calls by operator.
        uses: Every operator with how many operands it is given, where the file says it.
        extra_files: Texts by name.
        weights: Elements of its tensors with more than one, by dtype.
    """

    bytecode_version: int
    file_version: int
    calls: dict[str, int]
    uses: frozenset[tuple[str, int | None]]
    extra_files: dict[str, str]
    weights: dict[str, int]


def read_archive(path: Path) -> LiteArchive:
    """Read ``path`` without executing anything from it.

    Raises:
        ArtifactError: Not a complete TorchScript-lite file, or one that torch must not be asked to load.
    """
    records = read_records(path, _kept)
    if _PROGRAM not in records.sizes:
        raise ArtifactError(f"{path} is no TorchScript-lite file: it has no {_PROGRAM}")
    pickles = {name: data for name, data in records.kept.items() if _is_pickle(name)}
    if (size := sum(map(len, pickles.values()))) > _MOST_PICKLE_BYTES:
        raise ArtifactError(f"{path} has {size} bytes of pickles, {_MOST_PICKLE_BYTES} at most")
    seen = {name: Seen() for name in pickles}
    values = {name: _value(path, name, data, records, seen[name]) for name, data in pickles.items()}
    try:
        _check_numbers(path, seen[_PROGRAM], records)
        version, functions = functions_of(values[_PROGRAM])
        calls = _calls(functions)
        _check_functions(functions, values.get(_OBJECT), calls)
    except PickleError as error:
        raise ArtifactError(f"{path}: {_PROGRAM} is no program that the lite interpreter may run: {error}") from error
    extra = {
        name.removeprefix(_EXTRA): data.decode(errors="replace")
        for name, data in records.kept.items()
        if name.startswith(_EXTRA)
    }
    return LiteArchive(
        bytecode_version=version,
        file_version=_file_version(path, records),
        calls=calls,
        uses=frozenset((use.name, use.arguments) for function in functions for use in function.operators),
        extra_files=extra,
        weights=_weights(seen.get(_OBJECT), seen[_PROGRAM]),
    )


def _weights(*seen: Seen | None) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for storage in (storage for one in seen if one is not None for storage in one.storages.values()):
        if storage.count > 1:
            counts[DTYPES[storage.dtype]] += storage.count
    return dict(sorted(counts.items()))


def _check_numbers(path: Path, seen: Seen, records: Records) -> None:
    """Look into the records that say how int8 convolutions move: torch divides by what stands there.

    Raises:
        PickleError: A step or the groups are nothing, or the groups do not divide the channels.
    """
    folder = _folder(_PROGRAM, records)
    parts = map(conv_parts, seen.int8)
    wanted = {f"{folder}/{numbers.key}": weight.shape for numbers, weight in parts if numbers and weight}
    held = read_records(path, wanted.__contains__).kept if wanted else {}
    for name, shape in wanted.items():
        if problem := conv_problem(struct.unpack("<11h", held[name]), shape):
            raise PickleError(f"an int8 convolution {problem}")


def _folder(name: str, records: Records) -> str:
    """Where torch takes the tensors of a pickle from."""
    if name == _PROGRAM and not any("bytecode/" in other for other in records.sizes):
        return "constants"
    return name.removesuffix(".pkl")


def _file_version(path: Path, records: Records) -> int:
    """The number in the record ``version``, or in the one that torch looks at first since 1.9."""
    held = {name.lower(): data for name, data in records.kept.items()}
    name = next((name for name in _VERSIONS if name in held), None)
    if name is None:
        raise ArtifactError(f"{path} is no TorchScript-lite file: it has no {_VERSIONS[-1]}")
    text = held[name].decode("ascii", errors="replace").strip()
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ArtifactError(f"{path}: its record {name} holds {text[:40]!r}, where a number belongs")
    return int(text)


def _kept(name: str) -> bool:
    """The extra files, and the pickles that torch's lite loader opens; it does not tell cases apart."""
    return name.startswith(_EXTRA) or name.lower() in _OPENED.union(_VERSIONS) or name.lower().endswith(".debug_pkl")


def _is_pickle(name: str) -> bool:
    return not name.startswith(_EXTRA) and name.lower() not in _VERSIONS


def _value(path: Path, name: str, data: bytes, records: Records, seen: Seen) -> Value:
    """What a pickle holds; its tensors are the records of the folder that torch would take them from."""
    folder = _folder(name, records)
    try:
        return unpickle(data, lambda key: records.sizes.get(f"{folder}/{key}"), seen)
    except PickleError as error:
        raise ArtifactError(f"{path}: its record {name} cannot be read: {error}") from error


def _calls(functions: Iterable[Function]) -> dict[str, int]:
    """Calls by operator; those that a table names without a call, or that run while loading only, have 0 calls."""
    calls: Counter[str] = Counter()
    for function in functions:
        names = [use.name for use in function.operators]
        calls.update(dict.fromkeys(names, 0))
        for step in () if _restores(function) else function.instructions:
            if step.name in {"OP", "OPN"} and 0 <= step.x < len(names):
                calls[names[step.x]] += 1
    return dict(calls)


def _check_functions(functions: Sequence[Function], root: Value, calls: dict[str, int]) -> None:
    """Refuse a program that would leave what is its own; one with other operators is told by those alone.

    Raises:
        PickleError: Says where.
    """
    root = _restored(functions, root)
    functions = [function for function in functions if not _restores(function)]
    if sum(len(function.instructions) for function in functions) > _MOST_INSTRUCTIONS:
        raise PickleError(f"it has more than {_MOST_INSTRUCTIONS} instructions")
    if any(why_not_standard(name) for name in calls):
        return
    for function in functions:
        kind = function.name.rpartition(".")[0]
        owner = root if isinstance(root, Object) and root.kind == kind else None
        check_flow(function, owner, arity(), operator_table().idle)


def _restores(function: Function) -> bool:
    """Whether the runtime runs ``function`` while it loads the file."""
    return function.name.rpartition(".")[2] == SETSTATE


def _restored(functions: Sequence[Function], root: Value) -> Value:
    """The program's object as it is once its class has restored it.

    Raises:
        PickleError: What would run for that is not allowed, or is for another object.
    """
    found = [function for function in functions if _restores(function)]
    if not found:
        return root
    if not isinstance(root, Object) or [f"{root.kind}.{SETSTATE}"] != [function.name for function in found]:
        raise PickleError(f"{found[0].name} would run while the file is being loaded")
    return Object(root.kind, (STORED,) * restored(found[0], root))  # type: ignore[arg-type]
