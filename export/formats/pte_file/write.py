"""ExecuTorch: lower to the XNNPACK delegate, write, and read back from the file itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from edgevit.errors import ArtifactError, ExportError, UsageError, first_line
from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.artifact import Delegation, FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, artifact_metadata, tensor_metadata, tensors_from
from export.formats.pte_file.contents import XNNPACK, PteFile, parse, stock_kernels
from export.program import Program, module_of
from export.recipe import Format, Recipe

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

METADATA_METHOD = "edgevit_export_metadata"
_OUTSIDE, _EXECUTORCH = "outside_delegate", "executorch"
_PARTITIONER_LOGGER = "executorch.backends.xnnpack.partition"
_NOT_IN_PARTITIONER = "the XNNPACK partitioner does not have this operator"
_MAX_NAMED = 3


class Outside(Record):
    """One operator that stayed outside the delegate: why, and in which modules of the network."""

    name: str
    why: str
    count: int
    modules: tuple[str, ...] = ()


class _Emitted(Protocol):
    @property
    def buffer(self) -> bytes: ...


class _EdgeManager(Protocol):
    _config_methods: dict[str, str]

    def exported_program(self) -> ExportedProgram: ...
    def to_executorch(self) -> _Emitted: ...


class _Refusal(Protocol):
    node: Node | None
    reason: str


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Lower ``program`` to XNNPACK and write the file.

    A ``.pte`` has no names for inputs and outputs; the method ``edgevit_export_metadata``, which takes nothing and
    returns JSON, holds them together with the spec, and with what stayed outside the delegate and why.

    Raises:
        UsageError: A free batch axis was asked for.
        ExportError: ExecuTorch refused the program.
    """
    if program.dynamic_batch or recipe.dynamic_batch:
        raise UsageError("pte cannot leave the batch free: every shape is fixed", hint="use --batch N")
    try:
        data = _lower(program, artifact_metadata(program.spec, recipe) | tensor_metadata(program))
    except Exception as error:  # the lowering raises whatever torch.export and its own passes raise
        raise ExportError(f"executorch cannot lower {program.spec.name} to pte: {first_line(error)}") from error
    path.write_bytes(data)


def _lower(program: Program, texts: dict[str, str]) -> bytes:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with torch.no_grad(), _refusals() as refusals:
        exported = torch.export.export(program.module, program.example, strict=False)
        manager = cast(
            _EdgeManager,
            to_edge_transform_and_lower(
                exported, partitioner=[XnnpackPartitioner()], constant_methods={METADATA_METHOD: ""}
            ),
        )
        texts[_OUTSIDE] = _outside(manager.exported_program().graph_module, refusals)
        texts[_EXECUTORCH] = version("executorch")
        # What stayed outside is known only now, when the manager has long copied its constant methods.
        manager._config_methods[METADATA_METHOD] = json.dumps(texts, sort_keys=True, ensure_ascii=False)
        return manager.to_executorch().buffer


@contextmanager
def _refusals() -> Iterator[dict[str, str]]:
    """The partitioner's own reasons by node name, which it gives to its debug log."""
    found: dict[str, str] = {}

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if hasattr(record.msg, "node") and hasattr(record.msg, "reason"):
                refusal = cast(_Refusal, record.msg)
                found.setdefault(str(refusal.node), refusal.reason)

    logger, collector = logging.getLogger(_PARTITIONER_LOGGER), Collector()
    level, propagate = logger.level, logger.propagate
    children = [
        child
        for name, child in logging.root.manager.loggerDict.items()
        if name.startswith(_PARTITIONER_LOGGER + ".") and isinstance(child, logging.Logger)
    ]
    levels = [(child, child.level) for child in children]
    logger.addHandler(collector)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for child in children:
        child.setLevel(logging.NOTSET)
    try:
        yield found
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)
        logger.propagate = propagate
        for child, before in levels:
            child.setLevel(before)


def _outside(graph_module: GraphModule, refusals: dict[str, str]) -> str:
    """JSON list of ``Outside`` for the kernels that the lowered graph calls itself."""
    counts: dict[tuple[str, str], int] = {}
    modules: dict[tuple[str, str], dict[str, None]] = {}
    for node in graph_module.graph.nodes:
        name = _kernel_name(node)
        if name is None:
            continue
        key = (name, refusals.get(node.name, _NOT_IN_PARTITIONER))
        counts[key] = counts.get(key, 0) + 1
        if module := module_of(node):
            modules.setdefault(key, {})[module] = None
    rows = [
        Outside(name=name, why=why, count=count, modules=tuple(modules.get((name, why), ())))
        for (name, why), count in counts.items()
    ]
    return msgspec.json.encode(rows).decode()


def _kernel_name(node: Node) -> str | None:
    """``aten::mean`` for a call of that operator; None for delegate calls, tuple items and the like."""
    if node.op != "call_function" or not hasattr(node.target, "_schema"):
        return None
    name = str(node.target._schema.name)
    return None if name.startswith(("executorch_call_delegate", "higher_order")) else name


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone; needs neither ExecuTorch nor torch.

    Operators inside the delegate stand as ``xnnpack::Conv2d``, those outside as ``aten::mean.out``.

    Raises:
        ArtifactError: The file cannot be read or is damaged.
    """
    file = parse(path)
    texts = file_texts(file, path)
    return FileFacts(
        format=Format.PTE,
        inputs=_named(file.inputs, tensors_from(texts, INPUTS, str(path)), path),
        outputs=_named(file.outputs, tensors_from(texts, OUTPUTS, str(path)), path),
        operators=tuple(_operators(file, _outside_rows(texts, path))),
        requires=_requires(file, texts),
        metadata=texts,
    )


def delegation(path: Path) -> Delegation:
    """What the delegates of a file hold, in how many partitions, and why the rest stayed outside.

    Raises:
        ArtifactError: The file cannot be read or is damaged.
    """
    file = parse(path)
    rows = _outside_rows(file_texts(file, path), path)
    known = sum(row.count for row in rows) == file.kernels.total()
    left = [_left(row) for row in rows] if known else [f"{name} x {n}" for name, n in file.kernels.items()]
    inside = sum(counts.total() for _, counts in file.partitions)
    return Delegation(
        delegate=", ".join(sorted({backend for backend, _ in file.partitions})) or XNNPACK,
        delegated=inside,
        total=inside + file.kernels.total(),
        partitions=len(file.partitions),
        left=tuple(left),
    )


def file_texts(file: PteFile, path: Path) -> dict[str, str]:
    """The metadata that ``write`` stored; of a foreign file the texts of its constant methods.

    Raises:
        ArtifactError: The stored text is no JSON object of texts.
    """
    if METADATA_METHOD not in file.texts:
        return dict(file.texts)
    try:
        return msgspec.json.decode(file.texts[METADATA_METHOD], type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{path}: the method {METADATA_METHOD} does not return metadata: {error}") from error


def _outside_rows(texts: dict[str, str], path: Path) -> tuple[Outside, ...]:
    try:
        return msgspec.json.decode(texts.get(_OUTSIDE, "[]"), type=tuple[Outside, ...])
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{path}: metadata '{_OUTSIDE}' is broken: {error}") from error


def _operators(file: PteFile, rows: tuple[Outside, ...]) -> Iterator[Operator]:
    for name, count in file.kernels.most_common():
        stock = name in stock_kernels()
        base = name.partition(".")[0]
        modules = dict.fromkeys(module for row in rows if row.name == base for module in row.modules)
        why_not = None if stock else "the stock kernel libraries (portable, optimized) do not have it"
        yield Operator(name=name, count=count, standard=stock, why_not=why_not, modules=tuple(modules))
    inside: dict[tuple[str, str], int] = {}
    for backend, counts in file.partitions:
        for name, count in (counts or {"partition": 1}).items():
            inside[backend, name] = inside.get((backend, name), 0) + count
    for (backend, name), count in sorted(inside.items(), key=lambda item: (-item[1], item[0])):
        stock = backend == XNNPACK
        why_not = None if stock else f"the delegate {backend} is not in the stock runtime for CPUs"
        prefix = "xnnpack" if stock else backend
        yield Operator(name=f"{prefix}::{name}", count=count, standard=stock, why_not=why_not)


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
    release = f"ExecuTorch >= {texts[_EXECUTORCH]}" if _EXECUTORCH in texts else "ExecuTorch (program format ET12)"
    return release + (f" with {', '.join(backends)}" if backends else "")


def _left(row: Outside) -> str:
    more = f" and {len(row.modules) - _MAX_NAMED} more" if len(row.modules) > _MAX_NAMED else ""
    where = f" (in {', '.join(row.modules[:_MAX_NAMED])}{more})" if row.modules else ""
    return f"{row.name} x {row.count}: {row.why}{where}"
