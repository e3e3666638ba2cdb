"""Calls that hand their input through disappear."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.graph_editor import GraphEditor
from export.passes import drop_no_ops

aten = torch.ops.aten


@few
@given(p=st.floats(0, 0.9), shape=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_removes_what_changes_nothing(p: float, shape: tuple[int, int]) -> None:
    net = Lambda(lambda m, x: m["drop"](x.relu().contiguous().clone() * 1 + 0).sigmoid(), drop=nn.Dropout(p))
    module, _ = apply(net, shape, drop_no_ops)
    assert sum(node.op == "call_function" for node in module.graph.nodes) == 2


NO_OPS = {
    "dropout": lambda x: aten.dropout(x, 0.5, False),
    "dropout with nothing to drop": lambda x: aten.dropout(x, 0.0, True),
    "dropout in place": lambda x: aten.dropout_(x, 0.5, False),
    "feature dropout": lambda x: aten.feature_dropout(x, 0.5, False),
    "clone": lambda x: x.clone(),
    "alias": aten.alias,
    "detach": lambda x: x.detach(),
    "to": lambda x: x.to(torch.float64),
    "to copy": lambda x: aten._to_copy(x, dtype=torch.float64),
    "type as": lambda x: x.type_as(x.abs()),
    "plus": lambda x: x + 0,
    "minus": lambda x: x - 0.0,
    "times": lambda x: x * 1,
    "by": lambda x: x / 1.0,
    "cat of one": lambda x: torch.cat([x], 1),
    "slice of all": lambda x: aten.slice(x, 1, 0, 9223372036854775807),
    "slice of all by steps": lambda x: aten.slice(x[:, :1], 1, 0, None, 2),
    "pad by nothing": lambda x: aten.pad(x, [0, 0, 0, 0]),
    "constant pad by nothing": lambda x: aten.constant_pad_nd(x, [0, 0]),
    "roll by nothing": lambda x: x.roll(0, 1),
    "roll all around": lambda x: x.roll((-2, 6), (0, 1)),
    "roll all of it all around": lambda x: x.roll(6),
    "repeat once": lambda x: x.repeat(1, 1),
    "mean of one": lambda x: x[:, :1].mean(1, keepdim=True),
    "sum of one": lambda x: x[:, :1].sum((0, 1)[1:], keepdim=True),
    "maximum of one": lambda x: x[:1].amax(0, keepdim=True),
    "minimum of one": lambda x: x[:1].amin((0,), keepdim=True),
}


EVERY_KIND = (
    *drop_no_ops.DROPOUTS,
    *drop_no_ops.COPIES,
    *drop_no_ops.CASTS,
    *drop_no_ops.NEUTRAL,
    *(target for target in drop_no_ops.WHOLES if target is not aten.slice.Tensor),
)


@pytest.mark.parametrize("kind", NO_OPS)
def test_every_kind_of_them(kind: str) -> None:
    module, log = apply(Lambda(lambda m, x: NO_OPS[kind](x.tanh()).exp()), (2, 3), drop_no_ops)
    assert log.rewrites == 1
    assert calls(module, *EVERY_KIND) == 0


def test_a_copy_into_another_order_in_memory() -> None:
    module, log = apply(Lambda(lambda m, x: x.tanh().t().contiguous().exp()), (2, 3), drop_no_ops)
    assert log.rewrites == 1
    assert calls(module, aten.contiguous.default, aten.clone.default) == 0


def test_leaves_real_work_alone() -> None:
    """Numbers that are neutral elsewhere, a tensor of zeros, casts, and a quotient that turns integers into floats."""
    for work in (
        lambda x: (x * 2 + 1 - 3) / 2,
        lambda x: (x * 0 + 1) - 1,
        lambda x: x + x.new_zeros(3),
        lambda x: x.float().double(),
        lambda x: (x.long() / 1).double(),
        lambda x: (x.long() + 0.0).double(),
        lambda x: torch.cat([x, x], 1)[:, 1:4],
        lambda x: x.roll(1, 1).roll(2),
        lambda x: aten.constant_pad_nd(x, [1, -1]),
        lambda x: x.repeat(1, 2).repeat(1, 1, 1),
        lambda x: x.mean(1, keepdim=True).mean(1) * x[:, :1].sum(1),
        lambda x: x[:, :1].sum(1, keepdim=True, dtype=torch.float32).double(),
    ):
        assert apply(Lambda(lambda m, x, work=work: work(x)), (2, 3), drop_no_ops)[1].rewrites == 0


def test_dropout_that_is_on_in_eval_stays() -> None:
    # capture refuses these: the pass stands for itself
    random = torch.export.export(Lambda(lambda m, x: aten.dropout(x, 0.5, True)), (torch.zeros(2, 3),)).module()
    assert drop_no_ops.run(GraphEditor(random)).rewrites == 0
