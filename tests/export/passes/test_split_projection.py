"""A joint projection becomes one linear layer per part."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few, places
from torch import Tensor, nn

from export.passes import canonical_views, split_projection


@few
@given(heads=st.integers(1, 3), d=st.integers(1, 4), bias=st.booleans(), parts=st.integers(2, 4))
@example(heads=2, d=3, bias=True, parts=3)
@example(heads=3, d=2, bias=False, parts=2)
def test_splits_query_key_value(heads: int, d: int, bias: bool, parts: int) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["qkv"](x).reshape(2, -1, parts, heads, d).permute(2, 0, 3, 1, 4)
        return sum((i + 1) * joint[i] for i in range(parts))

    net = Lambda(forward, qkv=nn.Linear(5, parts * heads * d, bias=bias))
    module, log = apply(net, (2, 3, 5), canonical_views, split_projection)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.linear.default) == parts
    assert calls(module, torch.ops.aten.select.int) == 0
    assert set(places(module, torch.ops.aten.linear.default)) == {"layers.qkv"}


def test_leaves_a_second_reader_and_a_selected_token_alone() -> None:
    def twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x)
        return joint.reshape(2, 3, 2, 4)[:, :, 0] + joint[..., :4]

    assert apply(Lambda(twice, fc=nn.Linear(5, 8)), (2, 3, 5), split_projection)[1].rewrites == 0
    token = Lambda(lambda m, x: m["fc"](x).reshape(2, 3, 2, 4)[:, 1], fc=nn.Linear(5, 8))
    assert apply(token, (2, 3, 5), split_projection)[1].rewrites == 0


def test_parts_on_any_axis_that_comes_from_the_channels() -> None:
    """Between the heads and their values, or last; by negative indices, in another order, or without a permute."""

    def middle(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x).reshape(2, 3, 2, 3, 4).permute(3, 0, 2, 1, 4)
        return joint[2] - 2 * joint[0] + 3 * joint[-2]

    def last(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x).reshape(2, 3, 8, 3).permute(0, 3, 2, 1)
        return joint[:, 2] - 2 * joint[:, 0]

    def unpermuted(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x).reshape(2, 3, 3, 8)
        return joint[:, :, 2] - 2 * joint[:, :, 0]

    for forward in (middle, last, unpermuted):
        module, log = apply(Lambda(forward, fc=nn.Linear(5, 24)), (2, 3, 5), canonical_views, split_projection)
        assert log.rewrites == 1, forward.__name__
        assert calls(module, torch.ops.aten.select.int) == 0


def test_leaves_other_axes_and_other_readers_alone() -> None:
    def tokens(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["fc"](x).reshape(2, 3, 3, 8).permute(1, 0, 2, 3)[0]

    def two_axes(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x).reshape(2, 3, 3, 8)
        return joint[:, :, 0].sum() + joint[..., 0].sum()

    def whole(m: nn.ModuleDict, x: Tensor) -> Tensor:
        joint = m["fc"](x).reshape(2, 3, 3, 8)
        return joint[:, :, 0].sum() + joint.relu().sum()

    def unsplit(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["fc"](x).reshape(3, 2, 24)[1]

    def mixed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["fc"](x).reshape(2, 2, 36)[:, 1]

    def computed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, m["fc"].weight * x.mean()).reshape(2, 3, 3, 8)[:, :, 1]

    def bent(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["fc"](x).relu().reshape(2, 3, 3, 8)[:, :, 1]

    for forward in (tokens, two_axes, whole, unsplit, mixed, computed, bent):
        log = apply(Lambda(forward, fc=nn.Linear(5, 24)), (2, 3, 5), canonical_views, split_projection)[1]
        assert log.rewrites == 0, forward.__name__
