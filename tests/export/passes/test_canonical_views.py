"""All spellings of a view become reshape, permute or slices."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views

aten = torch.ops.aten


@few
@given(n=st.integers(1, 3), c=st.integers(1, 3), h=st.integers(1, 3))
def test_spellings(n: int, c: int, h: int) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2).unsqueeze(-1).squeeze(-1)
        x = x.view(n, 2 * h, c).movedim(1, 2).unflatten(2, (2, h)).mT
        return x.swapaxes(0, 1).unbind(0)[0].mT

    module, _ = apply(Lambda(forward), (n, c, 2, h), canonical_views)
    targets = {node.target for node in module.graph.nodes if node.op == "call_function"}
    assert targets <= {aten.reshape.default, aten.permute.default, aten.select.int}


@few
@given(stride=st.integers(1, 4), ceil=st.booleans(), average=st.booleans())
def test_sampling_is_a_slice(stride: int, ceil: bool, average: bool) -> None:
    kind = nn.AvgPool2d if average else nn.MaxPool2d
    module, _ = apply(kind(1, stride, ceil_mode=ceil), (1, 2, 7, 8), canonical_views)
    assert calls(module, aten.avg_pool2d.default, aten.max_pool2d.default) == (1 if ceil else 0)


def test_real_pooling_stays() -> None:
    for net in (nn.AvgPool2d(2, 2), nn.AvgPool2d(1, 2, divisor_override=2), nn.MaxPool2d(3, 2, 1)):
        assert apply(net, (1, 2, 6, 6), canonical_views)[1].rewrites == 0


def test_the_graph_holds_for_another_batch() -> None:
    net = Lambda(lambda m, x: x.flatten(2).transpose(1, 2).reshape(2, 3, 5, -1))
    module, _ = apply(net, (2, 4, 3, 5), canonical_views)
    assert module(torch.zeros(7, 4, 3, 5)).shape == (7, 3, 5, 4)
