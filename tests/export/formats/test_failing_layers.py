"""Converters that really fail: the error names the layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pass_rig import Lambda, captured
from torch import nn

from edgevit.errors import ExportError
from export.build import export_artifact
from export.formats.failing_layers import layers_named
from export.program import Program
from export.recipe import Format, Recipe


class Decorrelate(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x + 8 * torch.eye(8))


def program(function: object) -> Program:
    """A convolution, then ``function`` on its maps in a layer called ``layers.middle``."""
    net = Lambda(
        lambda layers, x: layers["middle"](layers["stem"](x)),
        stem=nn.Conv2d(3, 4, 3, padding=1),
        middle=Decorrelate(function),
    )
    return captured(net.eval(), (1, 3, 8, 8), torch.float32)


@pytest.mark.parametrize(
    ("format", "function", "operator"),
    [
        (Format.ONNX, torch.linalg.inv, "linalg_inv"),
        (Format.PTE, torch.linalg.inv, "linalg_inv"),
        (Format.TFLITE, torch.linalg.det, "linalg_det"),
    ],
)
def test_a_converter_that_fails_names_the_layer(
    tmp_path: Path, format: Format, function: object, operator: str
) -> None:
    with pytest.raises(ExportError) as caught:
        export_artifact(program(function), Recipe(format=format), tmp_path)
    assert "sample" in caught.value.message
    assert f"aten::{operator} is called in layers.middle" in caught.value.__notes__


def test_operators_of_other_names_are_not_taken_for_it() -> None:
    inverse = program(torch.linalg.inv)
    assert layers_named("no aten::linalg, aten.linalg_invert.default or aten::conv for this", inverse) == ()
    assert layers_named("aten::conv2d fails", inverse) == ("aten::conv2d is called in layers.stem",)
    assert layers_named("the converter fails", inverse) == ()
