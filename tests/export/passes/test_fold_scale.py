"""A factor moves into the weights that it scales."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views, fold_scale


@few
@given(factor=st.floats(0.01, 9), bias=st.booleans(), divide=st.booleans())
def test_attention_scale(factor: float, bias: bool, divide: bool) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        scores = m["q"](x) @ m["k"](x).transpose(-2, -1)
        return (scores / factor if divide else scores * factor).softmax(-1)

    net = Lambda(forward, q=nn.Linear(5, 4, bias=bias), k=nn.Linear(5, 4))
    module, log = apply(net, (2, 3, 5), canonical_views, fold_scale)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor) == 0


def test_convolution() -> None:
    net = Lambda(lambda m, x: m["c"](x) * 3, c=nn.Conv2d(4, 4, 3, padding=1, groups=2))
    assert apply(net, (1, 4, 5, 5), fold_scale)[1].rewrites == 1


def test_leaves_near_misses_alone() -> None:
    layers = {"q": nn.Linear(5, 5)}

    def seen_twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["q"](x)
        return y * 3 + y

    for forward in (
        seen_twice,
        lambda m, x: m["q"](x).relu() * 3,
        lambda m, x: x * 3,
        lambda m, x: m["q"](x) * x,
    ):
        assert apply(Lambda(forward, **layers), (2, 3, 5), fold_scale)[1].rewrites == 0


def test_a_factor_whose_product_must_stay_is_said_with_its_reason() -> None:
    def shared(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["a"](x)
        return y.transpose(0, 1) * 0.5 + y.transpose(0, 1)

    def computed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return nn.functional.linear(x, m["a"].weight * x.mean()) * 0.5

    def other_side(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return x.matmul(shared(m, x)) / 3

    for forward, rewrites, reasons in (
        (shared, 0, ["others read the product"]),
        (computed, 0, ["the weights of the product are computed"]),
        (lambda m, x: x.relu() * 0.5, 0, []),
        (lambda m, x: (m["a"](x) @ x) * 0.5, 1, []),
        (other_side, 0, ["others read the product"]),
    ):
        log = apply(Lambda(forward, a=nn.Linear(4, 4)), (4, 4), canonical_views, fold_scale)[1]
        assert (log.rewrites, [row.why for row in log.refused]) == (rewrites, reasons)
