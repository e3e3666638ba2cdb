"""Converters that really fail: the error names the layer; telling it changes no file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mobile_artifacts import small, small_program
from pass_rig import Lambda, captured
from torch import nn

from edgevit.errors import ExportError
from export.build import export_artifact
from export.formats.failing_layers import layers_in, mark
from export.formats.tflite_file import write as tflite
from export.program import Program
from export.quiet import quiet
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
    assert re.search(rf"layers.middle: {operator}\)|{operator}\w* in layers.middle", caught.value.message)


def test_operators_of_other_names_are_not_taken_for_it() -> None:
    inverse = program(torch.linalg.inv)
    told = ValueError("no aten::linalg, aten.linalg_invert.default or aten::conv for this")
    assert layers_in(inverse, told) == ""
    assert layers_in(inverse, ValueError("aten::conv2d fails")) == " (in layers.stem: conv2d)"
    assert layers_in(inverse, ValueError("aten::linalg_inv_ex fails")) == " (in layers.middle: linalg_inv)"
    assert layers_in(inverse, ValueError("the converter fails")) == ""


def test_a_mark_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = small(Format.TFLITE)
    monkeypatch.setattr(tflite, "mark", lambda node, place: node.meta.pop("stack_trace", None))
    with quiet():
        tflite.write(built.program, built.recipe, tmp_path / "unmarked.tflite")
    assert (tmp_path / "unmarked.tflite").read_bytes() == built.path.read_bytes()


def test_a_marked_line_is_the_call_at_its_place() -> None:
    program = small_program()
    calls = list(program.module.graph.nodes)
    place = next(at for at, node in enumerate(calls) if "linear" in str(node.target))
    assert layers_in(program, ValueError(f"layer head:{place}:0: error: no")) == " (in head: linear)"
    mark(calls[place], place)
    assert layers_in(program, ValueError(calls[place].meta["stack_trace"])) == " (in head: linear)"


def test_an_operator_is_told_with_its_layers_and_nothing_without() -> None:
    program = small_program()
    found = layers_in(program, ValueError("Exporting the operator 'aten::conv2d' is not supported"))
    assert found == " (in stem.0: conv2d, mix: conv2d)"
    assert not layers_in(program, ValueError("no memory left"))
