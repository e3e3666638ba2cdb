"""Other people's networks through the formats, each file proven in its own runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from timm_networks import ATTENTION, CONVOLUTIONAL, build

from edgevit_export import export
from export.recipe import Format

ALL = tuple(Format)
FORMATS = {
    "RepVGG": ALL,
    "MobileNetV3": (Format.PTL, Format.ONNX, Format.PTE),
    "GhostNet": (Format.PTL, Format.ONNX, Format.PTE),
    "DeiT": ALL,
    "PVT v2": ALL,
    "Swin": ALL,
    "XCiT": (Format.PTL, Format.ONNX, Format.TFLITE),
    "FastViT": (Format.PTL, Format.ONNX),
}
"""By family, the formats in which they are known to pass."""
NETWORKS = {network.family: network for network in (*CONVOLUTIONAL, *ATTENTION)}


@pytest.mark.parametrize("family", FORMATS)
def test_every_format_is_optimised_and_passes(family: str, tmp_path: Path) -> None:
    model, spec = build(NETWORKS[family])
    report = export(model, spec, FORMATS[family], output=tmp_path)
    for outcome in report.outcomes:
        assert outcome.verdict == "passed", (outcome.recipe.format, outcome.reasons)
        assert any(log.rewrites for log in outcome.passes), outcome.recipe.format
        assert {log.name: log.not_run for log in outcome.passes if log.not_run} == {}, outcome.recipe.format
