"""What every artifact says about itself, inside the file: the same keys and values in all formats."""

from __future__ import annotations

import msgspec

from edgevit.errors import ArtifactError
from edgevit.spec import ModelSpec, TensorSpec
from export.program import Program
from export.recipe import Recipe

PREFIX = "edgevit_export."
INPUTS, OUTPUTS = "inputs", "outputs"


def artifact_metadata(spec: ModelSpec, recipe: Recipe) -> dict[str, str]:
    """Texts to store in an artifact, by key; equal specs and recipes give equal texts.

    ``spec`` and ``recipe`` are the records as JSON; ``preprocessing`` (JSON) and ``labels`` (one a line) repeat what
    an app needs, where the spec has it; ``weights`` is a phrase for people.
    """
    texts = {"spec": _json(spec), "recipe": _json(recipe), "weights": spec.weights.describe()}
    if spec.preprocessing is not None:
        texts["preprocessing"] = _json(spec.preprocessing)
    if spec.labels:
        texts["labels"] = "\n".join(spec.labels)
    return texts


def tensor_metadata(program: Program) -> dict[str, str]:
    """The tensors of the file as JSON, for formats that do not keep their names or layouts."""
    return {INPUTS: _json(program.inputs), OUTPUTS: _json(program.outputs)}


def tensors_from(metadata: dict[str, str], key: str, origin: str) -> tuple[TensorSpec, ...]:
    """The tensors stored under ``key``; empty when the file was not written by this tool.

    Raises:
        ArtifactError: The stored text is not a list of tensors.
    """
    if key not in metadata:
        return ()
    try:
        return msgspec.json.decode(metadata[key], type=tuple[TensorSpec, ...])
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"{origin}: metadata '{key}' is not a list of tensors: {error}") from error


def _json(value: msgspec.Struct | tuple[TensorSpec, ...]) -> str:
    return msgspec.json.encode(value).decode()
