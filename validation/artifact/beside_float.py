"""Whether a delegate does less with an artifact than with the float32 one beside it: int8 may tear a graph apart."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from edgevit.errors import ArtifactError
from edgevit.names import file_name
from export.artifact import Delegation, Manifest
from export.manifest import load_manifest, manifest_path
from export.recipe import Precision, Recipe


def delegation_beside(artifact: Path, manifest: Manifest) -> tuple[str, ...]:
    """What a delegate does worse than with the float32 artifact in the same directory, a line each.

    Empty where nothing is worse, where the artifact is float32 itself, and where none is beside it.

    Args:
        artifact: The file of ``manifest``; it need not be there.
        manifest: Of the artifact, with its delegation.
    """
    if manifest.recipe.precision is Precision.FP32 or manifest.delegation is None:
        return ()
    plain = Recipe(format=manifest.recipe.format)
    kept = ("optimize", "input_layout", "opset", "dynamic_batch", "ptl_bytecode")
    plain = replace(plain, **{name: getattr(manifest.recipe, name) for name in kept})
    try:
        other = load_manifest(manifest_path(artifact.with_name(plain.file_name(file_name(manifest.spec.name)))))
    except ArtifactError:
        return ()
    if other.spec != manifest.spec or other.delegation is None:
        return ()
    return worse(manifest.delegation, other.delegation)


def worse(seen: Delegation, plain: Delegation) -> tuple[str, ...]:
    """In which ways ``seen`` is worse than ``plain``: more pieces, or more operators outside."""
    lines = []
    if seen.partitions > plain.partitions:
        lines.append(f"{seen.delegate} takes it in {seen.partitions} pieces, float32 in {plain.partitions}")
    outside, before = seen.total - seen.delegated, plain.total - plain.delegated
    if outside > before:
        lines.append(f"{outside} operators stay outside of {seen.delegate}, of float32 {before}")
    return tuple(lines)
