"""Edits of ONNX graphs on graphs of a few nodes, made by hand."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgevit.spec import TensorSpec
from export.formats.onnx_file.graph import (
    constants_to_initializers,
    name_by_module,
    state_output_shapes,
    weight_paths,
)


def model_of(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy")
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], initializers))


def constant(output: str, value: float) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [output], value=numpy_helper.from_array(np.float32([value])))


def test_equal_constants_become_one_initializer() -> None:
    nodes = [
        constant("a", 1.0), constant("b", 1.0), constant("c", 2.0),
        helper.make_node("Add", ["x", "a"], ["h"]), helper.make_node("Mul", ["h", "b"], ["i"]),
        helper.make_node("Sub", ["i", "c"], ["y"]),
    ]  # fmt: skip
    model = model_of(nodes, {})
    constants_to_initializers(model)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Add", "Mul", "Sub"]
    assert [tensor.name for tensor in model.graph.initializer] == ["a", "c"]
    assert list(model.graph.node[1].input) == ["h", "a"]


def test_nodes_of_the_simplifier_take_the_path_of_their_weights_or_of_what_they_lead_to() -> None:
    original = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["/head/linear/MatMul_output_0"], name="/head/linear/MatMul")],
        {"w": np.ones((2, 2), np.float32)},
    )
    simplified = model_of(
        [
            helper.make_node("Reshape", ["x", "shape"], ["h"], name="Reshape_3"),
            helper.make_node("Gemm", ["h", "w"], ["i"], name="Gemm_4"),
            helper.make_node("Relu", ["i"], ["y"], name="/act/relu/Relu"),
            helper.make_node("Relu", ["i"], ["z"], name="/act/relu/Relu_7"),
        ],
        {"w": np.ones((2, 2), np.float32)},
    )
    name_by_module(simplified, weight_paths(original))
    assert [node.name for node in simplified.graph.node] == [
        "/head/linear/Reshape", "/head/linear/Gemm", "/act/relu/Relu_1", "/act/relu/Relu",
    ]  # fmt: skip


def test_a_weight_of_two_steps_belongs_to_neither() -> None:
    nodes = [
        helper.make_node("Add", ["x", "w"], ["h"], name="/a/add/Add"),
        helper.make_node("Mul", ["h", "w"], ["y"], name="/b/mul/Mul"),
    ]
    assert weight_paths(model_of(nodes, {"w": np.ones(2, np.float32)})) == {}


def test_only_sizes_that_nobody_knows_are_written() -> None:
    """Known before: nothing, the rank, one size (another than what is written for it), that there is no axis."""
    kinds = [None, ["n", "m"], ["n", 3], []]
    values = [helper.make_tensor_value_info(f"y{at}", onnx.TensorProto.FLOAT, kind) for at, kind in enumerate(kinds)]
    model = helper.make_model(helper.make_graph([], "g", [], values))
    state_output_shapes(model, [TensorSpec(name=value.name, shape=(-1, 5)) for value in values], "batch")
    found = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in model.graph.output
    ]
    assert found == [["batch", 5], ["batch", 5], ["batch", 3], []]
