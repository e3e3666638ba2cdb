"""The reference network behind artifacts on disk, rebuilt to compare on photos that the golden set does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.spec import ModelSpec
from export.golden import GoldenSet, make_golden
from export.manifest import load_manifest

if TYPE_CHECKING:
    from torch import nn


class PhotoReferences:
    """Reference outputs of a directory of photos, computed once per model.

    Args:
        images: The photos.
        checkpoint: The weights file, for artifacts that came from one.
    """

    def __init__(self, images: Path, checkpoint: Path | None) -> None:
        self._images = images
        self._checkpoint = checkpoint
        self._known: dict[str, GoldenSet] = {}

    def of(self, manifest: Path) -> GoldenSet | None:
        """The golden set of the photos for the artifact of ``manifest``; None if the manifest cannot be read.

        Raises:
            UsageError: The photos cannot be used, or the network cannot be rebuilt from the manifest.
            CheckpointError: The weights file is not the one that the artifact was exported from.
        """
        try:
            spec = load_manifest(manifest).spec
        except EdgevitExportError:
            return None  # verification reports the damaged manifest itself
        key = spec.to_json()
        if key not in self._known:
            self._known[key] = self._compute(spec)
        return self._known[key]

    def _compute(self, spec: ModelSpec) -> GoldenSet:
        from export.photos import load_photos

        photos = load_photos(self._images, spec)
        golden = make_golden(rebuild(spec, self._checkpoint), spec, photos)
        return golden[len(golden) - len(photos.labels) :]


def rebuild(spec: ModelSpec, checkpoint: Path | None) -> nn.Module:
    """The EdgeViT that ``spec`` describes, with the same weights.

    Raises:
        UsageError: ``spec`` is not one that ``edgevit`` builds, or its weights file was not given.
        CheckpointError: The weights file cannot be used.
    """
    from edgevit.rebuild import rebuild_model

    if spec.weights.source == "checkpoint" and checkpoint is None:
        raise UsageError(
            f"{spec.name} was exported from {spec.weights.file}: comparing on photos needs that file",
            hint=f"--checkpoint {spec.weights.file}",
        )
    return rebuild_model(spec, checkpoint if spec.weights.source == "checkpoint" else None)
