"""A converter's error is told with the layer that it came from, and telling it changes no file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mobile_artifacts import small, small_program
from small_models import spec_of
from torch import Tensor, nn

from edgevit.errors import ExportError
from edgevit.spec import TensorSpec
from export.formats.failure import layers_in, mark
from export.formats.onnx_file.write import write as write_onnx
from export.formats.tflite_file import write as tflite
from export.program import Program, capture
from export.quiet import quiet
from export.recipe import Format, Recipe


class Inside(nn.Module):
    """An operator that neither ONNX nor TFLite has: a determinant."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.lu_factor_ex(x)[0] + 1


class Outside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.ReLU(), Inside())

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.hidden(x)
        return scores


def _outside() -> Program:
    tensor = TensorSpec(name="x", shape=(1, 4, 4))
    return capture(Outside().eval(), spec_of("outside", (tensor,), (TensorSpec(name="y", shape=(1, 4, 4)),)))


def test_tflite_names_the_layer(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"\(in hidden\.1: linalg_lu_factor_ex\)"), quiet():
        tflite.write(_outside(), Recipe(format=Format.TFLITE), tmp_path / "no.tflite")


def test_onnx_names_the_layer(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"\(in hidden\.1: linalg_lu_factor_ex\)"), quiet():
        write_onnx(_outside(), Recipe(format=Format.ONNX), tmp_path / "no.onnx")


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
