"""What every artifact says about itself, inside the file: the same keys and values in all formats."""

from __future__ import annotations

import msgspec

from edgevit.spec import ModelSpec
from export.recipe import Recipe

PREFIX = "edgevit_export."


def artifact_metadata(spec: ModelSpec, recipe: Recipe) -> dict[str, str]:
    """Texts to store in an artifact, by key.

    ``spec`` and ``recipe`` are the records as JSON; ``preprocessing`` (JSON) and ``labels`` (one a line) repeat what
    an app needs, where the spec has it.
    """
    texts = {"spec": _json(spec), "recipe": _json(recipe)}
    if spec.preprocessing is not None:
        texts["preprocessing"] = _json(spec.preprocessing)
    if spec.labels:
        texts["labels"] = "\n".join(spec.labels)
    return texts


def _json(record: msgspec.Struct) -> str:
    return msgspec.json.encode(record).decode()
