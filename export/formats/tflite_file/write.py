"""TFLite: write with litert-torch, read back from the FlatBuffer itself."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from edgevit.errors import ArtifactError, ExportError, UsageError, first_line
from edgevit.spec import Task, TensorSpec
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, PREFIX, artifact_metadata, tensor_metadata, tensors_from
from export.formats.tflite_file import metadata as tflite_metadata
from export.formats.tflite_file.contents import TfliteFile, TfliteGraph, TfliteOperator, TfliteSignature, parse
from export.formats.tflite_file.versions import newest, since, why_not_standard
from export.program import Program, module_of
from export.recipe import Format, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

SIGNATURE = "serving_default"
_WIDE = {"int64", "float64"}
_TOP = "(top level)"


class _Operation(Protocol):
    context: AbstractContextManager[object]
    attributes: dict[str, object]


class _Exporter(Protocol):
    _module_op: _Operation


class _Model(Protocol):
    _exporter: _Exporter

    def export(self, path: str) -> None: ...


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Convert ``program`` and write the file, with its metadata inside.

    The file has one signature, ``serving_default``, whose inputs and outputs carry the names of the spec. Tensors are
    named after the modules of the network that they came from. The same program gives the same bytes.

    Raises:
        UsageError: A free batch axis was asked for.
        ExportError: litert-torch refused the program.
    """
    if program.dynamic_batch or recipe.dynamic_batch:
        raise UsageError("tflite cannot leave the batch free: litert-torch fixes every shape", hint="use --batch N")
    model = _convert(program)
    _set_metadata(model, program, recipe)
    model.export(str(path))
    if program.spec.labels and program.spec.task is Task.CLASSIFY:
        tflite_metadata.append_labels(path, program.spec.labels)


def _convert(program: Program) -> _Model:
    import litert_torch

    names = [tensor.name for tensor in program.inputs]
    wide = any(tensor.dtype in _WIDE for tensor in (*program.inputs, *program.outputs))
    try:
        model = litert_torch.convert(
            _named_module(program),
            sample_kwargs=dict(zip(names, program.example, strict=True)),
            enable_x64=wide,
        )
    except Exception as error:  # the converter raises whatever MLIR, jax or torch raise
        raise ExportError(f"litert-torch cannot convert {program.spec.name} to tflite: {first_line(error)}") from error
    return cast(_Model, model)


def _named_module(program: Program) -> nn.Module:
    """The program as a module that takes its inputs by name and returns a dict of its outputs.

    litert-torch makes the names of the signature from keywords and dict keys, and the names of tensors from
    ``nn_module_stack``, of which it keeps class and last path component only: a stack of one entry whose "class" is
    the whole path gives tensors named ``blocks1.0.attn.qkv;``.
    """
    import torch
    from torch.fx.traceback import preserve_node_meta

    module = torch.fx.GraphModule(program.module, copy.deepcopy(program.module.graph)).eval()
    for node in module.graph.nodes:
        if node.op not in {"placeholder", "output"}:
            node.meta["nn_module_stack"] = {"module": ("", module_of(node) or _TOP)}
    names = [tensor.name for tensor in program.outputs]

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
            with preserve_node_meta():
                results = torch.fx.Interpreter(self.module).run(*inputs.values())
            return dict(zip(names, results if isinstance(results, tuple) else (results,), strict=True))

    return Named().eval()


def _set_metadata(model: _Model, program: Program, recipe: Recipe) -> None:
    """Hand the metadata to the converter's own FlatBuffer writer, which takes it as an attribute of the MLIR module."""
    from litert_converter.mlir import ir  # type: ignore[import-untyped]

    texts = artifact_metadata(program.spec, recipe) | tensor_metadata(program)
    entries: dict[str, str | bytes] = {PREFIX + key: text for key, text in texts.items()}
    standard = tflite_metadata.model_metadata(program.spec, program.inputs, program.outputs)
    entries[tflite_metadata.ENTRY] = standard
    operation = model._exporter._module_op
    with operation.context:
        attributes = {key: ir.StringAttr.get(value) for key, value in sorted(entries.items())}
        operation.attributes["tfl.metadata"] = ir.DictAttr.get(attributes)


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone; needs no TensorFlow and no torch.

    Raises:
        ArtifactError: The file cannot be read, is damaged, or has no signature.
    """
    file = parse(path)
    signature = default_signature(file, path)
    graph = file.graphs[signature.subgraph]
    operators = tuple(_histogram(file))
    metadata = _metadata(file)
    known = {tensor.name: tensor for key in (INPUTS, OUTPUTS) for tensor in tensors_from(metadata, key, str(path))}
    return FileFacts(
        format=Format.TFLITE,
        inputs=_specs(graph, signature.inputs, graph.inputs, known),
        outputs=_specs(graph, signature.outputs, graph.outputs, known),
        operators=operators,
        requires=_requires(operators),
        metadata=metadata,
    )


def default_signature(file: TfliteFile, path: Path) -> TfliteSignature:
    """The signature that ``write`` makes; of a foreign file its only one.

    Raises:
        ArtifactError: There is none, or several and none of them is ``serving_default``.
    """
    found = [signature for signature in file.signatures if signature.key == SIGNATURE] or list(file.signatures)
    if len(found) != 1:
        keys = ", ".join(signature.key for signature in file.signatures) or "none"
        raise ArtifactError(f"{path} needs the signature '{SIGNATURE}' or only one; it has: {keys}")
    return found[0]


def tensor_modules(name: str) -> tuple[str, ...]:
    """Modules of the network that a tensor's name gives: ``stem.1;;stem.0;2`` -> ``("stem.1", "stem.0")``."""
    parts = name.split(";")[:-1]
    return tuple(dict.fromkeys(part for part in parts if part and part != _TOP))


def operator_modules(graph: TfliteGraph, operator: TfliteOperator) -> tuple[str, ...]:
    """Modules of the network that an operator came from, by its outputs' names, else by those of its constants."""
    made = [graph.tensors[index].name for index in operator.outputs if index >= 0]
    held = [graph.tensors[index].name for index in operator.inputs if index >= 0 and graph.tensors[index].constant]
    for names in (made, held):
        if found := dict.fromkeys(module for name in names for module in tensor_modules(name)):
            return tuple(found)
    return ()


def _histogram(file: TfliteFile) -> Iterator[Operator]:
    counts: Counter[tuple[str, int, bool]] = Counter()
    modules: dict[tuple[str, int, bool], dict[str, None]] = {}
    for graph in file.graphs:
        for operator in graph.operators:
            key = (operator.name, operator.version, operator.custom)
            counts[key] += 1
            modules.setdefault(key, {}).update(dict.fromkeys(operator_modules(graph, operator)))
    for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        name, version, custom = key
        why_not = why_not_standard(name, version, custom=custom)
        yield Operator(
            name=name,
            count=count,
            version=version,
            standard=why_not is None,
            why_not=why_not,
            since=None if custom else since(name, version),
            modules=tuple(modules[key]),
        )


def _requires(operators: tuple[Operator, ...]) -> str:
    version = newest(operator.since for operator in operators if operator.since is not None)
    strangers = [operator.name for operator in operators if not operator.standard]
    runtime = f"TFLite >= {version or '1.5.0'}"
    return f"{runtime} with {', '.join(strangers)}" if strangers else runtime


def _specs(
    graph: TfliteGraph, names: dict[str, int], order: tuple[int, ...], known: dict[str, TensorSpec]
) -> tuple[TensorSpec, ...]:
    """Names, shapes and types as the file has them; layouts, which a TFLite file cannot say, from its metadata."""
    position = {index: place for place, index in enumerate(order)}
    ordered = sorted(names.items(), key=lambda item: position.get(item[1], len(order)))
    return tuple(
        TensorSpec(
            name=name,
            shape=graph.tensors[index].shape,
            dtype=graph.tensors[index].dtype,
            layout=known[name].layout if name in known else None,
        )
        for name, index in ordered
    )


def _metadata(file: TfliteFile) -> dict[str, str]:
    texts = {
        key.removeprefix(PREFIX): raw.rstrip(b"\0").decode("utf-8", errors="replace")
        for key, raw in file.metadata.items()
        if key != tflite_metadata.ENTRY
    }
    if tflite_metadata.ENTRY in file.metadata:
        texts[tflite_metadata.ENTRY] = f"{len(file.metadata[tflite_metadata.ENTRY])} bytes"
    return texts
