"""Other people's networks through the formats, each file proven in its own runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from timm_networks import ATTENTION, CONVOLUTIONAL, build

from edgevit_export import export
from export.recipe import Format, Recipe

FAMILIES = (
    "RepVGG",
    "MobileNetV3",
    "MobileNetV4",
    "EfficientNet",
    "GhostNet",
    "ConvMixer",
    "ConvNeXt",
    "DeiT",
    "Swin",
    "PVT v2",
    "Twins-PCPVT",
    "LeViT",
    "MobileViT",
    "EfficientFormer V2",
    "RepViT",
    "XCiT",
    "FastViT",
)
LEFT = {
    # Behind an activation, with two readers; in front of an activation.
    "ConvMixer": ("aten::batch_norm x 3: others than products", "aten::batch_norm x 3: no product"),
    # Read by the queries' linear layer and by the convolution, or another layer, of keys and values.
    "PVT v2": ("aten::layer_norm x 6",),
    "Twins-PCPVT": ("aten::layer_norm x 3", "FULLY_CONNECTED x 1: its weights are computed"),  # one head, batch 1
    "XCiT": ("aten::layer_norm x 2", "aten::batch_norm x 2: a convolution behind it pads the border"),
    "Swin": ("aten::mul x 4",),  # the scale of queries from a joint projection, as TorchScript lite
    "EfficientFormer V2": ("aten::batch_norm x 1: no product",),  # in front of two heads
    "FastViT": ("aten::batch_norm x 3: no product", "aten::batch_norm x 1: others read"),
}
"""Of the shortfalls, those that are in the network."""
NETWORKS = {network.family: network for network in (*CONVOLUTIONAL, *ATTENTION)}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_format_is_optimised_and_passes(family: str, tmp_path: Path) -> None:
    model, spec = build(NETWORKS[family])
    report = export(model, spec, tuple(Format), output=tmp_path)
    for outcome in report.outcomes:
        assert outcome.verdict == "passed", (outcome.recipe.format, outcome.reasons)
        assert any(log.rewrites for log in outcome.passes), outcome.recipe.format
        assert {log.name: log.not_run for log in outcome.passes if log.not_run} == {}, outcome.recipe.format
        unexpected = [line for line in outcome.shortfalls if not any(known in line for known in LEFT.get(family, ()))]
        assert unexpected == [], outcome.recipe.format


@pytest.mark.parametrize("batch", [1, 2])
def test_a_class_token_is_copied_for_a_free_batch(batch: int, tmp_path: Path) -> None:
    model, spec = build(replace(NETWORKS["DeiT"], batch=batch))
    recipes = [Recipe(format=format, dynamic_batch=True) for format in (Format.PTL, Format.ONNX)]
    report = export(model, spec, recipes, output=tmp_path)
    assert report.passed, [outcome.reasons for outcome in report.outcomes]
