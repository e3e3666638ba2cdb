"""TFLite files in TFLite from 2.8 and LiteRT from 1.0, with and without XNNPACK."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.promises.artifacts import NARROW, Artifacts
from benchmarks.promises.pythons import Workshop, own_python
from benchmarks.promises.table import Row, tried
from edgevit.spec import Layout
from export.formats.tflite_file.versions import newest
from export.manifest import load_manifest
from export.recipe import Format, Optimize, Recipe

RUNTIMES = (
    ("3.8", "tflite-runtime==2.8.0"),
    ("3.8", "tflite-runtime==2.9.1"),
    ("3.8", "tflite-runtime==2.10.0"),
    ("3.8", "tflite-runtime==2.11.0"),
    ("3.8", "tflite-runtime==2.12.0"),
    ("3.8", "tflite-runtime==2.13.0"),
    ("3.8", "tflite-runtime==2.14.0"),
    (own_python(), "ai-edge-litert==1.0.1"),
    (own_python(), "ai-edge-litert==1.4.0"),
    (own_python(), "ai-edge-litert==2.0.3"),
)
"""The Python, since old wheels are for old ones, and the runtime."""
NUMPY = "numpy==1.26.4"
"""For runtimes in this Python; those before LiteRT 1.1 were built for numpy 1."""
PLAIN_IN = ("tflite-runtime==2.9.1", "tflite-runtime==2.14.0", "ai-edge-litert==1.0.1")
"""Where plain files and features are tried too: the first that is claimed, and both ends of the rename."""


def rows(workshop: Workshop, artifacts: Artifacts) -> Iterator[Row]:
    """Every runtime with the network as it is exported by default, some with its other forms."""
    default = artifacts.exported(Recipe(format=Format.TFLITE))
    for python, package in RUNTIMES:
        yield from _both_ways(workshop, default, python, package)
    others = [
        artifacts.exported(Recipe(format=Format.TFLITE, input_layout=Layout.NHWC), task="features"),
        artifacts.exported(Recipe(format=Format.TFLITE, optimize=Optimize.NONE)),
        *(artifacts.exported(Recipe(format=Format.TFLITE, precision=each), static=static) for each, static in NARROW),
    ]
    for manifest in others:
        for python, package in RUNTIMES:
            if package in PLAIN_IN:
                yield from _both_ways(workshop, manifest, python, package)


def _both_ways(workshop: Workshop, manifest: Path, python: str, package: str) -> Iterator[Row]:
    packages = (package, NUMPY) if python == own_python() else (package,)
    build = partial(workshop.environment, python, *packages)
    runtime = package.replace("==", " ")
    name, _, version = runtime.partition(" ")
    lowest = load_manifest(manifest).requires.removeprefix("TFLite >= ")
    claimed = name != "tflite-runtime" or newest((lowest, version)) == version  # LiteRT is what came behind 2.17
    yield tried(manifest, f"{runtime}, XNNPACK", build, claimed=claimed)
    yield tried(manifest, f"{runtime}, without", build, claimed=claimed, delegate=False)
