"""1x1 convolutions as linear layers."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import pointwise_as_linear


@few
@given(c=st.integers(1, 5), out=st.integers(1, 5), bias=st.booleans())
@example(c=3, out=5, bias=True)
@example(c=5, out=2, bias=False)
def test_pointwise(c: int, out: int, bias: bool) -> None:
    module, log = apply(nn.Conv2d(c, out, 1, bias=bias), (2, c, 3, 4), pointwise_as_linear)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.conv2d.default) == 0


def test_leaves_others_alone() -> None:
    for net in (
        nn.Conv2d(4, 4, 1, stride=2),
        nn.Conv2d(4, 4, 1, padding=1),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Conv2d(4, 4, 1, stride=(1, 2)),
        nn.Conv2d(4, 4, 1, padding=(0, 1)),
        nn.Conv2d(4, 4, (1, 2)),
        nn.Conv2d(4, 4, 2),
    ):
        assert apply(net, (1, 4, 4, 4), pointwise_as_linear)[1].rewrites == 0
    assert calls(apply(nn.Conv2d(4, 4, 2), (1, 4, 4, 4), pointwise_as_linear)[0], torch.ops.aten.linear.default) == 0


def test_computed_weights_stay_and_are_said() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, m["a"].weight * x.mean())

    log = apply(Lambda(forward, a=nn.Conv2d(4, 3, 1)), (1, 4, 5, 5), pointwise_as_linear)[1]
    assert (log.rewrites, [(row.operator, row.why) for row in log.refused]) == (
        0,
        [("aten::conv2d", "its weights are computed")],
    )


def test_leaves_an_image_without_batch_and_computed_weights_alone() -> None:
    assert apply(nn.Conv2d(4, 3, 1), (4, 3, 5), pointwise_as_linear)[1].rewrites == 0
    own = Lambda(lambda m, x: torch.conv2d(x, m["c"].weight * x.mean()), c=nn.Conv2d(4, 3, 1))
    assert apply(own, (2, 4, 3, 5), pointwise_as_linear)[1].rewrites == 0
