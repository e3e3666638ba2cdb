"""The front door: command line and Python API, the only place where the rooms are wired together.

    from edgevit_export import build_model, export, verify

    model, spec = build_model("s")
    report = export(model, spec, ["ptl", "onnx", "tflite"])
    assert report.passed

The names are loaded on first use, so that the command line starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgevit.build import build_model
    from edgevit.sources.from_timm import build_timm
    from edgevit.sources.spec_for import spec_for
    from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights
    from edgevit_export.api import ExportReport, FormatOutcome, Outcome, export, verify
    from export.recipe import Recipe

_ELSEWHERE = {
    "build_model": "edgevit.build",
    "build_timm": "edgevit.sources.from_timm",
    "spec_for": "edgevit.sources.spec_for",
    "Recipe": "export.recipe",
    **dict.fromkeys(("Layout", "ModelSpec", "Preprocessing", "Task", "TensorSpec", "Weights"), "edgevit.spec"),
}

__all__ = [
    "ExportReport",
    "FormatOutcome",
    "Layout",
    "ModelSpec",
    "Outcome",
    "Preprocessing",
    "Recipe",
    "Task",
    "TensorSpec",
    "Weights",
    "build_model",
    "build_timm",
    "export",
    "spec_for",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'edgevit_export' has no attribute '{name}'")
    return getattr(import_module(_ELSEWHERE.get(name, "edgevit_export.api")), name)
