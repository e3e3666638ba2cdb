"""The same thing is computed once."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, captured, few
from torch import nn

from export.graph_editor import GraphEditor
from export.passes import merge_duplicates

aten = torch.ops.aten


@few
@given(c=st.integers(1, 4), n=st.integers(2, 4))
@example(c=3, n=3)
def test_merges_equal_calls(c: int, n: int) -> None:
    net = Lambda(lambda m, x: sum(m["fc"](x.relu()) for _ in range(n)), fc=nn.Linear(c, 3))
    module, log = apply(net, (2, c), merge_duplicates)
    assert (log.rewrites, log.detail) == (2 * (n - 1), f"{2 * (n - 1)} calls, 0 constants")
    assert calls(module, aten.linear.default, aten.relu.default) == 2


def test_leaves_different_calls_alone() -> None:
    net = Lambda(lambda m, x: m["a"](x) + m["b"](x) + x * 1.0 + x * 2.0, a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    module, _ = apply(net, (2, 3), merge_duplicates)
    assert calls(module, aten.linear.default, aten.mul.Tensor) == 4


def test_calls_that_draw_numbers_are_not_the_same() -> None:
    net = Lambda(lambda m, x: torch.zeros_like(x) - torch.zeros_like(x))
    editor = GraphEditor(captured(net, (2, 3)).module)
    for node in editor.nodes(aten.zeros_like.default):  # capture refuses what draws numbers
        node.target = aten.rand_like.default
    assert merge_duplicates.run(editor).rewrites == 0
    assert calls(editor.finish(), aten.rand_like.default) == 2


def test_numbers_that_are_equal_and_not_the_same() -> None:
    """1 and 1.0 promote integers otherwise; a quotient by 0.0 and by -0.0 has two signs."""
    promoted = Lambda(lambda m, x: (x.long() * 2).double() + (x.long() * 2.0).double())
    assert apply(promoted, (2, 3), merge_duplicates)[1].rewrites == 1, "x.long()"
    signs = Lambda(lambda m, x: (x.abs() / 0.0).atan() + 2 * (x.abs() / -0.0).atan())
    assert apply(signs, (2, 3), merge_duplicates)[1].rewrites == 1, "x.abs()"


def test_keywords_and_lists_tell_calls_apart() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        sums = torch.add(x, x.sin(), alpha=2) + torch.add(x, x.sin(), alpha=3)
        return sums + x.mean([0], keepdim=True) + x.mean([1], keepdim=True)

    module, log = apply(Lambda(forward), (2, 3), merge_duplicates)
    assert log.rewrites == 1
    assert calls(module, aten.add.Tensor, aten.mean.dim) == 7
    same = Lambda(lambda m, x: torch.add(x, x.sin(), alpha=2) * torch.add(x, x.sin(), alpha=2))
    assert apply(same, (2, 3), merge_duplicates)[1].rewrites == 2
    joined = Lambda(lambda m, x: torch.cat([x, x.sin()]) * torch.cat([x, x.sin()]))
    assert apply(joined, (2, 3), merge_duplicates)[1].rewrites == 2


def test_constants_of_equal_value_shape_and_dtype_are_one() -> None:
    class Constants(nn.Module):
        def __init__(self, *tensors: torch.Tensor) -> None:
            super().__init__()
            for index, tensor in enumerate(tensors):
                self.register_buffer(f"c{index}", tensor)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + sum(x * buffer.double() for buffer in self.buffers())

    def merged(*tensors: torch.Tensor) -> str:
        editor = GraphEditor(captured(Constants(*tensors), (2, 3)).module)
        return merge_duplicates.run(editor).detail

    ones = torch.ones(3)
    assert merged(ones, ones.clone()) == "2 calls, 1 constants"
    assert merged(ones[:1], ones[:1].clone()) == "2 calls, 1 constants"
    assert merged(ones, 2 * ones) == "0 calls, 0 constants"
    assert merged(ones, ones.reshape(1, 3)) == "0 calls, 0 constants"
    assert merged(ones, ones.double()).endswith(" 0 constants")
    assert merged(torch.zeros(3), torch.zeros(3, dtype=torch.int32)) == "0 calls, 0 constants"
    assert merged(torch.zeros(3), -torch.zeros(3)) == "0 calls, 0 constants"


def test_a_call_whose_arguments_cannot_be_compared_is_not_merged() -> None:
    editor = GraphEditor(captured(Lambda(lambda m, x: x.sin() + x.sin()), (2, 3)).module)
    for node in editor.graph.find_nodes(op="call_function", target=aten.sin.default):
        node.kwargs = {"unknown": {1, 2}}  # a set has no hash
    assert merge_duplicates.run(editor).rewrites == 0
