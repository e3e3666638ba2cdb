"""Read a ``.pte`` file from its bytes; needs neither ExecuTorch nor torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from edgevit.errors import ArtifactError
from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.artifact import Delegation, FileFacts, Operator, Piece, left_outside
from export.formats.metadata import INPUTS, OUTPUTS, decode, tensors_from, unambiguous
from export.formats.pte_file.contents import JUMP, XNNPACK, PteFile, parse, stock_kernels
from export.recipe import Format

METADATA_METHOD = "edgevit_export_metadata"
OUTSIDE, EXECUTORCH = "outside_delegate", "executorch"
_RANDOM = frozenset({"aten::rand.out", "aten::randn.out", "aten::native_dropout.out"})


class Outside(Record):
    """One operator that stayed outside the delegate: why, and in which modules of the network."""

    name: str
    why: str
    count: int
    modules: tuple[str, ...] = ()


def read(path: Path, file: PteFile | None = None) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone, or from ``file``, which it has been parsed to.

    Operators inside the delegate stand as ``xnnpack::Conv2d``, those outside as ``aten::mean.out``.

    Raises:
        ArtifactError: The file cannot be read, is damaged, or its metadata is broken or not about this program.
    """
    file = file or parse(path)
    texts = _texts(file, path)
    return FileFacts(
        format=Format.PTE,
        inputs=_named(file.inputs, tensors_from(texts, INPUTS, str(path)), path),
        outputs=_named(file.outputs, tensors_from(texts, OUTPUTS, str(path)), path),
        operators=tuple(_operators(file, _outside_rows(texts, path))),
        requires=_requires(file, texts),
        metadata=texts,
        weights=dict(sorted(file.weights.items())),
    )


def delegation_of(file: PteFile, path: Path) -> Delegation:
    """What the delegates of a file hold, in how many partitions, and why the rest stayed outside.

    Raises:
        ArtifactError: Its metadata is broken.
    """
    rows = _outside_rows(_texts(file, path), path)
    known = sum(row.count for row in rows) == file.kernels.total()
    left = (
        [left_outside(row.name, row.count, row.why, row.modules) for row in rows]
        if known
        else [f"{name} x {n}" for name, n in file.kernels.items()]
    )
    inside = sum(counts.total() for _, counts in file.partitions)
    return Delegation(
        delegate=", ".join(sorted({backend for backend, _ in file.partitions})) or XNNPACK,
        delegated=inside,
        total=inside + file.kernels.total(),
        partitions=len(file.partitions),
        left=tuple(left),
        pieces=tuple(_pieces(file, rows)),
    )


def _modules(name: str, rows: Iterable[Outside]) -> tuple[str, ...]:
    """Where the calls of a kernel come from: ``aten::mean.out`` is what the rows call ``aten::mean``."""
    base = name.partition(".")[0]
    return tuple(dict.fromkeys(module for row in rows if row.name == base for module in row.modules))


def _pieces(file: PteFile, rows: tuple[Outside, ...]) -> Iterator[Piece]:
    for outside, calls in groupby(file.calls, key=lambda call: isinstance(call, str)):
        if outside:
            called = [str(name) for name in calls]
            names = tuple(dict.fromkeys(called))
            modules = dict.fromkeys(module for name in names for module in _modules(name, rows))
            yield Piece(delegated=False, operators=len(called), names=names, modules=tuple(modules))
        else:
            for number in map(int, calls):
                yield Piece(delegated=True, operators=file.partitions[number][1].total())


def _texts(file: PteFile, path: Path) -> dict[str, str]:
    """The metadata that ``write`` stored; of a foreign file the texts of its constant methods."""
    if METADATA_METHOD not in file.texts:
        return dict(file.texts)
    text = file.texts[METADATA_METHOD]
    decode(text, dict[str, str], f"{path}: the method {METADATA_METHOD} does not return metadata")
    return unambiguous(json.loads(text, object_pairs_hook=list), str(path))


def _outside_rows(texts: dict[str, str], path: Path) -> tuple[Outside, ...]:
    return decode(texts.get(OUTSIDE, "[]"), tuple[Outside, ...], f"{path}: metadata '{OUTSIDE}' is broken")


def _operators(file: PteFile, rows: tuple[Outside, ...]) -> Iterator[Operator]:
    for name, count in file.kernels.most_common():
        why_not = _why_not_standard(name)
        yield Operator(name=name, count=count, standard=why_not is None, why_not=why_not, modules=_modules(name, rows))
    inside: Counter[tuple[str, str]] = Counter()
    for backend, counts in file.partitions:
        inside.update({(backend, name): count for name, count in (counts or {"partition": 1}).items()})
    for (backend, name), count in sorted(inside.items(), key=lambda item: (-item[1], item[0])):
        stock = backend == XNNPACK
        why_not = None if stock else f"the delegate {backend} is not in the stock runtime for CPUs"
        prefix = "xnnpack" if stock else backend
        yield Operator(name=f"{prefix}::{name}", count=count, standard=stock, why_not=why_not)


def _why_not_standard(name: str) -> str | None:
    if name == JUMP:
        return "a program of a network runs straight through: nothing here follows its jumps"
    if name not in stock_kernels():
        return "the stock kernel libraries (portable, optimized) do not have it"
    return "it draws random numbers" if name in _RANDOM else None


def _named(seen: tuple[TensorSpec, ...], known: tuple[TensorSpec, ...], path: Path) -> tuple[TensorSpec, ...]:
    """The file's tensors with the names of its metadata; positions must agree in shape and type."""
    if not known:
        return seen
    mine, theirs = ([(tensor.shape, tensor.dtype) for tensor in tensors] for tensors in (seen, known))
    if mine != theirs:
        raise ArtifactError(f"{path}: the program has tensors {mine}, its metadata says {theirs}")
    return known


def _requires(file: PteFile, texts: dict[str, str]) -> str:
    backends = sorted({backend for backend, _ in file.partitions})
    release = f"ExecuTorch >= {texts[EXECUTORCH]}" if EXECUTORCH in texts else "ExecuTorch (program format ET12)"
    return release + (f" with {', '.join(backends)}" if backends else "")
