"""Images keep their channels last."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import canonical_views, channels_last

aten = torch.ops.aten


@few
@given(c=st.integers(1, 4), stride=st.integers(1, 2), groups=st.booleans())
def test_only_the_pairs_around_convolutions_are_left(c: int, stride: int, groups: bool) -> None:
    layers = {
        "a": nn.Conv2d(c, c, 3, stride, padding=1, groups=c if groups else 1),
        "norm": nn.LayerNorm(c),
        "b": nn.Conv2d(c, c, 3, padding=1),
    }

    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x).relu()
        tokens = m["norm"](y.flatten(2).transpose(1, 2))
        return m["b"](tokens.transpose(1, 2).reshape(y.shape)).mean((2, 3))

    module, log = apply(Lambda(forward, **layers), (1, c, 6, 4), canonical_views, channels_last)
    assert log.rewrites == 2
    # the input keeps its order: the first pair has lost its first half
    assert calls(module, aten.permute.default) == 3


def test_a_network_of_spatial_calls() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1)
    )
    apply(net, (2, 3, 9, 8), canonical_views, channels_last)


def test_an_image_without_a_batch_axis_stays_and_is_said() -> None:
    log = apply(nn.Conv2d(3, 4, 3), (3, 5, 5), channels_last)[1]
    assert (log.rewrites, [row.why for row in log.refused]) == (0, ["its image has no batch axis"])
