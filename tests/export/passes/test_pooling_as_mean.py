"""The average of a whole image as a mean."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import nn

from export.passes import canonical_views, channels_last, pooling_as_mean
from export.patterns import rank_of

aten = torch.ops.aten


@pytest.mark.parametrize("size", [1, (1, 1)])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5)])
def test_one_position(size: int | tuple[int, int], shape: tuple[int, ...]) -> None:
    module, log = apply(nn.AdaptiveAvgPool2d(size), shape, pooling_as_mean)
    assert (log.name, log.rewrites) == ("pooling_as_mean", 1)
    assert calls(module, aten.adaptive_avg_pool2d.default) == 0


@pytest.mark.parametrize("size", [2, (1, 2), (2, 1), (None, 1)])
def test_leaves_several_positions_alone(size: int | tuple[int | None, int]) -> None:
    assert apply(nn.AdaptiveAvgPool2d(size), (1, 3, 4, 5), pooling_as_mean)[1].rewrites == 0


def test_the_image_in_front_of_it_is_not_transposed() -> None:
    """Without the pass a permute of the whole image stays in front of the pooling."""
    layers = {"conv": nn.Conv2d(3, 4, 3), "head": nn.Linear(4, 2)}
    net = Lambda(
        lambda m, x: m["head"](torch.nn.functional.adaptive_avg_pool2d(m["conv"](x).relu(), 1).flatten(1)), **layers
    )
    module, _ = apply(net, (1, 3, 6, 7), canonical_views, pooling_as_mean, channels_last)
    (mean,) = [node for node in module.graph.nodes if node.target is aten.mean.dim]
    assert mean.args[0].meta["val"].shape == (1, 4, 5, 4)
    assert rank_of(mean.args[0]) == 4
