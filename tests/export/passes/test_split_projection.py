"""A joint projection becomes one linear layer per part."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views, split_projection


@few
@given(heads=st.integers(1, 3), d=st.integers(1, 4), bias=st.booleans(), parts=st.integers(2, 4))
def test_splits_query_key_value(heads: int, d: int, bias: bool, parts: int) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["qkv"](x).reshape(2, -1, parts, heads, d).permute(2, 0, 3, 1, 4)
        return sum((i + 1) * joint[i] for i in range(parts))

    net = Lambda(forward, qkv=nn.Linear(5, parts * heads * d, bias=bias))
    module, log = apply(net, (2, 3, 5), canonical_views, split_projection)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.linear.default) == parts
    assert calls(module, torch.ops.aten.select.int) == 0


def test_leaves_a_second_reader_and_a_selected_token_alone() -> None:
    def twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x)
        return joint.reshape(2, 3, 2, 4)[:, :, 0] + joint[..., :4]

    assert apply(Lambda(twice, fc=nn.Linear(5, 8)), (2, 3, 5), split_projection)[1].rewrites == 0
    token = Lambda(lambda m, x: m["fc"](x).reshape(2, 3, 2, 4)[:, 1], fc=nn.Linear(5, 8))
    assert apply(token, (2, 3, 5), split_projection)[1].rewrites == 0
