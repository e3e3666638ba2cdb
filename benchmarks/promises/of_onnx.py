"""ONNX files of every opset in the first ONNX Runtime that they are promised to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks.promises.artifacts import NARROW, Artifacts
from benchmarks.promises.pythons import Workshop
from benchmarks.promises.table import Row, tried
from export.formats.onnx_file.versions import OPSETS, STATIC_OPSETS
from export.manifest import load_manifest
from export.recipe import DEFAULT_OPSET, Format, Recipe

PYTHON = {"1.0": "3.7"}
"""The Python that a runtime has a wheel for, where it is not 3.8."""


def rows(workshop: Workshop, artifacts: Artifacts) -> Iterator[Row]:
    """One row an opset; other precisions at the default one, and at the first that has them all."""
    for opset in OPSETS:
        yield _tried(workshop, artifacts.exported(Recipe(format=Format.ONNX, opset=opset)))
    for (precision, static), opset in product(NARROW, (STATIC_OPSETS[0], DEFAULT_OPSET)):
        recipe = Recipe(format=Format.ONNX, precision=precision, opset=opset)
        yield _tried(workshop, artifacts.exported(recipe, static=static))


def _tried(workshop: Workshop, manifest: Path) -> Row:
    release = load_manifest(manifest).requires.removeprefix("ONNX Runtime >= ").partition(" ")[0]
    build = partial(workshop.environment, PYTHON.get(release, "3.8"), f"onnxruntime=={release}.0")
    return tried(manifest, f"onnxruntime {release}.0", build, claimed=True)
