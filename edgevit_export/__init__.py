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
    from edgevit_export.api import ExportReport, FormatOutcome, Outcome, export, verify
    from export.recipe import Recipe

__all__ = ["ExportReport", "FormatOutcome", "Outcome", "Recipe", "build_model", "export", "verify"]

_ELSEWHERE = {"build_model": "edgevit.build", "Recipe": "export.recipe"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'edgevit_export' has no attribute '{name}'")
    return getattr(import_module(_ELSEWHERE.get(name, "edgevit_export.api")), name)
