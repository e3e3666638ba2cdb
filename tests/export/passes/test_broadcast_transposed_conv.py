"""A depthwise transposed convolution as a broadcast product."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import broadcast_transposed_conv


@few
@given(c=st.integers(1, 5), r=st.integers(1, 4), s=st.integers(1, 3), bias=st.booleans(), batch=st.integers(1, 3))
@example(c=5, r=3, s=2, bias=True, batch=2)
@example(c=5, r=2, s=3, bias=False, batch=2)
def test_is_the_same_product(c: int, r: int, s: int, bias: bool, batch: int) -> None:
    net = nn.ConvTranspose2d(c, c, (r, s), stride=(r, s), groups=c, bias=bias)
    module, log = apply(net, (batch, c, 3, 2), broadcast_transposed_conv)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.conv_transpose2d.input) == 0
    assert max(node.meta["val"].dim() for node in module.graph.nodes if node.op == "call_function") == 4


def test_leaves_near_misses_alone() -> None:
    for net in (
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2),
        nn.ConvTranspose2d(4, 4, 3, stride=2, groups=4),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4, output_padding=1),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4, padding=1),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4, dilation=2),
        nn.ConvTranspose2d(4, 8, 2, stride=2, groups=4),
        nn.ConvTranspose2d(4, 4, 2, stride=(2, 1), groups=4),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4, padding=(0, 1)),
        nn.ConvTranspose2d(4, 4, (2, 1), stride=(2, 1), groups=4, dilation=(2, 1)),
    ):
        assert apply(net, (1, 4, 3, 3), broadcast_transposed_conv)[1].rewrites == 0


def test_computed_weights_stay_and_are_said() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv_transpose2d(x, m["a"].weight * x.mean(), stride=2, groups=4)

    log = apply(Lambda(forward, a=nn.ConvTranspose2d(4, 4, 2, groups=4)), (1, 4, 3, 3), broadcast_transposed_conv)[1]
    assert (log.rewrites, [(row.operator, row.why) for row in log.refused]) == (
        0,
        [("aten::conv_transpose2d", "its weights are computed")],
    )


def test_a_grouped_one_that_does_not_fit_is_said_and_a_full_one_is_not_its_business() -> None:
    overlapping = apply(nn.ConvTranspose2d(4, 4, 3, stride=2, groups=4), (1, 4, 3, 3), broadcast_transposed_conv)[1]
    assert ["kernel = stride" in row.why for row in overlapping.refused] == [True]
    full = apply(nn.ConvTranspose2d(4, 4, 2, stride=2), (1, 4, 3, 3), broadcast_transposed_conv)[1]
    assert (full.rewrites, full.refused) == (0, ())


def test_leaves_an_image_without_batch_and_computed_weights_alone() -> None:
    net = nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4)
    assert apply(net, (4, 4, 2), broadcast_transposed_conv)[1].rewrites == 0
    own = Lambda(lambda m, x: torch.conv_transpose2d(x, m["c"].weight * x.mean(), stride=2, groups=4), c=net)
    assert apply(own, (1, 4, 3, 2), broadcast_transposed_conv)[1].rewrites == 0
