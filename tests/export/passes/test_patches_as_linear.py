"""Convolutions over patches as linear layers."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import patches_as_linear

aten = torch.ops.aten


@few
@given(
    batch=st.integers(1, 2), rows=st.integers(1, 3), columns=st.integers(2, 3), h=st.integers(1, 3),
    w=st.integers(1, 3), c=st.integers(16, 18), out=st.integers(1, 5), bias=st.booleans(),
)  # fmt: skip
@example(batch=2, rows=2, columns=3, h=3, w=2, c=17, out=5, bias=True)
@example(batch=2, rows=3, columns=2, h=2, w=3, c=16, out=5, bias=False)
def test_every_patch_is_one_row(
    batch: int, rows: int, columns: int, h: int, w: int, c: int, out: int, bias: bool
) -> None:
    net = nn.Conv2d(c, out, (rows, columns), (rows, columns), bias=bias)
    module, log = apply(net, (batch, c, h * rows, w * columns), patches_as_linear)
    assert log.rewrites == 1
    assert calls(module, aten.conv2d.default) == 0
    assert calls(module, aten.linear.default) == 1
    assert all(node.meta["val"].dim() <= 4 for node in module.graph.nodes if node.op == "call_function")


def test_leaves_other_convolutions_alone() -> None:
    others = [
        nn.Conv2d(16, 4, 1),
        nn.Conv2d(16, 4, 2, 1),
        nn.Conv2d(16, 4, 2, 2, padding=1),
        nn.Conv2d(16, 4, 2, 2, dilation=2),
        nn.Conv2d(16, 4, 2, 2, groups=2),
        nn.Conv2d(16, 4, 3, 3),
        nn.Conv2d(16, 4, 2, (2, 1)),
        nn.Conv2d(15, 4, 2, 2),
        nn.Conv2d(16, 4, 2, 2, padding=(0, 1)),
        nn.Conv2d(16, 4, (2, 3), (2, 3)),
        nn.Conv2d(16, 4, (3, 2), (3, 2)),
    ]
    for net in others:
        assert apply(net, (2, net.in_channels, 8, 8), patches_as_linear)[1].rewrites == 0, net


def test_computed_weights_are_left_alone() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, m["c"].weight * x.mean(), stride=2)

    assert apply(Lambda(forward, c=nn.Conv2d(16, 2, 2)), (1, 16, 4, 4), patches_as_linear)[1].rewrites == 0


def test_computed_weights_stay_and_are_said() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, m["a"].weight * x.mean(), stride=2)

    log = apply(Lambda(forward, a=nn.Conv2d(16, 3, 2)), (1, 16, 4, 4), patches_as_linear)[1]
    assert (log.rewrites, [(row.operator, row.why) for row in log.refused]) == (
        0,
        [("aten::conv2d", "its weights are computed")],
    )


def test_a_kernel_that_does_not_divide_the_image_is_said() -> None:
    log = apply(nn.Conv2d(16, 3, 2, 2), (1, 16, 5, 4), patches_as_linear)[1]
    assert (log.rewrites, [row.why for row in log.refused]) == (0, ["its kernel does not divide the image"])
    assert apply(nn.Conv2d(3, 3, 2, 2), (1, 3, 5, 4), patches_as_linear)[1].refused == ()


def test_an_image_without_batch_is_left_alone() -> None:
    assert apply(nn.Conv2d(16, 4, 2, 2), (16, 4, 4), patches_as_linear)[1].rewrites == 0
