"""What a plan says of itself."""

from __future__ import annotations

import pytest
import torch

from export.int8.plan import MEASURED, Quantization
from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme

LAYERS = {
    name: LayerRecord(name=name, module=name, kind=LayerKind.LINEAR, weights=4, scheme=scheme)
    for name, scheme in (("a", Scheme.STATIC), ("b", Scheme.FLOAT), ("c", Scheme.STATIC))
}


@pytest.mark.parametrize(("count", "words"), [(16, "16 images"), (MEASURED, "32 images"), (100, "32 images")])
def test_a_static_plan_says_how_many_images_its_figures_are_over(count: int, words: str) -> None:
    plan = Quantization(LAYERS, feeds=((torch.zeros(1),),) * count, digests=("0",) * count)
    assert plan.record.measured_on == f"{words} of the calibration"
    assert plan.record.images == ("0",) * count
    assert QuantizationRecord.from_json(plan.record.to_json()) == plan.record


def test_a_dynamic_plan_was_measured_on_golden_inputs() -> None:
    plan = Quantization(LAYERS)
    assert (plan.record.measured_on, plan.record.images) == ("the golden inputs", ())


def test_layers_are_named_by_scheme_in_their_order() -> None:
    plan = Quantization(LAYERS)
    assert [layer.name for layer in plan.named(Scheme.STATIC)] == ["a", "c"]
    assert plan.named(Scheme.DYNAMIC) == ()
    assert [layer.name for layer in plan.record.layers] == ["a", "b", "c"]
