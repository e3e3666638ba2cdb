"""Normalise the sample instead of the image."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, few
from torch import nn

from export.passes import canonical_views, sample_before_norm, sink_views


@few
@given(r=st.integers(2, 4), h=st.integers(1, 2), c=st.integers(2, 5), batch=st.integers(1, 2))
def test_normalises_only_what_is_taken(r: int, h: int, c: int, batch: int) -> None:
    height, width = h * r, (h + 1) * r

    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        image = m["norm"](x).transpose(1, 2).reshape(batch, c, height, width)
        return m["pool"](image).flatten(2).transpose(1, 2)

    net = Lambda(forward, norm=nn.LayerNorm(c), pool=nn.AvgPool2d(1, r))
    module, log = apply(net, (batch, height * width, c), canonical_views, sink_views, sample_before_norm)
    assert log.rewrites == 1
    norm = next(node for node in module.graph.nodes if node.target is torch.ops.aten.layer_norm.default)
    assert norm.meta["val"].numel() == batch * h * (h + 1) * c


def test_leaves_a_slice_of_the_channels_and_a_second_reader_alone() -> None:
    channels = Lambda(lambda m, x: m["norm"](x)[..., ::2], norm=nn.LayerNorm(4))
    assert apply(channels, (2, 4, 4), sample_before_norm)[1].rewrites == 0

    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["norm"](x)
        return y[:, ::2] + y[:, 1::2]

    assert apply(Lambda(twice, norm=nn.LayerNorm(4)), (2, 4, 4), sample_before_norm)[1].rewrites == 0
