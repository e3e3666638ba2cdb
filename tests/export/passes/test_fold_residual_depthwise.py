"""x + depthwise(x) becomes one convolution."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import fold_residual_depthwise


@few
@given(c=st.integers(1, 5), kernel=st.sampled_from([1, 3, 5]), dilation=st.integers(1, 2), bias=st.booleans())
def test_folds_the_addition(c: int, kernel: int, dilation: int, bias: bool) -> None:
    pad = dilation * (kernel // 2)
    conv = nn.Conv2d(c, c, kernel, padding=pad, dilation=dilation, groups=c, bias=bias)
    module, log = apply(Lambda(lambda m, x: x + m["conv"](x), conv=conv), (1, c, 9, 8), fold_residual_depthwise)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.add.Tensor) == 0


def test_leaves_near_misses_alone() -> None:
    def depthwise(**changes: int) -> nn.Conv2d:
        options = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, "groups": 4}
        return nn.Conv2d(**{**options, **changes})

    for conv in (depthwise(groups=2), depthwise(groups=1)):
        net = Lambda(lambda m, x: x + m["conv"](x), conv=conv)
        assert apply(net, (1, 4, 6, 6), fold_residual_depthwise)[1].rewrites == 0

    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["conv"](x)
        return (x + y) * y

    assert apply(Lambda(twice, conv=depthwise()), (1, 4, 6, 6), fold_residual_depthwise)[1].rewrites == 0
    other_image = Lambda(lambda m, x: x.relu() + m["conv"](x), conv=depthwise())
    assert apply(other_image, (1, 4, 6, 6), fold_residual_depthwise)[1].rewrites == 0
    broadcast = Lambda(lambda m, x: x + m["conv"](x), conv=depthwise(kernel_size=5, padding=0))
    assert apply(broadcast, (1, 4, 5, 5), fold_residual_depthwise)[1].rewrites == 0


def test_a_depthwise_branch_that_stays_is_said_with_its_reason() -> None:
    def shared(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["conv"](x)
        return (x + y) * y

    def computed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x + nn.functional.conv2d(x, m["conv"].weight * x.mean(), padding=1, groups=4)

    depthwise, uneven = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, (2, 3), padding=(1, 1), groups=4)
    for net, why in (
        (Lambda(shared, conv=depthwise), "others read the depthwise convolution"),
        (Lambda(computed, conv=depthwise), "the weights of the depthwise convolution are computed"),
        (Lambda(lambda m, x: x + m["conv"](x), conv=uneven), "the depthwise convolution has no centre"),
    ):
        log = apply(net, (1, 4, 1, 6) if net.layers["conv"] is uneven else (1, 4, 5, 6), fold_residual_depthwise)[1]
        assert [(row.operator, row.count) for row in log.refused] == [("aten::add", 1)]
        assert log.refused[0].why.startswith(why)
    plain = Lambda(lambda m, x: x + m["conv"](x), conv=nn.Conv2d(4, 4, 3, padding=1))
    assert apply(plain, (1, 4, 5, 6), fold_residual_depthwise)[1].refused == ()
