"""Convolutions over sequences as convolutions over images."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import conv1d_as_conv2d

aten = torch.ops.aten


@few
@given(stride=st.integers(1, 2), padding=st.integers(0, 2), dilation=st.integers(1, 2), bias=st.booleans())
@example(stride=2, padding=1, dilation=2, bias=True)
@example(stride=1, padding=0, dilation=1, bias=False)
def test_every_window(stride: int, padding: int, dilation: int, bias: bool) -> None:
    net = nn.Conv1d(4, 6, 3, stride, padding, dilation, groups=2, bias=bias)
    module, log = apply(net, (2, 4, 9), conv1d_as_conv2d)
    assert (log.rewrites, calls(module, aten.conv1d.default), calls(module, aten.conv2d.default)) == (1, 0, 1)


def test_one_that_is_used_twice() -> None:
    net = Lambda(lambda m, x: m["conv"](m["conv"](x).relu()), conv=nn.Conv1d(4, 4, 3, padding=1))
    assert apply(net, (2, 4, 9), conv1d_as_conv2d)[1].rewrites == 2


def test_computed_weights_and_no_batch_stay_and_are_said() -> None:
    def computed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return nn.functional.conv1d(x, m["conv"].weight * x.mean())

    lone = Lambda(lambda m, x: m["conv"](x[0])[None], conv=nn.Conv1d(4, 4, 3))
    for net in (Lambda(computed, conv=nn.Conv1d(4, 4, 3)), lone):
        log = apply(net, (1, 4, 9), conv1d_as_conv2d)[1]
        assert (log.rewrites, [row.operator for row in log.refused]) == (0, ["aten::conv1d"])
