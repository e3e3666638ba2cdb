"""A factor moves into the weights that it scales."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, assert_folded_in_double, calls, few
from torch import Tensor, nn

from export.passes import canonical_views, fold_scale


@few
@given(factor=st.floats(0.01, 9), bias=st.booleans(), divide=st.booleans())
@example(factor=3.0, bias=True, divide=True)
@example(factor=3.0, bias=True, divide=False)
@example(factor=3.0, bias=False, divide=True)
def test_attention_scale(factor: float, bias: bool, divide: bool) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        scores = m["q"](x) @ m["k"](x).transpose(-2, -1)
        return (scores / factor if divide else scores * factor).softmax(-1)

    net = Lambda(forward, q=nn.Linear(5, 4, bias=bias), k=nn.Linear(5, 4))
    module, log = apply(net, (2, 3, 5), canonical_views, fold_scale)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor) == 0
    assert_folded_in_double(net, (2, 3, 5), canonical_views, fold_scale)


def test_through_views_and_either_side_of_a_product() -> None:
    def viewed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["q"](x).reshape(2, 3, 5, 1)[:, ::2].permute(0, 2, 1, 3).select(1, 3) * -0.7

    def second(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return x @ m["q"](x).transpose(1, 2) / 3

    for forward in (viewed, second):
        assert apply(Lambda(forward, q=nn.Linear(5, 5)), (2, 3, 5), canonical_views, fold_scale)[1].rewrites == 1


def test_convolution() -> None:
    net = Lambda(lambda m, x: m["c"](x) * 3, c=nn.Conv2d(4, 4, 3, padding=1, groups=2))
    assert apply(net, (1, 4, 5, 5), fold_scale)[1].rewrites == 1


def test_leaves_near_misses_alone() -> None:
    layers = {"q": nn.Linear(5, 5)}

    def seen_twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["q"](x)
        return y * 3 + y

    def both_sides(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["q"](x)[0]
        return y @ y.permute(1, 0) * 3

    for forward in (
        seen_twice,
        lambda m, x: m["q"](x).relu() * 3,
        lambda m, x: x * 3,
        lambda m, x: m["q"](x) * x,
        lambda m, x: (m["q"](x) * 0).exp(),
        lambda m, x: (m["q"](x).abs() / 0).atan(),
        lambda m, x: (m["q"](x) / 0).sign(),
        lambda m, x: torch.div(m["q"](x), 3, rounding_mode="floor"),
        both_sides,
        lambda m, x: torch.nn.functional.linear(x, m["q"].weight * x.mean()) * 3,
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
