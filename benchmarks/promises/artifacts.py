"""The artifacts that promises are tried with: exported once each, by the exporter as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.build import build_model
from edgevit_export.api import export
from export.manifest import manifest_path
from export.recipe import Recipe


@dataclass(frozen=True)
class Artifacts:
    """Exports of ``variant`` under ``folder``, with random weights."""

    folder: Path
    variant: str

    def exported(self, recipe: Recipe, *, task: str = "classify") -> Path:
        """The manifest of the artifact of ``recipe``, which is exported unless it is there.

        Raises:
            SystemExit: It was not exported, or failed its verification here.
        """
        model, spec = build_model(self.variant, task=task)
        output = self.folder / task
        manifest = manifest_path(output / recipe.file_name(spec.name))
        if not manifest.is_file():
            report = export(model, spec, [recipe], output=output)
            if not report.passed:
                raise SystemExit(f"error: {recipe} could not be exported")
        return manifest
