"""Linear layers on images as 1x1 convolutions."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import linear_as_pointwise

aten = torch.ops.aten


@few
@given(c=st.integers(1, 5), out=st.integers(1, 5), bias=st.booleans())
@example(c=3, out=5, bias=True)
@example(c=3, out=5, bias=False)
def test_images(c: int, out: int, bias: bool) -> None:
    module, log = apply(nn.Linear(c, out, bias=bias), (2, 3, 4, c), linear_as_pointwise)
    assert log.rewrites == 1
    assert calls(module, aten.linear.default) == 0


def test_leaves_tokens_alone() -> None:
    assert apply(nn.Linear(4, 4), (2, 3, 4), linear_as_pointwise)[1].rewrites == 0


def test_computed_weights_stay_and_are_said() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, m["a"].weight * x.mean())

    log = apply(Lambda(forward, a=nn.Linear(4, 3)), (1, 5, 5, 4), linear_as_pointwise)[1]
    assert (log.rewrites, [(row.operator, row.why) for row in log.refused]) == (
        0,
        [("aten::linear", "its weights are computed")],
    )


def test_leaves_more_axes_and_computed_weights_alone() -> None:
    assert apply(nn.Linear(4, 3), (2, 3, 2, 2, 4), linear_as_pointwise)[1].rewrites == 0
    own = Lambda(lambda m, x: torch.nn.functional.linear(x, m["fc"].weight * x.mean()), fc=nn.Linear(4, 3))
    assert apply(own, (2, 3, 2, 4), linear_as_pointwise)[1].rewrites == 0
