"""BatchNorm folds where it is exact, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, assert_folded_in_double, calls, captured, few, randomised, rewritten
from torch import Tensor, nn
from torch.nn import functional

from export.passes import canonical_views, fold_batch_norm

aten = torch.ops.aten


@few
@given(c=st.integers(2, 6), kernel=st.sampled_from([1, 2, 3]), bias=st.booleans(), affine=st.booleans())
@example(c=5, kernel=3, bias=True, affine=True)
@example(c=5, kernel=2, bias=False, affine=True)
@example(c=5, kernel=1, bias=True, affine=False)
def test_folds_into_the_convolution_before(c: int, kernel: int, bias: bool, affine: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, c, kernel, padding=1, bias=bias), nn.BatchNorm2d(c, affine=affine))
    module, log = apply(net, (2, 3, 7, 5), fold_batch_norm)
    assert log.rewrites == 1
    assert calls(module, aten.batch_norm.default) == 0


@few
@given(groups=st.sampled_from([1, 2, 4]), kernel=st.sampled_from([1, 2]), bias=st.booleans(), stride=st.integers(1, 2))
@example(groups=2, kernel=2, bias=True, stride=2)
@example(groups=4, kernel=1, bias=False, stride=1)
@example(groups=1, kernel=2, bias=True, stride=1)
def test_folds_into_unpadded_convolutions_behind(groups: int, kernel: int, bias: bool, stride: int) -> None:
    layers = {
        "norm": nn.BatchNorm2d(4),
        "a": nn.Conv2d(4, 8, kernel, stride, groups=groups, bias=bias),
        "b": nn.Conv2d(4, 8, kernel, stride),
    }
    net = Lambda(lambda m, x: m["a"](m["norm"](x)) + m["b"](m["norm"](x)), **layers)
    module, _ = apply(net, (1, 4, 6, 6), fold_batch_norm)
    assert calls(module, aten.batch_norm.default) == 0


MEANS = {
    "positions": lambda x: x.flatten(2).mean(-1),
    "axes": lambda x: x.mean((2, 3)),
    "kept axes": lambda x: x.mean((2, 3), keepdim=True).flatten(1),
    "one axis first": lambda x: x.mean(3).flatten(1),
    "pool": lambda x: functional.adaptive_avg_pool2d(x, 1).flatten(1),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mean", MEANS)
def test_folds_through_the_mean_into_the_head(mean: str, bias: bool) -> None:
    """The mean over one axis leaves several positions, which the head tells apart: there it stays."""
    layers = {"norm": nn.BatchNorm2d(4), "head": nn.Linear(12 if mean == "one axis first" else 4, 3, bias=bias)}
    net = Lambda(lambda m, x: m["head"](MEANS[mean](m["norm"](x))), **layers)
    for steps in ((fold_batch_norm,), (canonical_views, fold_batch_norm)):
        module, log = apply(net, (2, 4, 3, 5), *steps)
        assert log.detail == ("" if mean == "one axis first" else "1 through the mean")
        assert calls(module, aten.batch_norm.default) == log.rewrites ^ 1


def test_folds_where_only_the_shape_of_the_product_is_read_again() -> None:
    """LeViT gives the normalised rows the shape of the tokens that they were."""
    layers = {"linear": nn.Linear(6, 4), "norm": nn.BatchNorm1d(4)}

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        tokens = m["linear"](x)
        return m["norm"](tokens.flatten(0, 1)).reshape_as(tokens)

    module, _ = apply(Lambda(forward, **layers), (2, 5, 6), canonical_views, fold_batch_norm)
    assert calls(module, aten.batch_norm.default) == 0


def test_leaves_what_is_no_mean_of_positions_alone() -> None:
    def relu(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["head"](m["norm"](x).relu().mean((2, 3)))

    def batch(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["head"](m["norm"](x).mean((0, 2)).permute(1, 0))

    def channels(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["head"](m["norm"](x).mean((1, 2)))

    def mixed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["head"](m["norm"](x).reshape(8, 2, 16).mean(2).reshape(4, 4))

    def largest(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["head"](m["norm"](x).amax((2, 3)))

    def pooled(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["head"](functional.adaptive_avg_pool2d(m["norm"](x), (2, 2)).reshape(-1, 4))

    def read_twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["norm"](x).mean((2, 3))
        return m["head"](y) + y

    def own_weights(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return functional.linear(m["norm"](x).mean((2, 3)), m["head"].weight * x.mean())

    for forward in (relu, batch, channels, mixed, largest, pooled, read_twice, own_weights):
        net = Lambda(forward, norm=nn.BatchNorm2d(4), head=nn.Linear(4, 4))
        assert apply(net, (4, 4, 4, 4), fold_batch_norm)[1].rewrites == 0, forward.__name__


def test_leaves_images_without_batch_alone() -> None:
    """What a convolution takes as the image (C, H, W), a normalisation takes as (N, C, L): their channels differ."""
    before = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm1d(4))
    behind = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4), nn.Conv2d(4, 4, 1))
    assert apply(before, (3, 4, 5), fold_batch_norm)[1].rewrites == 0
    assert apply(behind, (4, 4, 5), fold_batch_norm)[1].rewrites == 0


def test_is_rounded_once() -> None:
    before = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4))
    behind = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 2))
    mean = Lambda(lambda m, x: m["head"](m["norm"](x).mean((2, 3))), norm=nn.BatchNorm2d(3), head=nn.Linear(3, 4))
    for net in (before, behind, mean):
        assert_folded_in_double(net, (1, 3, 5, 5), fold_batch_norm)


@pytest.mark.parametrize("bias", [True, False])
def test_folds_into_a_matrix_products_on_either_side(bias: bool) -> None:
    """A linear layer of rank 2 has its channels where the normalisation has them."""
    before = nn.Sequential(nn.Linear(3, 4, bias=bias), nn.BatchNorm1d(4))
    behind = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 3, bias=bias))
    for net, width, kind in ((before, 3, "product before"), (behind, 4, "products after")):
        module, log = apply(net, (5, width), fold_batch_norm)
        assert log.detail == f"1 into the {kind}"
        assert calls(module, aten.batch_norm.default) == 0


def test_leaves_tokens_alone_whose_channels_are_elsewhere() -> None:
    """BatchNorm1d of (N, C, L) normalises axis 1; a linear layer of rank 3 gives its channels last."""
    before = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    behind = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 4))
    assert apply(before, (2, 4, 3), fold_batch_norm)[1].rewrites == 0
    assert apply(behind, (2, 4, 4), fold_batch_norm)[1].rewrites == 0


def test_leaves_computed_statistics_alone() -> None:
    """Without running statistics, or with ones that depend on the input."""

    def own(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["conv"](x)
        return functional.batch_norm(y, y.mean((0, 2, 3)), m["norm"].running_var)

    def variance(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["conv"](x)
        return functional.batch_norm(y, m["norm"].running_mean, y.square().mean((0, 2, 3)))

    def scale(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y, norm = m["conv"](x), m["norm"]
        return functional.batch_norm(y, norm.running_mean, norm.running_var, y.mean((0, 2, 3)), norm.bias)

    def shift(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y, norm = m["conv"](x), m["norm"]
        return functional.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, y.mean((0, 2, 3)))

    for norm, forward in (
        (nn.BatchNorm2d(4, track_running_stats=False), lambda m, x: m["norm"](m["conv"](x))),
        (nn.BatchNorm2d(4), own),
        (nn.BatchNorm2d(4), lambda m, x: functional.batch_norm(m["conv"](x), None, None, training=True)),
        (nn.BatchNorm2d(4), variance),
        (nn.BatchNorm2d(4), scale),
        (nn.BatchNorm2d(4), shift),
    ):
        net = Lambda(forward, conv=nn.Conv2d(3, 4, 1), norm=norm)
        assert apply(net, (2, 3, 5, 5), fold_batch_norm)[1].rewrites == 0


def test_leaves_a_normalisation_in_training_mode_alone() -> None:
    """It has constant statistics, and does not use them."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return functional.batch_norm(m["conv"](x), m["norm"].running_mean, m["norm"].running_var, training=True)

    net = Lambda(forward, conv=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4))
    assert rewritten(captured(randomised(net), (2, 3, 5, 5)), fold_batch_norm)[1].rewrites == 0


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_every_sign_of_the_folded_bias(affine: bool, bias: bool) -> None:
    """Worked out by hand: (w x + b - mean) / sqrt(var + eps) * weight + shift, for each place that it folds into."""
    before = Lambda(
        lambda m, x: m["norm"](m["conv"](x)), conv=nn.Conv2d(1, 1, 1, bias=bias), norm=nn.BatchNorm2d(1, affine=affine)
    )
    program = captured(randomised(before), (1, 1, 1, 1))
    state = dict(program.module.state_dict())
    x = 3.0
    value = float(state["layers.conv.weight"]) * x + (float(state["layers.conv.bias"]) if bias else 0.0)
    mean, variance = (float(state[f"layers.norm.running_{name}"]) for name in ("mean", "var"))
    expected = (value - mean) / math.sqrt(variance + 1e-5)
    if affine:
        expected = expected * float(state["layers.norm.weight"]) + float(state["layers.norm.bias"])
    module, log = rewritten(program, fold_batch_norm)
    assert log.rewrites == 1
    assert float(module(torch.full((1, 1, 1, 1), x, dtype=torch.float64))) == pytest.approx(expected, rel=1e-12)


def test_leaves_computed_weights_alone() -> None:
    layers = {"norm": nn.BatchNorm2d(4), "conv": nn.Conv2d(4, 4, 1)}
    for forward in (
        lambda m, x: m["norm"](functional.conv2d(x, m["conv"].weight * x.mean())),
        lambda m, x: functional.conv2d(m["norm"](x.relu()), m["conv"].weight * x.mean()),
        lambda m, x: functional.conv2d(m["norm"](x.relu()), m["conv"].weight, x.mean((0, 2, 3))),
    ):
        assert apply(Lambda(forward, **layers), (2, 4, 5, 5), fold_batch_norm)[1].rewrites == 0


def test_leaves_a_padded_convolution_behind_alone() -> None:
    net = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1))
    assert apply(net, (1, 4, 5, 5), fold_batch_norm)[1].rewrites == 0


def test_leaves_a_second_reader_alone() -> None:
    layers = {"norm": nn.BatchNorm2d(4), "conv": nn.Conv2d(4, 4, 1)}
    net = Lambda(lambda m, x: m["conv"](m["norm"](x)) + m["norm"](x).relu(), **layers)
    program = apply(net, (1, 4, 5, 5), fold_batch_norm)
    assert calls(program[0], aten.batch_norm.default) == 1


def test_shared_weights_stay_what_they_are_for_the_others() -> None:
    layers = {"norm": nn.BatchNorm2d(4), "conv": nn.Conv2d(4, 4, 1)}
    net = Lambda(lambda m, x: m["conv"](m["norm"](x)) + m["conv"](x), **layers)
    assert apply(net, (1, 4, 5, 5), fold_batch_norm)[1].rewrites == 1


@pytest.mark.parametrize(
    ("forward", "why"),
    [
        (lambda m, x: m["norm"](m["conv"](x)) + m["conv"](x).relu(), None),
        (lambda m, x: (lambda y: m["norm"](y) + y)(m["conv"](x)), "others read the product in front of it"),
        (
            lambda m, x: m["norm"](functional.conv2d(x, m["conv"].weight * x.mean())),
            "the weights of the product in front of it are computed",
        ),
        (lambda m, x: m["norm"](x.relu()).relu(), "no product stands next to it"),
        (lambda m, x: m["padded"](m["norm"](x.relu())), "a convolution behind it pads the border"),
        (lambda m, x: (lambda y: m["conv"](y) + y)(m["norm"](x.relu())), "others than products read it"),
        (
            lambda m, x: functional.batch_norm(m["conv"](x), None, None, training=True),
            "its statistics, scale or shift are computed",
        ),
    ],
)
def test_what_stays_is_said_with_its_reason(
    forward: Callable[[nn.ModuleDict, Tensor], Tensor], why: str | None
) -> None:
    layers = {"conv": nn.Conv2d(4, 4, 1, bias=False), "padded": nn.Conv2d(4, 4, 3, padding=1)}
    log = apply(Lambda(forward, norm=nn.BatchNorm2d(4), **layers), (2, 4, 5, 5), fold_batch_norm)[1]
    assert [row.why for row in log.refused] == ([] if why is None else [why])
    assert log.rewrites == (why is None)


def test_what_stays_is_counted_and_placed() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 1))
    (row,) = apply(net, (1, 3, 4, 4), fold_batch_norm)[1].refused
    assert row.describe() == "aten::batch_norm x 2: no product stands next to it (in 0, 2)"


@pytest.mark.parametrize("bias", [True, False])
def test_folds_through_rows_into_the_linear_layer_before(bias: bool) -> None:
    """LeViT: ``bn(x.flatten(0, 1)).reshape_as(x)``."""
    layers = {"fc": nn.Linear(3, 4, bias=bias), "norm": nn.BatchNorm1d(4)}

    def rows(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["fc"](x)
        return m["norm"](y.flatten(0, 1)).reshape(y.shape)

    def read_twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["fc"](x).flatten(0, 1)
        return m["norm"](y) + y

    def other_rows(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["norm"](m["fc"](x).transpose(1, 2).reshape(-1, 4))

    module, log = apply(Lambda(rows, **layers), (2, 5, 3), canonical_views, fold_batch_norm)
    assert log.detail == "1 into the product before"
    assert calls(module, aten.batch_norm.default) == 0
    for forward in (read_twice, other_rows):
        assert apply(Lambda(forward, **layers), (2, 4, 3), canonical_views, fold_batch_norm)[1].rewrites == 0
