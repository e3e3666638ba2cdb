"""The same thing is computed once."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, captured, few
from torch import nn

from export.graph_editor import GraphEditor
from export.passes import merge_duplicates

aten = torch.ops.aten


@few
@given(c=st.integers(1, 4), n=st.integers(2, 4))
def test_merges_equal_calls(c: int, n: int) -> None:
    net = Lambda(lambda m, x: sum(m["fc"](x.relu()) for _ in range(n)), fc=nn.Linear(c, 3))
    module, log = apply(net, (2, c), merge_duplicates)
    assert log.rewrites == 2 * (n - 1)
    assert calls(module, aten.linear.default, aten.relu.default) == 2


def test_leaves_different_calls_alone() -> None:
    net = Lambda(lambda m, x: m["a"](x) + m["b"](x) + x * 1.0 + x * 2.0, a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    module, _ = apply(net, (2, 3), merge_duplicates)
    assert calls(module, aten.linear.default, aten.mul.Tensor) == 4


def test_calls_that_draw_numbers_are_not_the_same() -> None:
    net = Lambda(lambda m, x: torch.rand_like(x) - torch.rand_like(x))
    editor = GraphEditor(captured(net, (2, 3)).module)
    assert merge_duplicates.run(editor).rewrites == 0
    assert calls(editor.finish(), aten.rand_like.default) == 2
