"""Which operators of a file are taken for which layer."""

from __future__ import annotations

from pathlib import Path

from tflite_layers import planned, products, written

from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor, parse
from export.formats.tflite_file.layer_marks import (
    Product,
    layers_behind,
    marked_path,
    marked_products,
    without_marks,
)
from export.int8.record import LayerKind, Scheme
from export.recipe import Precision


def graph(*products: tuple[str, str, int], constant: bool = True) -> TfliteGraph:
    """Of each product the name of its weights, that of its output, and its width; all read tensor 0."""
    tensors = [TfliteTensor("image", (1, 4), "float32", False)]
    operators = []
    for held, made, width in products:
        tensors += [
            TfliteTensor(held, (width, 4), "float32", constant),
            TfliteTensor(made, (1, width), "float32", False),
        ]
        at = len(tensors)
        operators.append(TfliteOperator("FULLY_CONNECTED", 1, False, (0, at - 2, -1), (at - 1,)))
    return TfliteGraph("main", tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,))


def operators_of(
    made: TfliteGraph, sizes: dict[str, int], answers: dict[int, set[str]] | None = None
) -> dict[str, list[TfliteOperator]]:
    return {
        name: [one.operator for one in found] for name, found in marked_products(made, sizes, answers or {}).items()
    }


def test_layers_of_one_module_are_told_apart() -> None:
    made = graph(("mlp/!a!;1", "mlp/!a!;2", 8), ("mlp/!b!;1", "mlp/!b!;2", 3))
    found = operators_of(made, {"a": 32, "b": 12})
    assert found == {"a": [made.operators[0]], "b": [made.operators[1]]}


def test_the_mark_of_the_weights_stands_for_an_output_that_lost_its_own() -> None:
    made = graph(("head/!a!;1", "serving_default_logits_output", 8))
    assert operators_of(made, {"a": 32})["a"] == [made.operators[0]]


def test_the_mark_of_the_output_stands_for_weights_that_are_stored_under_another_layer() -> None:
    made = graph(("mlp/!a!;1", "mlp/!a!;2", 8), ("mlp/!a!;3", "mlp/!b!;", 8))
    found = operators_of(made, {"a": 32, "b": 32})
    assert found == {"a": [made.operators[0]], "b": [made.operators[1]]}


def test_what_was_fused_with_a_neighbour_goes_by_its_weights() -> None:
    made = graph(("mlp/!b!;1", "mlp/!a!;;mlp/!b!;2", 8))
    found = operators_of(made, {"a": 32, "b": 32})
    assert found == {"a": [], "b": [made.operators[0]]}


def test_products_of_shared_weights_go_by_what_is_left() -> None:
    """Names as litert-torch 0.10 gives them: weights without a mark, marks of earlier calls behind one's own."""
    made = graph(
        ("arith.constant1", "mlp/!a!;", 8),
        ("arith.constant1", "relu;;mlp/!c!;;mlp/!b!;;mlp/!a!;", 8),
        ("arith.constant1", "mlp/!b!;;mlp/!a!;", 8),
    )
    found = operators_of(made, {"a": 32, "b": 32, "c": 32})
    assert found == {"a": [made.operators[0]], "b": [made.operators[2]], "c": [made.operators[1]]}


def test_what_two_layers_may_have_made_is_neither_ones() -> None:
    made = graph(("arith.constant1", "mlp/!a!;;mlp/!b!;", 8), ("arith.constant1", "mlp/!b!;;mlp/!a!;", 8))
    assert operators_of(made, {"a": 32, "b": 32}) == {"a": [], "b": []}


def test_a_product_that_lost_its_own_mark_is_not_given_to_another_layer() -> None:
    made = graph(("arith.constant1", "mlp/!a!;", 8), ("arith.constant1", "mlp/!a!;2", 8))
    assert operators_of(made, {"a": 32, "b": 32}) == {"a": [], "b": []}


def test_outputs_go_by_the_layers_behind_them() -> None:
    made = graph(("arith.constant1", "logits", 8), ("arith.constant1", "boxes", 8))
    answers = {made.operators[0].outputs[0]: {"b"}, made.operators[1].outputs[0]: {"a"}}
    found = operators_of(made, {"a": 32, "b": 32}, answers)
    assert found == {"a": [made.operators[1]], "b": [made.operators[0]]}


def test_only_the_nearest_layers_are_behind_an_output() -> None:
    graph_of = products().module.graph
    layers = [node.name for node in graph_of.nodes if node.name.startswith(("conv2d", "linear"))]
    (output,) = (node for node in graph_of.nodes if node.op == "output")
    assert layers_behind(output, layers) == {layers[-1]}
    mix, narrow = layers[1], layers[3]
    assert layers_behind(output, [layers[0], mix, narrow]) == {mix, narrow}, "of the sum that the head reads"
    assert layers_behind(output, []) == set()


def test_a_layer_in_parts_has_all_its_operators() -> None:
    made = graph(("mlp/!a!;1", "mlp/!a!;2", 3), ("mlp/!a!;3", "mlp/!a!;4", 5))
    assert operators_of(made, {"a": 32})["a"] == list(made.operators)


def test_a_layer_whose_weights_are_not_all_there_is_not_found() -> None:
    made = graph(("mlp/!a!;1", "mlp/!a!;2", 7))
    assert operators_of(made, {"a": 32})["a"] == []


def test_a_product_of_activations_is_no_layer() -> None:
    made = graph(("mlp/!a!;1", "mlp/!a!;2", 8), constant=False)
    assert operators_of(made, {"a": 32})["a"] == []


def test_weights_behind_an_operator_that_widens_them_are_found() -> None:
    tensors = (
        TfliteTensor("image", (1, 4), "float32", False),
        TfliteTensor("mlp/!a!;1", (8, 4), "float16", True),
        TfliteTensor("mlp/!a!;1_dequant", (8, 4), "float32", False),
        TfliteTensor("mlp/!a!;2", (1, 8), "float32", False),
    )
    widens = TfliteOperator("DEQUANTIZE", 3, False, (1,), (2,))
    product = TfliteOperator("FULLY_CONNECTED", 1, False, (0, 2, -1), (3,))
    made = TfliteGraph("main", tensors, (widens, product), (0,), (3,))
    assert marked_products(made, {"a": 32})["a"] == [Product(product, tensors[1], widened=True)]


def test_names_are_as_they_were_and_each_once() -> None:
    names = ["mlp;", "mlp/!a!;", "mlp/!b!;", "act;;mlp/!a!;2", "mlp/!b!;2", "mlp/!a!;2", "image"]
    plain = list(without_marks(names))
    assert plain == ["mlp;", "mlp;1", "mlp;2", "act;;mlp;2", "mlp;3", "mlp;4", "image"]


def test_every_layer_of_a_network_is_found_and_its_file_shows_no_mark(tmp_path: Path) -> None:
    program = planned(products(), lambda kind, module: Scheme.DYNAMIC if kind is LayerKind.LINEAR else Scheme.FLOAT)
    plan = program.quantization
    assert plan is not None
    linears = [name for name, one in plan.layers.items() if one.kind is LayerKind.LINEAR]
    assert len(linears) == 3
    tensors = parse(written(program, Precision.INT8, tmp_path)).graphs[0].tensors
    assert not any("!" in tensor.name for tensor in tensors)
    assert len({tensor.name for tensor in tensors}) == len(tensors)


def test_only_layers_are_marked() -> None:
    nodes = {node.name: node for node in products().module.graph.nodes if node.op == "call_function"}
    convolution = next(name for name in nodes if name.startswith("conv2d"))
    other = next(name for name in nodes if name.startswith("gelu"))
    assert marked_path(nodes[convolution], {convolution}).endswith(f"/!{convolution}!")
    assert "!" not in marked_path(nodes[other], {convolution})
