"""ONNX files of every opset in the first ONNX Runtime that they are promised to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.promises.artifacts import Artifacts
from benchmarks.promises.pythons import Workshop
from benchmarks.promises.table import Row, tried
from export.formats.onnx_file.versions import OPSETS, lowest_runtime
from export.recipe import Format, Recipe

PYTHON = {"1.0": "3.7"}
"""The Python that a runtime has a wheel for, where it is not 3.8."""


def rows(workshop: Workshop, artifacts: Artifacts) -> Iterator[Row]:
    """One row an opset."""
    for opset in OPSETS:
        release = lowest_runtime(opset)
        manifest = artifacts.exported(Recipe(format=Format.ONNX, opset=opset))
        build = partial(workshop.environment, PYTHON.get(release, "3.8"), f"onnxruntime=={release}.0")
        yield tried(manifest, f"onnxruntime {release}.0", build, claimed=True)
