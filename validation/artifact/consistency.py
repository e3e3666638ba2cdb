"""Whether a manifest, its golden set and the file itself tell the same story. Each function lists what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose, isfinite

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgevit.records import Record
from edgevit.spec import ModelSpec, TensorSpec
from export.artifact import FileFacts, Manifest, Operator
from export.golden import GoldenSet
from export.recipe import Recipe

WIDEST_YARDSTICK = 1e-2
"""float32 eager that is off by more than this share of the largest output is no yardstick: anything would pass.

Chosen: float32 keeps seven digits, so that even a network that loses five of them stays below."""


def tensor_problems(kind: str, expected: Sequence[TensorSpec], seen: Sequence[TensorSpec]) -> list[str]:
    """Differences between the manifest's inputs or outputs and those that a reader or runtime found.

    Names in order, dtypes, and shapes; a size that the runtime does not know (-1) fits every size.
    """
    names, found = [spec.name for spec in expected], [spec.name for spec in seen]
    if names != found:
        return [f"the manifest has the {kind}s {', '.join(names)}, but the file has {', '.join(found) or 'none'}"]
    problems = []
    for wanted, spec in zip(expected, seen, strict=True):
        if not _sizes_fit(wanted.shape, spec.shape) or wanted.dtype != spec.dtype:
            problems.append(
                f"{kind} '{spec.name}' is {wanted.dtype} {wanted.shape} in the manifest, "
                f"but {spec.dtype} {spec.shape} in the file"
            )
    return problems


def content_problems(facts: FileFacts, manifest: Manifest) -> list[str]:
    """Differences between what a reader found in the artifact and what its manifest says."""
    if facts.format is not manifest.recipe.format:
        return [f"the manifest says {manifest.recipe.format}, but the file is {facts.format}"]
    problems = tensor_problems("input", manifest.inputs, facts.inputs)
    problems += tensor_problems("output", manifest.outputs, facts.outputs)
    problems += _operator_problems(manifest.operators, facts.operators)
    problems += _metadata_problem("spec", manifest.spec, ModelSpec, facts.metadata)
    problems += _metadata_problem("recipe", manifest.recipe, Recipe, facts.metadata)
    return problems


def golden_problems(golden: GoldenSet, manifest: Manifest) -> list[str]:
    """What makes a golden set no reference for this manifest: other tensors or yardsticks, impossible values."""
    problems = _tensor_set_problems("input", manifest.spec.inputs, golden.inputs)
    problems += _tensor_set_problems("output", manifest.spec.outputs, golden.outputs)
    if len(golden.labels) != manifest.golden.inputs or len(golden.labels) < 1:
        problems.append(f"the manifest says {manifest.golden.inputs} golden inputs, but there are {len(golden.labels)}")
    if problems:
        return problems
    for name, reference in golden.outputs.items():
        yardstick, said = golden.yardstick.get(name), manifest.golden.yardstick.get(name)
        if yardstick is None or said is None or not isclose(yardstick, said, rel_tol=1e-9):
            problems.append(f"the yardstick of '{name}' is {said} in the manifest, but {yardstick} in the golden set")
            continue
        if not np.isfinite(reference).all():
            problems.append(f"the reference output '{name}' holds values that are not finite")
            continue
        largest = float(np.abs(reference).max(initial=0.0))
        if not isfinite(yardstick) or yardstick < 0 or yardstick > WIDEST_YARDSTICK * max(largest, 1e-30):
            problems.append(
                f"the yardstick of '{name}', {yardstick:.3g}, cannot be the error of float32 "
                f"on outputs up to {largest:.3g}"
            )
    return problems


def _sizes_fit(expected: Sequence[int], seen: Sequence[int]) -> bool:
    return len(expected) == len(seen) and all(b in (-1, a) for a, b in zip(expected, seen, strict=True))


def _operator_problems(expected: Sequence[Operator], seen: Sequence[Operator]) -> list[str]:
    wanted = {(operator.name, operator.version): operator.count for operator in expected}
    found = {(operator.name, operator.version): operator.count for operator in seen}
    problems = []
    for key in sorted(set(wanted) | set(found), key=str):
        if wanted.get(key) != found.get(key):
            name = key[0] if key[1] is None else f"{key[0]} version {key[1]}"
            problems.append(f"operator {name}: {wanted.get(key, 0)} in the manifest, {found.get(key, 0)} in the file")
    return problems


def _metadata_problem(key: str, expected: Record, kind: type[Record], metadata: dict[str, str]) -> list[str]:
    """A file that says of itself that it is something else: the mark of swapped files."""
    texts = [text for name, text in metadata.items() if name.rpartition(".")[2] == key]
    if not texts:
        return [f"the file does not carry its '{key}', which every artifact of this tool does"]
    try:
        seen = msgspec.json.decode(texts[0], type=kind)
    except msgspec.MsgspecError as error:
        return [f"the file's '{key}' cannot be read: {error}"]
    pairs = [(name, getattr(expected, name), getattr(seen, name)) for name in kind.__struct_fields__]
    return [
        f"{key}.{name} is {_short(wanted)} in the manifest, but {_short(found)} in the file"
        for name, wanted, found in pairs
        if wanted != found
    ]


def _tensor_set_problems(
    kind: str, specs: Sequence[TensorSpec], arrays: Mapping[str, NDArray[np.generic]]
) -> list[str]:
    """Arrays ``(count, ...)`` of a golden set whose names or shapes without the first axis are not the model's."""
    names = [spec.name for spec in specs]
    if set(names) != set(arrays):
        return [f"the model has the {kind}s {', '.join(names)}, but the golden set has {', '.join(arrays) or 'none'}"]
    return [
        f"one '{spec.name}' is {spec.shape[1:]} in the model, but {arrays[spec.name].shape[1:]} in the golden set"
        for spec in specs
        if arrays[spec.name].shape[1:] != tuple(spec.shape[1:])
    ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
