"""The Python API: from a model to verified artifacts, and verification of what stands on disk.

    from edgevit_export import build_model, export, verify

    model, spec = build_model("s")
    report = export(model, spec, ["ptl", "onnx", "tflite"], output="artifacts")
    assert report.passed

``export`` takes any ``nn.Module`` with the ``ModelSpec`` that describes it; nothing behind it knows EdgeViT.
"""

from __future__ import annotations

from edgevit_export.workflows.export import ExportReport, FormatOutcome, export
from edgevit_export.workflows.export_request import check_request
from edgevit_export.workflows.verify import verify

Outcome = FormatOutcome  # its name in version 0.1

__all__ = ["ExportReport", "FormatOutcome", "Outcome", "check_request", "export", "verify"]
