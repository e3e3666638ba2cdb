"""Only pointwise convolutions without neighbours become linear."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import lone_pointwise_as_linear

aten = torch.ops.aten


@few
@given(c=st.integers(1, 5), bias=st.booleans())
@example(c=3, bias=True)
@example(c=5, bias=False)
def test_alone(c: int, bias: bool) -> None:
    net = nn.Sequential(nn.Conv2d(c, 4, 1, bias=bias), nn.GELU(), nn.Conv2d(4, c, 1))
    log = apply(net, (2, c, 3, 4), lone_pointwise_as_linear)[1]
    assert (log.rewrites, log.detail) == (2, "2 of 2 convolutions as linear layers")


def test_neighbours_stay() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1))
    module, log = apply(net, (1, 4, 3, 3), lone_pointwise_as_linear)
    assert log.rewrites == 0
    assert calls(module, aten.linear.default) == 0


def test_computed_weights_stay_and_are_said() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, m["a"].weight * x.mean())

    log = apply(Lambda(forward, a=nn.Conv2d(4, 3, 1)), (1, 4, 5, 5), lone_pointwise_as_linear)[1]
    assert (log.rewrites, [(row.operator, row.why) for row in log.refused]) == (
        0,
        [("aten::conv2d", "its weights are computed")],
    )


def test_a_neighbour_on_either_side_is_enough() -> None:
    """Also as one of several readers; spatial convolutions stay whether alone or not."""

    def read_by_others(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return y.relu() + m["b"](y)

    layers = {"a": nn.Conv2d(4, 4, 1), "b": nn.Conv2d(4, 4, 3, padding=1)}
    for net in (
        nn.Sequential(layers["a"], layers["b"], nn.GELU()),
        nn.Sequential(nn.GELU(), layers["b"], layers["a"]),
        nn.Sequential(nn.GELU(), layers["b"], nn.GELU()),
        Lambda(read_by_others, **layers),
    ):
        assert apply(net, (1, 4, 3, 3), lone_pointwise_as_linear)[1].rewrites == 0
