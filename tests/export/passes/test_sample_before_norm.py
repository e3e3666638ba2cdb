"""Normalise the sample instead of the image."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, few, places
from torch import nn

from export.passes import canonical_views, sample_before_norm, sink_views


@few
@given(r=st.integers(2, 4), h=st.integers(1, 2), c=st.integers(2, 5), batch=st.integers(1, 2))
@example(r=2, h=2, c=3, batch=2)
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


def test_the_norm_keeps_its_eps_and_takes_only_what_ends_in_a_sample() -> None:
    """A reshape behind the last slice stays behind; without a slice there is nothing to take."""

    def behind(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](x)[:, ::2].reshape(-1, 4)

    def between(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](x).reshape(2, 2, 3, 4)[:, :, ::2][:, :1]

    def without(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](x).reshape(-1, 4)

    def as_weight(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, m["norm"](x)[0])

    def mixed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](x).reshape(2, 12, 2)[:, ::2]

    def several_axes(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["rows"](x)[:, ::2]

    layers = {"norm": nn.LayerNorm(4, eps=0.1), "rows": nn.LayerNorm([6, 4])}
    sizes = {"behind": (2, 3, 4), "between": (2, 1, 2, 4)}
    for forward in (behind, between, without, as_weight, mixed, several_axes):
        module, log = apply(Lambda(forward, **layers), (2, 6, 4), sample_before_norm)
        assert log.rewrites == (forward.__name__ in sizes), forward.__name__
        if log.rewrites:
            norm = next(node for node in module.graph.nodes if node.target is torch.ops.aten.layer_norm.default)
            assert norm.meta["val"].shape == sizes[forward.__name__]
            assert places(module, torch.ops.aten.layer_norm.default) == ["layers.norm"]
