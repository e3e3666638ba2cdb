"""Which node of a file computes which layer: each has one of its own, or its name is in the error."""

import dataclasses
from pathlib import Path

import msgspec
import onnx
import pytest
from int8_plans import planned
from small_models import conv_net

from edgevit.errors import ExportError
from export.formats.onnx_file.layers import nodes_of_layers
from export.formats.onnx_file.write import write
from export.int8.record import LayerKind, Scheme
from export.program import Program, capture
from export.recipe import Format, Recipe

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
    assert program.quantization is not None
    layers = {
        name: msgspec.structs.replace(layer, weights=layer.weights + 1)
        for name, layer in program.quantization.layers.items()
    }
    wrong = dataclasses.replace(program, quantization=dataclasses.replace(program.quantization, layers=layers))
    with pytest.raises(ExportError, match=r"stem\.0, head"):
        nodes_of_layers(converted(program, tmp_path), wrong)
