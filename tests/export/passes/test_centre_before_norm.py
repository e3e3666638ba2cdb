"""The product in front of a norm computes centred values."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import centre_before_norm, layer_norm_as_products

aten = torch.ops.aten


@few
@given(c=st.integers(2, 6), bias=st.booleans(), kernel=st.integers(1, 3), image=st.booleans())
def test_centres_the_only_producer(c: int, bias: bool, kernel: int, image: bool) -> None:
    if image:
        layers = {"conv": nn.Conv2d(3, c, kernel, bias=bias), "norm": nn.LayerNorm(c)}
        net = Lambda(lambda m, x: m["norm"](m["conv"](x).permute(0, 2, 3, 1)), **layers)
        shape = (1, 3, 4, 5)
    else:
        net = Lambda(lambda m, x: m["norm"](m["fc"](x)), fc=nn.Linear(3, c, bias=bias), norm=nn.LayerNorm(c))
        shape = (2, 4, 3)
    assert apply(net, shape, centre_before_norm)[1].rewrites == 1
    module, _ = apply(net, shape, centre_before_norm, layer_norm_as_products)
    assert calls(module, aten.sub.Tensor) == 0


def test_leaves_a_second_reader_and_groups_alone() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(3, 4), nn.LayerNorm(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.fc(x)
            return y + self.norm(y)

    assert apply(Both(), (2, 3), centre_before_norm)[1].rewrites == 0
    layers = {"conv": nn.Conv2d(4, 4, 1, groups=4), "norm": nn.LayerNorm(4)}
    grouped = Lambda(lambda m, x: m["norm"](m["conv"](x).permute(0, 2, 3, 1)), **layers)
    assert apply(grouped, (1, 4, 3, 3), centre_before_norm)[1].rewrites == 0
