"""The reference network behind artifacts on disk, rebuilt to compare on photos that the golden set does not hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgevit.errors import UsageError
from edgevit.shell import quoted
from edgevit.spec import ModelSpec
from export.golden import GoldenSet, make_golden
from export.quiet import quiet


class PhotoReferences:
    """Reference outputs of a directory of photos, computed once per model.

    Args:
        images: The photos.
        checkpoint: The weights file, for artifacts that came from one.
        module: The user's own code, for artifacts that came from there.
        note: Told of photos that are left out.
    """

    def __init__(
        self,
        images: Path,
        checkpoint: Path | None,
        note: Callable[[str], None] = lambda text: None,
        module: str | None = None,
    ) -> None:
        self._note = note
        self._images = images
        self._checkpoint = checkpoint
        self._module = module
        self._known: dict[str, GoldenSet] = {}

    def of(self, spec: ModelSpec, held_bytes: int) -> GoldenSet:
        """The photos as inputs of the model, and its answers to them.

        Args:
            spec: The model, as a manifest describes it.
            held_bytes: Size of its artifact; see ``rebuild_model``.

        Raises:
            UsageError: The photos cannot be used, the network cannot be rebuilt, or its weights or code were not given.
            CheckpointError: The weights file is not the one that the artifact was exported from.
        """
        key = spec.to_json()
        if key not in self._known:
            self._known[key] = self._compute(spec, held_bytes)
        return self._known[key]

    def _compute(self, spec: ModelSpec, held_bytes: int) -> GoldenSet:
        from edgevit.rebuild import rebuild_model
        from export.photos import load_photos

        photos = load_photos(self._images, spec, self._note)
        trained = spec.weights.source == "checkpoint"
        if trained and self._checkpoint is None:
            raise UsageError(
                f"{spec.name} was exported from {spec.weights.file}: comparing on photos needs that file",
                hint=f"--checkpoint {quoted(Path(spec.weights.file or 'FILE'))}",
            )
        checkpoint = self._checkpoint if takes_checkpoint(spec) else None
        with quiet(verbose=True):  # a user's own code may print
            model = rebuild_model(spec, checkpoint, self._module, held_bytes)
        golden = make_golden(model, spec, photos)
        return golden[len(golden) - len(photos.labels) :]


def takes_checkpoint(spec: ModelSpec) -> bool:
    """Whether a weights file can say which weights the network has: others are random, or in the user's own code."""
    return spec.weights.source in ("checkpoint", "hub")
