"""Scale and shift per channel as one convolution."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import affine_as_depthwise

aten = torch.ops.aten


@few
@given(c=st.integers(1, 5), batch=st.integers(1, 2))
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
