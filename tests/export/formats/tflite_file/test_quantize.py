"""Int8, layer by layer."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from int8_plans import planned as planned_by_hand
from pass_rig import captured
from tflite_layers import LABELS, answers, images, planned, products, written
from torch import Tensor, nn

from edgevit.errors import ExportError
from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, parse
from export.formats.tflite_file.flat_model import unpacked
from export.formats.tflite_file.quantize import quantized
from export.formats.tflite_file.read import read
from export.int8.plan import Quantization
from export.int8.record import LayerKind, Scheme
from export.program import Program
from export.recipe import Format, Precision
from runtimes.sessions.table import open_session
from validation.artifact.agreement import sqnr_db_of

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import OperatorT, SubGraphT

SCHEMES = {
    "stem.0": Scheme.STATIC,
    "mix": Scheme.FLOAT,
    "head": Scheme.DYNAMIC,
}
FEEDS = images(20)


def mixed(kind: LayerKind, module: str) -> Scheme:
    """The two linear layers that share the top level are static and weights only, in the order of their execution."""
    return SCHEMES.get(module, Scheme.STATIC)


def mixed_program() -> Program:
    program = planned(products(), mixed, FEEDS)
    plan = program.quantization
    assert plan is not None
    shared = [name for name, layer in plan.layers.items() if layer.module not in SCHEMES]
    assert len(shared) == 2
    layers = dict(plan.layers)
    layers[shared[1]] = msgspec.structs.replace(layers[shared[1]], scheme=Scheme.WEIGHTS)
    return dataclasses.replace(program, quantization=dataclasses.replace(plan, layers=layers))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(mixed_program(), Precision.INT8, tmp_path_factory.mktemp("int8"))


def types(graph: TfliteGraph, operator: TfliteOperator) -> tuple[str, str, str]:
    """Of what an operator reads, of its weights and of what it gives."""
    read_, held, made = (graph.tensors[index] for index in (*operator.inputs[:2], operator.outputs[0]))
    return read_.dtype, held.dtype, made.dtype


def product(graph: TfliteGraph, name: str, shape: tuple[int, ...]) -> TfliteOperator:
    """The operator of that name whose weights have that shape."""
    (found,) = (
        operator
        for operator in graph.operators
        if operator.name == name and graph.tensors[operator.inputs[1]].shape == shape
    )
    return found


def run(path: Path, feeds: list[torch.Tensor]) -> np.ndarray:
    session = open_session(path, Format.TFLITE, threads=1)
    seen = np.concatenate([session.run({"image": feed.numpy()})["logits"] for feed in feeds])
    session.close()
    return seen


def sqnr_db(expected: np.ndarray, seen: np.ndarray) -> float:
    return float(10 * np.log10((expected**2).sum() / ((expected - seen) ** 2).sum()))


def test_each_layer_has_its_own_scheme(path: Path) -> None:
    graph = parse(path).graphs[0]
    assert types(graph, product(graph, "CONV_2D", (16, 3, 3, 3))) == ("int8", "int8", "int8")
    assert types(graph, product(graph, "DEPTHWISE_CONV_2D", (1, 3, 3, 16))) == ("float32", "float32", "float32")
    assert types(graph, product(graph, "FULLY_CONNECTED", (32, 16))) == ("int8", "int8", "int8")
    assert types(graph, product(graph, "FULLY_CONNECTED", (10, 16))) == ("float32", "int8", "float32")
    narrow = product(graph, "FULLY_CONNECTED", (16, 32))
    assert types(graph, narrow) == ("float32", "float32", "float32")
    widened = next(operator for operator in graph.operators if narrow.inputs[1] in operator.outputs)
    assert (widened.name, graph.tensors[widened.inputs[0]].dtype) == ("DEQUANTIZE", "int8")


def test_it_answers_nearly_as_the_program(path: Path) -> None:
    feeds = images(8, seed=9)
    assert 25 < sqnr_db(answers(products(), feeds).numpy(), run(path, feeds)) < 60


def test_the_readers_find_int8_and_standard_operators_alone(path: Path) -> None:
    facts = read(path)
    assert facts.weights["int8"] == 16 * 27 + 2 * 16 * 32 + 16 * 10
    assert all(operator.standard for operator in facts.operators)
    assert facts.requires == "TFLite >= 2.17.0"  # FULLY_CONNECTED of version 12
    versions = {(operator.name, operator.version) for operator in facts.operators}
    assert {("CONV_2D", 3), ("FULLY_CONNECTED", 12), ("DEQUANTIZE", 2), ("DEQUANTIZE", 5)} <= versions


def test_metadata_signature_and_labels_are_those_of_a_float_file(path: Path) -> None:
    facts = read(path)
    assert facts.metadata["labels.txt"].split("\n")[:2] == list(LABELS[:2])
    assert "TFLITE_METADATA" in facts.metadata
    assert [tensor.name for tensor in (*facts.inputs, *facts.outputs)] == ["image", "logits"]
    assert {tensor.dtype for tensor in (*facts.inputs, *facts.outputs)} == {"float32"}
    assert parse(path).signatures[0].key == "serving_default"


def test_equal_programs_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    assert written(mixed_program(), Precision.INT8, tmp_path).read_bytes() == path.read_bytes()


def test_ranges_are_least_and_greatest_over_all_images(path: Path, tmp_path: Path) -> None:
    """One image of twenty that is four times as bright counts as much whenever it comes."""
    lowest, highest = (float(torch.stack(FEEDS).amin()), float(torch.stack(FEEDS).amax()))
    assert scale_into(path, (16, 3, 3, 3)) == pytest.approx((highest - lowest) / 255, rel=1e-3)
    for place in (0, 19):
        feeds = [4 * feed if at == place else feed for at, feed in enumerate(FEEDS)]
        brighter = written(planned(products(), mixed, feeds), Precision.INT8, tmp_path)
        span = max(float(feed.amax()) for feed in feeds) - min(float(feed.amin()) for feed in feeds)
        assert scale_into(brighter, (16, 3, 3, 3)) == pytest.approx(span / 255, rel=1e-3)


def test_the_range_behind_a_fused_activation_is_that_of_the_activation(path: Path) -> None:
    graph, stem = stored_product(path, (16, 3, 3, 3))
    assert stem.builtinOptions.fusedActivationFunction == 1  # RELU
    assert graph.tensors[stem.outputs[0]].quantization.zeroPoint[0] == -128  # nothing below zero


def stored_product(path: Path, shape: tuple[int, ...]) -> tuple[SubGraphT, OperatorT]:
    """The product with weights of ``shape`` as the schema's own objects, and its graph."""
    graph = unpacked(path.read_bytes()).subgraphs[0]
    found = (
        one for one in graph.operators if shape in {tuple(graph.tensors[index].shape) for index in one.inputs[1:2]}
    )
    return graph, next(found)


def scale_into(path: Path, shape: tuple[int, ...]) -> float:
    """The scale of what the product with weights of ``shape`` reads."""
    graph, found = stored_product(path, shape)
    return float(graph.tensors[found.inputs[0]].quantization.scale[0])


def test_int8_without_a_plan_is_refused() -> None:
    with pytest.raises(ExportError, match="products has no plan of its layers"):
        quantized(b"", products())


def test_a_layer_that_is_not_in_the_file_is_refused_by_name(tmp_path: Path) -> None:
    """The file of one plan, read with another one's layers."""
    program = mixed_program()
    plan = program.quantization
    assert plan is not None
    stranger = msgspec.structs.replace(next(iter(plan.layers.values())), scheme=Scheme.DYNAMIC)
    other = Quantization(layers={"conv2d_99": stranger})
    float_file = written(products(), Precision.FP32, tmp_path)
    with pytest.raises(ExportError, match=r"became stem\.0 \(conv2d_\w+\): they cannot be quantised") as caught:
        quantized(float_file.read_bytes(), dataclasses.replace(program, quantization=other))
    assert caught.value.hint == "leave them out with --keep-float"


def test_a_layer_that_the_quantiser_left_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The quantiser skips in silence what its policy does not have."""
    from ai_edge_quantizer.recipe_manager import RecipeManager

    monkeypatch.setattr(RecipeManager, "add_dynamic_config", lambda *arguments, **options: None)
    with pytest.raises(ExportError, match=r"did not make head \(linear\w*\) dynamic"):
        written(mixed_program(), Precision.INT8, tmp_path)


class Residual(nn.Module):
    """Linear without a bias, whose result is read in two shapes: the converter computes it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.m = nn.Linear(96, 48, bias=False), nn.Linear(48, 48)

    def forward(self, x: Tensor) -> Tensor:
        x = self.e(x)
        return x + self.m(x)


@pytest.mark.parametrize("scheme", [Scheme.DYNAMIC, Scheme.STATIC])
def test_a_layer_that_the_converter_computes_twice_is_int8_in_both_places(tmp_path: Path, scheme: Scheme) -> None:
    torch.manual_seed(0)
    model, x = Residual().eval(), torch.randn(1, 16, 96)
    program = captured(model, (1, 16, 96), torch.float32)
    path = written(planned_by_hand(program, {LayerKind.LINEAR: scheme}, ((x,),)), Precision.INT8, tmp_path)
    with closing(open_session(path, Format.TFLITE, threads=1)) as session:
        seen = next(iter(session.run({"x": x.numpy()}).values()))
    assert sqnr_db_of(seen, model(x).detach().numpy()) > 30
    assert read(path).weights["int8"] == 96 * 48 + 48 * 48, "stored once"
    (graph,) = parse(path).graphs
    made = [operator for operator in graph.operators if operator.name == "FULLY_CONNECTED"]
    assert len(made) > 2, "the converter does not do that any more: this test and the code behind it can go"
    assert {graph.tensors[operator.inputs[1]].dtype for operator in made} == {"int8"}
