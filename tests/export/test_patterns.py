"""What passes ask about a graph, read from captured calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, captured
from torch import Tensor, nn
from torch.fx import Node

from export import patterns
from export.patterns import aten


def nodes_of(module: nn.Module, shape: tuple[int, ...]) -> list[Node]:
    """The calls of ``module`` in order."""
    graph = captured(module.double().eval(), shape).module.graph
    return [node for node in graph.nodes if node.op == "call_function"]


def test_calls_and_permutes_are_told_apart() -> None:
    permute, relu = nodes_of(Lambda(lambda m, x: x.permute(0, -1, 1, 2).relu()), (1, 2, 3, 4))
    assert patterns.is_call(permute) and patterns.is_call(permute, aten.relu.default, aten.permute.default)
    assert not patterns.is_call(relu, aten.permute.default) and not patterns.is_call(None)
    assert patterns.axes_of(permute) == (0, 3, 1, 2)
    assert patterns.is_permute(permute, (0, 3, 1, 2)) and not patterns.is_permute(permute, (0, 2, 3, 1))
    assert not patterns.is_permute(relu, (0, 3, 1, 2))


def test_operators_are_named_as_torchscript_does() -> None:
    assert patterns.operator_name(aten.add_.Tensor) == "aten::add_.Tensor"
    assert patterns.operator_name(aten.gelu_.default) == "aten::gelu_"


def test_operands_and_integers_are_checked() -> None:
    add, *_ = nodes_of(Lambda(lambda m, x: x + 1), (2, 3))
    assert patterns.operand(add).op == "placeholder"
    with pytest.raises(TypeError, match="argument 1 of"):
        patterns.operand(add, 1)
    assert patterns.ints(3) == (3,) and patterns.ints([3, 4]) == (3, 4)
    with pytest.raises(TypeError, match="expected integers"):
        patterns.ints([3, None])
    assert patterns.pair(2) == (2, 2) and patterns.pair([2, 1]) == (2, 1) and patterns.pair([2]) == (2, 2)
    assert patterns.is_number(1.5) and not patterns.is_number(True) and not patterns.is_number("1")


def test_a_node_without_a_tensor_has_no_shape() -> None:
    parts = nodes_of(Lambda(lambda m, x: x.chunk(2)[0]), (2, 3))
    assert not patterns.has_tensor(parts[0]) and patterns.has_tensor(parts[1])
    with pytest.raises(TypeError, match="has no tensor"):
        patterns.shape_of(parts[0])


def test_windows_are_read_with_their_defaults() -> None:
    plain, strided = nodes_of(
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, (2, 1), 1, 2, groups=4)), (1, 2, 9, 9)
    )
    assert patterns.window_of(plain) == ((1, 1), (0, 0), (1, 1), 1)
    assert patterns.window_of(strided) == ((2, 1), (1, 1), (2, 2), 4)


@pytest.mark.parametrize(
    ("mean", "axes"),
    [
        (lambda x: x.mean((-1, 1)), [3, 1]),
        (lambda x: x.mean(2, keepdim=True), [2]),
        (lambda x: x.mean((0, 1), dtype=torch.float32).double(), None),
    ],
)
def test_mean_axes_count_from_zero(mean: Callable[[Tensor], Tensor], axes: list[int] | None) -> None:
    first, *_ = nodes_of(Lambda(lambda m, x: mean(x)), (2, 3, 4, 5))
    assert patterns.mean_axes(first) == axes


@pytest.mark.parametrize(
    ("view", "keeps"),
    [
        (lambda x: x.reshape(2, 12, 5), True),
        (lambda x: x.reshape(2, 3, 20), False),
        (lambda x: torch.ops.aten.slice.Tensor(x, -2, 0, 4, 2), True),
        (lambda x: torch.ops.aten.slice.Tensor(x, -1, 0, 4, 2), False),
        (lambda x: x.permute(0, 2, 1, 3), False),
        (lambda x: x.relu(), False),
    ],
)
def test_views_that_keep_the_last_axis(view: Callable[[Tensor], Tensor], keeps: bool) -> None:
    first, *_ = nodes_of(Lambda(lambda m, x: view(x)), (2, 3, 4, 5))
    assert patterns.keeps_last_axis(first) is keeps


def test_a_vector_has_no_last_axis_to_keep() -> None:
    (view,) = nodes_of(Lambda(lambda m, x: x.reshape(4)), (1, 4))
    assert not patterns.keeps_last_axis(view)


def test_only_user_counts_every_use() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        once = x.relu()
        twice = once.sigmoid()
        return (twice * twice).tanh()

    relu, sigmoid, product, tanh = nodes_of(Lambda(forward), (2, 3))
    assert patterns.only_user(relu) is sigmoid
    assert patterns.only_user(sigmoid) is None
    assert patterns.only_user(product) is tanh
    in_list = nodes_of(Lambda(lambda m, x: (lambda y: torch.cat([y, y]))(x.relu())), (2, 3))
    assert patterns.only_user(in_list[0]) is None


def test_sizes_for_reshape_leave_the_batch_open() -> None:
    (view,) = nodes_of(Lambda(lambda m, x: x.reshape(2, 12)), (2, 3, 4))
    assert patterns.sizes_of(view) == [-1, 12]
    *_, empty = nodes_of(Lambda(lambda m, x: x[:, :0].reshape(2, 0, 12)), (2, 3, 4))
    assert patterns.sizes_of(empty) is None, "-1 would be ambiguous beside a 0"
