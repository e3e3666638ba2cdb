"""What every artifact says about itself, inside the file: the same keys and values in all formats."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from edgevit.errors import ArtifactError
from edgevit.spec import ModelSpec, TensorSpec
from export.int8.record import QuantizationRecord
from export.recipe import Recipe

Value = TypeVar("Value")

PREFIX = "edgevit_export."
INPUTS, OUTPUTS = "inputs", "outputs"
LARGEST = 2**63 - 1  # elements along an axis; the formats' own fields hold no more
KEYS = ("spec", "recipe", "weights", "preprocessing", "labels", "layers", INPUTS, OUTPUTS)
"""All that ``artifact_metadata`` may store."""


def artifact_metadata(
    spec: ModelSpec,
    recipe: Recipe,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    layers: QuantizationRecord | None = None,
) -> dict[str, str]:
    """Texts to store in an artifact, by key; equal arguments give equal texts.

    ``spec`` and ``recipe`` are the records as JSON, ``inputs`` and ``outputs`` the tensors of the file (for formats
    that do not keep their names or layouts); ``preprocessing`` (JSON) and ``labels`` (one a line) repeat what an app
    needs, where the spec has it; ``weights`` is a phrase for people. ``layers`` is the SHA-256 of what became of the
    layers in int8, which the manifest holds.
    """
    texts = {"spec": _json(spec), "recipe": _json(recipe), "weights": spec.weights.describe()}
    if spec.preprocessing is not None:
        texts["preprocessing"] = _json(spec.preprocessing)
    if spec.labels:
        texts["labels"] = "\n".join(spec.labels)
    if layers is not None:
        texts["layers"] = hashlib.sha256(msgspec.json.encode(layers)).hexdigest()
    return texts | {INPUTS: _json(inputs), OUTPUTS: _json(outputs)}


def unambiguous(entries: Iterable[tuple[str, str]], origin: str) -> dict[str, str]:
    """Entries of metadata by key.

    Raises:
        ArtifactError: Two entries have one key: which of them an app reads is its reader's choice.
    """
    found: dict[str, str] = {}
    for key, text in entries:
        if key in found:
            raise ArtifactError(f"{origin}: its metadata holds '{key}' twice")
        found[key] = text
    return found


def tensors_from(metadata: dict[str, str], key: str, origin: str) -> tuple[TensorSpec, ...]:
    """The tensors stored under ``key``; empty when the file was not written by this tool.

    Raises:
        ArtifactError: The stored text is not a list of tensors, or of some that no format has.
    """
    trouble = f"{origin}: metadata '{key}' is not a list of tensors"
    tensors = decode(metadata.get(key, "[]"), tuple[TensorSpec, ...], trouble)
    for tensor in tensors:
        if any(not -1 <= size <= LARGEST for size in tensor.shape):
            raise ArtifactError(f"{trouble}: '{tensor.name}' has an axis of a length that no tensor can have")
    return tensors


def decode(text: str, kind: type[Value], trouble: str) -> Value:
    """Read JSON that an artifact holds; whatever is wrong with it is told behind the words ``trouble``.

    Raises:
        ArtifactError: The text is no JSON of this kind.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ArtifactError(f"{trouble}: {error}") from error


def _json(value: msgspec.Struct | tuple[TensorSpec, ...]) -> str:
    return msgspec.json.encode(value).decode()
