"""Calls that hand their input through disappear."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import drop_no_ops


@few
@given(p=st.floats(0, 0.9), shape=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_removes_what_changes_nothing(p: float, shape: tuple[int, int]) -> None:
    net = Lambda(lambda m, x: m["drop"](x.relu().contiguous().clone() * 1 + 0).sigmoid(), drop=nn.Dropout(p))
    module, _ = apply(net, shape, drop_no_ops)
    assert sum(node.op == "call_function" for node in module.graph.nodes) == 2


def test_leaves_real_work_alone() -> None:
    net = Lambda(lambda m, x: (x * 2 + 1 - 3) / 2)
    assert apply(net, (2, 3), drop_no_ops)[1].rewrites == 0


def test_dropout_that_is_on_in_eval_stays() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.dropout(x, 0.0, training=True) + x.float().double()

    module, _ = apply(Always(), (2, 3), drop_no_ops)
    assert calls(module, torch.ops.aten.add.Tensor) == 1
