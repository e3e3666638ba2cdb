"""Which node of a file computes which layer: each has one of its own, or its name is in the error."""

import dataclasses
from pathlib import Path

import onnx
import pytest
import torch
from int8_plans import planned
from small_models import conv_net, spec_of
from torch import Tensor, nn

from edgevit.errors import ExportError
from edgevit.spec import TensorSpec
from export.formats.onnx_file.layers import nodes_of_layers
from export.formats.onnx_file.write import write
from export.int8.record import LayerKind, Scheme
from export.program import Program, capture
from export.recipe import Format, Precision, Recipe

BOTH = {LayerKind.LINEAR: Scheme.DYNAMIC, LayerKind.CONV: Scheme.WEIGHTS}


def converted(program: Program, directory: Path) -> onnx.ModelProto:
    """The float file of a program."""
    write(dataclasses.replace(program, quantization=None), Recipe(format=Format.ONNX), directory / "model.onnx")
    return onnx.load(directory / "model.onnx")


def test_every_layer_has_its_node(tmp_path: Path) -> None:
    program = planned(capture(*conv_net()), BOTH)
    found = nodes_of_layers(converted(program, tmp_path), program)
    assert {name.split("/")[1]: layer.module for name, layer in found.items()} == {"stem": "stem.0", "head": "head"}
    assert {name.rpartition("/")[2] for name in found} == {"Conv", "Gemm"}


def test_a_layer_that_stays_float_needs_none(tmp_path: Path) -> None:
    program = planned(capture(*conv_net()), {LayerKind.LINEAR: Scheme.DYNAMIC})
    model = converted(program, tmp_path)
    assert [layer.module for layer in nodes_of_layers(model, program).values()] == ["head"]


def test_a_layer_without_a_node_is_named(tmp_path: Path) -> None:
    program = planned(capture(*conv_net()), BOTH)
    model = converted(program, tmp_path)
    next(node for node in model.graph.node if node.op_type == "Gemm").name = "/elsewhere/linear/Gemm"
    with pytest.raises(ExportError, match=r"no node of the ONNX file alone is the layer head$"):
        nodes_of_layers(model, program)


def test_a_node_with_other_weights_is_not_taken_for_it(tmp_path: Path) -> None:
    program = planned(capture(*conv_net()), BOTH)
    model = converted(program, tmp_path)
    for node in model.graph.node:
        if node.op_type in {"Conv", "Gemm"}:
            (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
            weights.dims[0] += 1
    with pytest.raises(ExportError, match=r"stem\.0, head") as caught:
        nodes_of_layers(model, program)
    assert caught.value.hint == "leave it out with --keep-float"


class Twice(nn.Module):
    """One layer without a bias that is used twice, of three axes; (1, 5, 8) -> (1, 5, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.sin(self.fc(x)))


def test_calls_of_one_module_have_a_node_each(tmp_path: Path) -> None:
    x, y = (TensorSpec(name=name, shape=(1, 5, 8)) for name in "xy")
    program = planned(capture(Twice().eval(), spec_of("twice", (x,), (y,))), BOTH)
    assert program.quantization is not None
    write(program, Recipe(format=Format.ONNX, precision=Precision.INT8), tmp_path / "model.onnx")
    names = [node.name for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "MatMulInteger"]
    assert [name.split("/")[1:3] for name in names] == [["fc", call] for call in program.quantization.layers]
