"""Read a ``.tflite`` file from the FlatBuffer itself; needs neither TensorFlow nor torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from edgevit.errors import ArtifactError
from edgevit.spec import TensorSpec
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, PREFIX, tensors_from, unambiguous
from export.formats.tflite_file.contents import TfliteFile, TfliteGraph, TfliteOperator, TfliteSignature, parse
from export.formats.tflite_file.metadata import ENTRY, read_files, read_metadata
from export.formats.tflite_file.ranks import cautions
from export.formats.tflite_file.versions import FIRST_RUNTIME, newest, since, why_not_standard
from export.recipe import Format

SIGNATURE = "serving_default"
TOP_LEVEL = "(top level)"


def read(path: Path, file: TfliteFile | None = None) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone, or from ``file``, which it has been parsed to.

    Raises:
        ArtifactError: The file cannot be read, is damaged, has several signatures, or its metadata is broken.
    """
    file = file or parse(path)
    signature = default_signature(file, path)
    graph = file.graphs[signature.subgraph]
    operators = tuple(_histogram(file))
    metadata = _metadata(file, path)
    known = {tensor.name: tensor for key in (INPUTS, OUTPUTS) for tensor in tensors_from(metadata, key, str(path))}
    return FileFacts(
        format=Format.TFLITE,
        inputs=_specs(graph, signature.inputs, graph.inputs, known),
        outputs=_specs(graph, signature.outputs, graph.outputs, known),
        operators=operators,
        requires=_requires(operators),
        metadata=metadata,
        cautions=tuple(cautions(graph, partial(operator_modules, graph))),
        weights=_weights(file),
    )


def default_signature(file: TfliteFile, path: Path) -> TfliteSignature:
    """The signature that ``write`` makes; of a foreign file its only one, or its graph's tensors where it has none.

    Raises:
        ArtifactError: There are several and none of them is ``serving_default``.
    """
    if not file.signatures:
        names = [tensor.name for tensor in file.graphs[0].tensors]
        inputs, outputs = (
            {names[index]: index for index in way} for way in (file.graphs[0].inputs, file.graphs[0].outputs)
        )
        return TfliteSignature(key="", subgraph=0, inputs=inputs, outputs=outputs)
    found = [signature for signature in file.signatures if signature.key == SIGNATURE] or list(file.signatures)
    if len(found) != 1:
        keys = ", ".join(signature.key for signature in file.signatures) or "none"
        raise ArtifactError(f"{path} needs the signature '{SIGNATURE}' or only one; it has: {keys}")
    return found[0]


def module_path(module: str) -> str:
    """A module's name as tensor names have it: ``stem.1`` -> ``stem/1``, since viewers nest by ``/``."""
    return module.replace(".", "/") or TOP_LEVEL


def tensor_modules(name: str) -> tuple[str, ...]:
    """Modules of the network that a tensor's name gives: ``stem/1;;stem/0;2`` -> ``("stem.1", "stem.0")``."""
    parts = name.split(";")[:-1]
    return tuple(dict.fromkeys(part.replace("/", ".") for part in parts if part and part != TOP_LEVEL))


def operator_modules(graph: TfliteGraph, operator: TfliteOperator) -> tuple[str, ...]:
    """Modules of the network that an operator came from, by its outputs' names, else by those of its constants."""
    made = [graph.tensors[index].name for index in operator.outputs if index >= 0]
    held = [graph.tensors[index].name for index in operator.inputs if index >= 0 and graph.tensors[index].constant]
    for names in (made, held):
        if found := dict.fromkeys(module for name in names for module in tensor_modules(name)):
            return tuple(found)
    return ()


def _histogram(file: TfliteFile) -> Iterator[Operator]:
    found: dict[tuple[str, int, bool], list[tuple[str, ...]]] = {}
    for graph in file.graphs:
        for operator in graph.operators:
            key = (operator.name, operator.version, operator.custom)
            found.setdefault(key, []).append(operator_modules(graph, operator))
    for (name, version, custom), origins in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        why_not = why_not_standard(name, version, custom=custom)
        yield Operator(
            name=name,
            count=len(origins),
            version=version,
            standard=why_not is None,
            why_not=why_not,
            since=None if custom else since(name, version),
            modules=tuple(dict.fromkeys(chain.from_iterable(origins))),
        )


def _weights(file: TfliteFile) -> dict[str, int]:
    """Elements of the constants with more than one, by dtype; what several tensors share counts once."""
    held = {tensor.buffer: tensor for graph in file.graphs for tensor in graph.tensors if tensor.constant}
    found: Counter[str] = Counter()
    for tensor in held.values():
        if (elements := abs(math.prod(tensor.shape))) > 1:
            found[tensor.dtype] += elements
    return dict(sorted(found.items()))


def _requires(operators: tuple[Operator, ...]) -> str:
    version = newest(operator.since for operator in operators if operator.since is not None)
    strangers = [operator.name for operator in operators if not operator.standard]
    runtime = f"TFLite >= {version or FIRST_RUNTIME}"
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


def _metadata(file: TfliteFile, path: Path) -> dict[str, str]:
    """The texts of this tool, what the standard table says, and what the zip behind the model holds."""
    entries = [
        (key.removeprefix(PREFIX), raw.rstrip(b"\0").decode("utf-8", errors="replace"))
        for key, raw in file.metadata.items()
        if key != ENTRY
    ]
    if standard := file.metadata.get(ENTRY):
        entries.append((ENTRY, read_metadata(standard)))
    return unambiguous([*entries, *read_files(path).items()], str(path))
