"""Whether a manifest and its file tell the same story. Each function lists what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from edgevit.errors import ArtifactError
from edgevit.records import Record, read_json
from edgevit.spec import ModelSpec, Preprocessing, TensorSpec
from export.artifact import FileFacts, Manifest, Operator
from export.formats.metadata import INPUTS, OUTPUTS
from export.formats.table import restated
from export.recipe import Recipe

_KINDS: dict[str, type] = {
    "spec": ModelSpec,
    "recipe": Recipe,
    "preprocessing": Preprocessing,
    INPUTS: tuple[TensorSpec, ...],
    OUTPUTS: tuple[TensorSpec, ...],
}
"""What the texts are that hold records: read as such, so that a field that is younger than a file has its default."""


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
    """Differences between what a reader finds in the artifact and what its manifest says: all that it says twice.

    Tensors, operators with all that is known of them, the lowest runtime, and every text by which the file describes
    itself: a text that is missing, and one that should not be there, is a difference as well.
    """
    if facts.format is not manifest.recipe.format:
        return [f"the manifest says {manifest.recipe.format}, but the file is {facts.format}"]
    problems = tensor_problems("input", manifest.inputs, facts.inputs)
    problems += tensor_problems("output", manifest.outputs, facts.outputs)
    problems += _operator_problems(manifest.operators, facts.operators)
    if facts.requires != manifest.requires:
        problems.append(f"the file requires {facts.requires}, but the manifest says {manifest.requires}")
    for key, text in restated(manifest).items():
        problems += _text_problems(key, text, facts.metadata.get(key, ""))
    return problems


def _sizes_fit(expected: Sequence[int], seen: Sequence[int]) -> bool:
    return len(expected) == len(seen) and all(b in (-1, a) for a, b in zip(expected, seen, strict=True))


def _operator_problems(expected: Sequence[Operator], seen: Sequence[Operator]) -> list[str]:
    wanted = {(operator.name, operator.version): operator for operator in expected}
    found = {(operator.name, operator.version): operator for operator in seen}
    problems = [] if len(wanted) == len(expected) else ["the manifest lists an operator twice"]
    for key in sorted(set(wanted) | set(found), key=str):
        name = key[0] if key[1] is None else f"{key[0]} version {key[1]}"
        mine, its = wanted.get(key), found.get(key)
        if mine is None or its is None or mine.count != its.count:
            counts = [operator.count if operator else 0 for operator in (mine, its)]
            problems.append(f"operator {name}: {counts[0]} in the manifest, {counts[1]} in the file")
        elif mine != its:
            problems += _field_problems(f"operator {name}: ", mine, its)
    return problems


def _field_problems(where: str, expected: Record, seen: Record) -> list[str]:
    """The fields in which two records of one kind differ; ``where`` stands before their names."""
    names = [name for name in expected.__struct_fields__ if getattr(expected, name) != getattr(seen, name)]
    pairs = [(name, getattr(expected, name), getattr(seen, name)) for name in names]
    return [
        f"{where}{name} is {_short(wanted)} in the manifest, but {_short(found)} in the file"
        for name, wanted, found in pairs
    ]


def _text_problems(key: str, expected: str, seen: str) -> list[str]:
    """What makes a text of the file another one than it must be; "" stands for one that is not there.

    Texts that hold records may differ where they mean the same, but not by holding more: JSON may say a thing twice.
    """
    if expected == seen:
        return []
    if not seen:
        return [f"the file does not carry its '{key}', which every artifact of this tool does"]
    if not expected:
        return [f"the file carries '{key}', for which the manifest has nothing: {_short(seen)}"]
    mine, its = (_meaning(key, text) for text in (expected, seen))
    if its is None:
        return [f"the file's '{key}' cannot be read: {_short(seen)}"]
    if mine == its and len(seen) <= len(expected):
        return []
    if mine != its and isinstance(mine, Record) and isinstance(its, Record):
        return _field_problems(f"{key}.", mine, its)
    return [_first_difference(key, expected.splitlines(), seen.splitlines())]


def _meaning(key: str, text: str) -> object:
    """The text read as what it holds; None if it is no such thing, the text itself where it holds no record."""
    if key not in _KINDS:
        return text
    try:
        return read_json(text, _KINDS[key], what=key, origin="the file")
    except ArtifactError:
        return None


def _first_difference(key: str, expected: list[str], seen: list[str]) -> str:
    pairs = list(zip_longest(expected, seen, fillvalue="nothing"))
    place = next((place for place, (wanted, found) in enumerate(pairs) if wanted != found), 0)
    line = f" line {place}" if len(pairs) > 1 else ""
    wanted, found = map(_short, pairs[place])
    return f"'{key}'{line} is {wanted} by the manifest, but {found} in the file"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
