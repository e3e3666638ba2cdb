"""Images keep their channels last."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few, places
from torch import nn

from export.passes import canonical_views, channels_last
from export.patterns import is_permute
from export.program import TO_NHWC

aten = torch.ops.aten


@few
@given(c=st.integers(1, 4), stride=st.integers(1, 2), groups=st.booleans())
@example(c=3, stride=2, groups=True)
@example(c=4, stride=1, groups=False)
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


SPATIAL = {
    "conv": nn.Conv2d(3, 3, 3, (1, 2), padding=1),
    "conv by name": nn.Conv2d(3, 3, 3, padding="same"),
    "transposed": nn.ConvTranspose2d(3, 3, (1, 2), (1, 2)),
    "max pool": nn.MaxPool2d((2, 1)),
    "average pool": nn.AvgPool2d((1, 2)),
    "adaptive pool": nn.AdaptiveAvgPool2d((3, 2)),
    "bilinear": nn.Upsample(scale_factor=(1, 2), mode="bilinear"),
    "nearest": nn.Upsample(scale_factor=(2, 1)),
    "batch norm": nn.BatchNorm2d(3),
}


@pytest.mark.parametrize("kind", SPATIAL)
def test_every_spatial_call_stands_between_two_permutes(kind: str) -> None:
    net = Lambda(lambda m, x: m["op"](x.softmax(1)).permute(0, 2, 3, 1).softmax(1), op=SPATIAL[kind])
    module, log = apply(net, (2, 3, 4, 6), canonical_views, channels_last)
    assert log.rewrites == 1
    (call,) = (node for node in module.graph.nodes if node.target in channels_last.SPATIAL)
    assert call.meta["val"].shape[1] == 3
    (behind,) = call.users
    assert is_permute(behind, TO_NHWC)
    assert calls(module, aten.permute.default) == 1, "what stood in front was channels first"


def test_leaves_images_without_batch_and_tokens_alone() -> None:
    assert apply(nn.Conv2d(3, 4, 2), (3, 4, 5), channels_last)[1].rewrites == 0
    assert apply(nn.BatchNorm1d(3), (2, 3, 5), channels_last)[1].rewrites == 0


def test_a_call_keeps_its_place_in_the_network() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Conv2d(4, 2, 1))
    module, _ = apply(net, (1, 3, 4, 5), canonical_views, channels_last)
    assert places(module, aten.conv2d.default) == ["0", "2"]
    assert places(module, aten.relu.default) == ["1"]
