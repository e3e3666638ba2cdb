"""The artifacts that promises are tried with: exported once each, by the exporter as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from edgevit.build import build_model
from edgevit.spec import ModelSpec
from edgevit_export.api import export
from export.manifest import manifest_path
from export.quantization.calibration import FEWEST, CalibrationImages, digests_of
from export.recipe import Precision, Recipe
from export.stimuli import Samples

NARROW = ((Precision.FP16, False), (Precision.INT8, False), (Precision.INT8, True))
"""Other precisions than float32, and whether their ranges are fixed by a calibration."""


@dataclass(frozen=True)
class Artifacts:
    """Exports of ``variant`` under ``folder``, with random weights."""

    folder: Path
    variant: str

    def exported(self, recipe: Recipe, *, task: str = "classify", static: bool = False) -> Path:
        """The manifest of the artifact of ``recipe``, which is exported unless it is there; ``static``: calibrated.

        Raises:
            SystemExit: It was not exported, or failed its verification here.
        """
        model, spec = build_model(self.variant, task=task)
        images = _images(spec) if static else None
        named = recipe if images is None else replace(recipe, calibration=images.record)
        output = self.folder / task
        manifest = manifest_path(output / named.file_name(spec.name))
        if not manifest.is_file():
            report = export(model, spec, [recipe], output=output, calibration_data=images)
            if not report.passed:
                raise SystemExit(f"error: {recipe} could not be exported")
        return manifest


def _images(spec: ModelSpec) -> CalibrationImages:
    """Noise: no accuracy is asked for here."""
    (tensor,) = spec.inputs
    drawn = np.random.default_rng(20).standard_normal((FEWEST, *tensor.shape[1:])).astype(np.float32)
    samples = Samples(tuple(f"drawn {place}" for place in range(FEWEST)), {tensor.name: drawn})
    return CalibrationImages(samples, digests_of(samples))
