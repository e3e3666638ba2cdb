"""The editor: copies, constants, new calls with shape and provenance, and what is swept."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, calls, captured, randomised
from small_models import conv_net
from torch import Tensor, nn
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, operand, shape_of
from export.program import Program, capture, module_of


def linear_program(*, bias: bool = True) -> Program:
    return captured(randomised(nn.Sequential(nn.Linear(3, 4, bias=bias), nn.ReLU())), (2, 3))


def test_the_original_graph_and_its_tensors_stay() -> None:
    program = linear_program()
    before, answer = str(program.module.graph), program.module(program.example[0])
    editor = GraphEditor(program.module)
    (linear,) = editor.nodes(aten.linear.default)
    weight = editor.constant(linear.args[1])
    assert weight is not None
    editor.replace(linear, editor.with_weights(linear, weight * 2, torch.zeros(4)))
    doubled = editor.finish()
    assert str(program.module.graph) == before
    x = program.example[0]
    assert torch.equal(doubled(x), torch.relu(2 * x @ weight.T))
    assert torch.equal(program.module(x), answer)


def test_new_calls_know_shape_dtype_and_module() -> None:
    editor = GraphEditor(linear_program().module)
    linear, relu = editor.nodes()
    new = editor.call(relu, aten.sum.dim_IntList, linear, [1], kwargs={"dtype": torch.float32}, like=linear)
    assert shape_of(new) == (2,) and new.meta["val"].dtype == torch.float32
    assert (module_of(new), module_of(editor.permute(relu, linear, (1, 0)))) == ("0", "1")
    assert shape_of(editor.permute(relu, linear, (1, 0))) == (4, 2)
    assert shape_of(editor.reshape(relu, linear, [-1, 2])) == (4, 2)
    assert list(editor.graph.nodes).index(new) < list(editor.graph.nodes).index(relu)


@pytest.mark.parametrize("bias", [True, False])
def test_other_weights_keep_the_spelling(bias: bool) -> None:
    editor = GraphEditor(linear_program(bias=bias).module)
    (linear,) = editor.nodes(aten.linear.default)
    weights = editor.weights(linear)
    assert weights is not None and (weights[1] is not None) is bias
    new = editor.with_weights(linear, *weights)
    assert len(new.args) == len(linear.args)
    assert operand(new) is operand(linear)


def test_weights_that_are_computed_are_none() -> None:
    net = Lambda(lambda m, x: nn.functional.linear(x, m["a"].weight, x.sum((0, 1)) * m["a"].bias), a=nn.Linear(3, 4))
    editor = GraphEditor(captured(randomised(net), (2, 3)).module)
    (linear,) = editor.nodes(aten.linear.default)
    assert editor.constant(linear.args[1]) is not None
    assert editor.weights(linear) is None


def test_constants_do_not_replace_one_another() -> None:
    editor = GraphEditor(linear_program().module)
    (relu,) = editor.nodes(aten.relu.default)
    first, second = (editor.add_constant(torch.full((2,), value), relu, "weight") for value in (1.0, 2.0))
    assert first.target != second.target
    assert torch.equal(editor.constant(first) + 1, editor.constant(second))  # type: ignore[operator]


def test_what_is_replaced_on_the_way_is_not_visited() -> None:
    program = captured(Lambda(lambda m, x: x.relu().relu().relu()), (2, 3))
    editor = GraphEditor(program.module)
    seen = 0
    for node in editor.nodes(aten.relu.default):
        seen += 1
        for user in list(node.users):
            if user.target is aten.relu.default:
                editor.replace(user, node)
    assert seen == 2
    assert calls(editor.finish(), aten.relu.default) == 2


def test_sweeping_keeps_calls_that_write() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = x * 2
        y[0].add_(1)
        y.exp()
        return y

    editor = GraphEditor(captured(Lambda(forward), (2, 3)).module)
    editor.sweep()
    assert [node.target for node in editor.nodes()] == [aten.mul.Tensor, aten.select.int, aten.add_.Tensor]


def test_folded_weights_are_rounded_to_the_products_dtype() -> None:
    model, spec = conv_net()
    editor = GraphEditor(capture(model, spec).module)
    (conv,) = editor.nodes(aten.conv2d.default)
    weights = editor.weights(conv)
    assert weights is not None
    new = editor.with_weights(conv, weights[0].double() / 3, torch.full((8,), 1 / 3, dtype=torch.float64))
    assert {editor.constant(arg).dtype for arg in new.args[1:3]} == {torch.float32}  # type: ignore[union-attr]


def test_a_pass_of_each_call_counts_what_was_rewritten() -> None:
    offered: list[object] = []

    @each_call(aten.linear.default, done="layers seen")
    def run(editor: GraphEditor, node: Node) -> bool:
        """Rewrite nothing."""
        offered.append(node.target)
        return len(offered) == 1

    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5))
    log = run(GraphEditor(captured(randomised(net), (2, 3)).module))
    assert offered == [aten.linear.default] * 2
    assert (log.name, log.rewrites, log.detail) == (__name__.rpartition(".")[2], 1, "1 layers seen")
    assert run.__doc__ == "Rewrite nothing."
