"""Attention with one batch axis."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import matmul_as_batch, repeats_as_products

aten = torch.ops.aten


@few
@given(heads=st.integers(1, 3), d=st.integers(1, 4), batch=st.integers(1, 2))
@example(heads=3, d=4, batch=2)
def test_products_of_equal_batches(heads: int, d: int, batch: int) -> None:
    net = Lambda(lambda m, x: (x @ x.transpose(-2, -1)).softmax(-1) @ x)
    module, log = apply(net, (batch, heads, 3, d), matmul_as_batch)
    assert log.rewrites == 2
    assert calls(module, aten.matmul.default) == 0


def test_leaves_matrices_alone() -> None:
    assert apply(Lambda(lambda m, x: x @ x.transpose(0, 1)), (3, 4), matmul_as_batch)[1].rewrites == 0
    assert apply(nn.Linear(3, 3), (3, 3), matmul_as_batch)[1].rewrites == 0
    lower = Lambda(lambda m, x: x @ x[0, 0].transpose(-2, -1))
    assert apply(lower, (2, 3, 4, 5), matmul_as_batch)[1].rewrites == 0


def test_axes_that_one_side_broadcasts() -> None:
    for work in (
        lambda x: x @ x[:, :1].transpose(-2, -1),
        lambda x: x[:1].exp() @ x.transpose(-2, -1),
        lambda x: x[:1] @ x[:, :1].transpose(-2, -1),
    ):
        net = Lambda(lambda m, x, work=work: work(x))
        module, log = apply(net, (2, 3, 4, 5), matmul_as_batch, repeats_as_products)
        assert log.rewrites >= 1
        assert calls(module, aten.matmul.default, aten.expand.default) == 0


def test_five_axes_and_three() -> None:
    five = Lambda(lambda m, x: x.exp() @ x.transpose(-2, -1))
    module, log = apply(five, (2, 3, 2, 4, 5), matmul_as_batch)
    assert log.rewrites == 1
    assert next(node for node in module.graph.nodes if node.target is aten.bmm.default).meta["val"].shape == (12, 4, 4)
    three = Lambda(lambda m, x: x @ x.transpose(-2, -1))
    module, log = apply(three, (3, 4, 5), matmul_as_batch)
    assert (log.rewrites, calls(module, aten.reshape.default)) == (1, 0)
