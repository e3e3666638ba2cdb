"""Images keep their channels first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views, channels_first, channels_last, linear_as_pointwise

aten = torch.ops.aten


@few
@given(c=st.integers(1, 4), batch=st.integers(1, 2))
@example(c=3, batch=2)
def test_linear_layers_between_convolutions_need_no_permutes(c: int, batch: int) -> None:
    layers = {"conv": nn.Conv2d(c, c, 3, padding=1), "fc": nn.Linear(c, c)}
    net = Lambda(lambda m, x: m["conv"](m["fc"](m["conv"](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)), **layers)
    steps = (canonical_views, channels_last, linear_as_pointwise, channels_first)
    module, _ = apply(net, (batch, c, 4, 5), *steps)
    assert calls(module, aten.permute.default) == 0


@pytest.mark.parametrize("combine", [torch.add, torch.sub, torch.mul])
@pytest.mark.parametrize("turned", [False, True])
def test_a_mixed_sum_is_taken_channels_first(combine: Callable[[Tensor, Tensor], Tensor], turned: bool) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        sides = m["conv"](x).permute(0, 2, 3, 1), x.flatten(1).softmax(1).reshape(2, 4, 5, 3)
        return combine(*(sides[::-1] if turned else sides))

    module, log = apply(Lambda(forward, conv=nn.Conv2d(3, 3, 1)), (2, 3, 4, 5), canonical_views, channels_first)
    assert log.rewrites == 1
    assert calls(module, aten.permute.default) == 2
    combined = next(
        node for node in module.graph.nodes if node.target in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor)
    )
    assert combined.meta["val"].shape == (2, 3, 4, 5)


def test_leaves_other_sums_alone() -> None:
    layers = {"conv": nn.Conv2d(3, 3, 1), "norm": nn.LayerNorm(3)}

    def weighted(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return torch.add(m["conv"](x).permute(0, 2, 3, 1), x.softmax(1).reshape(2, 4, 5, 3), alpha=2)

    def row(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["conv"](x).permute(0, 2, 3, 1) + x.flatten(1).softmax(1)[:1, :3]

    def number(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return (m["conv"](x).permute(0, 2, 3, 1) + 2).softmax(1)

    def constant(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return (m["conv"](x).permute(0, 2, 3, 1) + m["norm"].weight).softmax(1)

    def other_order(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["conv"](x).permute(0, 3, 1, 2) + x.flatten(1).softmax(1).reshape(2, 5, 3, 4)

    def both(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["conv"](x).permute(0, 2, 3, 1) + x.relu().permute(0, 2, 3, 1)

    for forward in (weighted, row, number, constant, other_order, both):
        log = apply(Lambda(forward, **layers), (2, 3, 4, 5), canonical_views, channels_first)[1]
        assert log.rewrites == 0, forward.__name__
