"""Scale and shift of LayerNorm move into the linear layers behind."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, assert_folded_in_double, few
from torch import nn

from export.passes import canonical_views, fold_norm_affine


@few
@given(c=st.integers(2, 8), out=st.integers(1, 5), bias=st.booleans(), shift=st.booleans())
@example(c=5, out=3, bias=True, shift=True)
@example(c=5, out=3, bias=False, shift=True)
@example(c=5, out=3, bias=True, shift=False)
@example(c=5, out=3, bias=False, shift=False)
def test_folds_into_every_reader(c: int, out: int, bias: bool, shift: bool) -> None:
    layers = {
        "norm": nn.LayerNorm(c, eps=0.1, bias=shift),
        "a": nn.Linear(c, out, bias=bias),
        "b": nn.Linear(c, out),
    }

    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["norm"](x)
        return m["a"](y) + m["b"](y.reshape(1, 6, c)).reshape(2, 3, out)

    net = Lambda(forward, **layers)
    module, log = apply(net, (2, 3, c), canonical_views, fold_norm_affine)
    assert log.rewrites == 1
    norm = next(node for node in module.graph.nodes if node.target is torch.ops.aten.layer_norm.default)
    assert norm.args[2:4] == (None, None)
    assert_folded_in_double(net, (2, 3, c), canonical_views, fold_norm_affine)


def test_leaves_other_readers_alone() -> None:
    layers = {"norm": nn.LayerNorm(4), "a": nn.Linear(4, 4)}

    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["norm"](x)
        return m["a"](y) + y

    net = Lambda(twice, **layers)
    assert apply(net, (2, 3, 4), fold_norm_affine)[1].rewrites == 0
    mixed = Lambda(lambda m, x: m["a"](m["norm"](x).transpose(1, 2)), norm=nn.LayerNorm(4), a=nn.Linear(3, 4))
    assert apply(mixed, (2, 3, 4), canonical_views, fold_norm_affine)[1].rewrites == 0
    two_axes = Lambda(lambda m, x: m["a"](m["norm"](x)), norm=nn.LayerNorm([3, 4]), a=nn.Linear(4, 4))
    assert apply(two_axes, (2, 3, 4), fold_norm_affine)[1].rewrites == 0


def test_a_norm_with_linear_readers_that_stays_is_said_with_its_reason() -> None:
    def also_added(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["norm"](x)
        return m["a"](y) + y

    def computed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](nn.functional.layer_norm(x, (4,), m["norm"].weight * x.mean(), m["norm"].bias))

    for forward, reasons in (
        (also_added, ["others than linear layers with constant weights read it"]),
        (computed, ["its scale or shift is computed"]),
        (lambda m, x: m["norm"](x).relu(), []),
    ):
        log = apply(Lambda(forward, norm=nn.LayerNorm(4), a=nn.Linear(4, 4)), (2, 3, 4), fold_norm_affine)[1]
        assert (log.rewrites, [row.why for row in log.refused]) == (0, reasons)


def _normalised(x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.nn.functional.layer_norm(x, [4], weight, bias)


def test_a_shift_alone_and_a_norm_without_either() -> None:
    layers = {"norm": nn.LayerNorm(4), "a": nn.Linear(4, 3)}
    net = Lambda(lambda m, x: m["a"](_normalised(x, None, m["norm"].bias)), **layers)
    assert apply(net, (2, 3, 4), fold_norm_affine)[1].rewrites == 1
    plain = Lambda(lambda m, x: m["a"](_normalised(x, None, None)), **layers)
    assert apply(plain, (2, 3, 4), fold_norm_affine)[1].rewrites == 0


def test_a_sample_of_the_tokens_is_seen_by_linear_layers_only() -> None:
    layers = {"norm": nn.LayerNorm(4), "a": nn.Linear(4, 3), "pair": nn.Linear(2, 3)}
    tokens = Lambda(lambda m, x: m["a"](m["norm"](x)[:, ::2]), **layers)
    assert apply(tokens, (2, 3, 4), fold_norm_affine)[1].rewrites == 1
    channels = Lambda(lambda m, x: m["pair"](m["norm"](x)[..., ::2]), **layers)
    assert apply(channels, (2, 3, 4), fold_norm_affine)[1].rewrites == 0


def test_leaves_computed_weights_on_either_side_alone() -> None:
    def scale(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](_normalised(x, x[0].mean(0), m["norm"].bias))

    def shift(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](_normalised(x, m["norm"].weight, x[0].mean(0)))

    def behind(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(m["norm"](x), m["a"].weight * x.mean())

    def as_weight(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x[0], m["norm"](x)[0])

    def nobody(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](x)

    layers = {"norm": nn.LayerNorm(4), "a": nn.Linear(4, 4)}
    for forward in (scale, shift, behind, as_weight, nobody):
        assert apply(Lambda(forward, **layers), (2, 3, 4), fold_norm_affine)[1].rewrites == 0, forward.__name__
