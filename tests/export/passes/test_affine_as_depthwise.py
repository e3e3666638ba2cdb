"""Scale and shift per channel as one convolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import affine_as_depthwise

aten = torch.ops.aten


@few
@given(c=st.integers(1, 5), batch=st.integers(1, 2))
@example(c=5, batch=2)
def test_scale_and_shift(c: int, batch: int) -> None:
    class Affine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.shift = nn.Parameter(torch.ones(c)), nn.Parameter(torch.ones(c))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() * self.scale + self.shift

    module, log = apply(Affine(), (batch, 3, 2, c), affine_as_depthwise)
    assert log.rewrites == 1
    assert calls(module, aten.mul.Tensor, aten.add.Tensor) == 0
    assert apply(Affine(), (3, 2, c), affine_as_depthwise)[1].rewrites == 0


def test_leaves_values_that_are_no_constants_alone() -> None:
    assert apply(Lambda(lambda m, x: x * x + x), (1, 3, 2, 4), affine_as_depthwise)[1].rewrites == 0


class _Affine(nn.Module):
    """``function(x, scale, shift)`` with a scale and a shift per channel."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor], channels: int = 4) -> None:
        super().__init__()
        self.function = function
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.relu(), self.scale, self.shift)


def test_leaves_near_misses_alone() -> None:
    def twice(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = x * scale
        return (y + shift) * y

    for function in (
        twice,
        lambda x, scale, shift: torch.add(x * scale, shift, alpha=3),
        lambda x, scale, shift: x / scale + shift,
        lambda x, scale, shift: x * scale + x,
        lambda x, scale, shift: x * x + shift,
        lambda x, scale, shift: x[..., :1] * scale + shift,
        lambda x, scale, shift: (x * scale).softmax(-1) + shift,
    ):
        assert apply(_Affine(function), (2, 3, 2, 4), affine_as_depthwise)[1].rewrites == 0
    net = _Affine(lambda x, scale, shift: x * scale + shift)
    assert apply(net, (2, 1, 3, 2, 4), affine_as_depthwise)[1].rewrites == 0
    one = _Affine(lambda x, scale, shift: x * scale + shift, channels=1)
    assert apply(one, (2, 3, 2, 4), affine_as_depthwise)[1].rewrites == 0
