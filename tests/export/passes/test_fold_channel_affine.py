"""Scales and shifts of channels, into the product in front."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, assert_folded_in_double, calls
from torch import Tensor, nn

from export.passes import canonical_views, compute_constants, fold_channel_affine
from export.patterns import aten

STEPS = (canonical_views, compute_constants, fold_channel_affine)
LAYERS = {
    "conv": nn.Conv2d(3, 4, 3),
    "grouped": nn.Conv2d(3, 6, 1, groups=3),
    "plain": nn.Conv2d(3, 4, 1, bias=False),
    "linear": nn.Linear(5, 4),
    "gamma": nn.LayerNorm(4),
}


def gamma(m: nn.ModuleDict) -> Tensor:
    return m["gamma"].weight


FOLDED: dict[str, Callable[[nn.ModuleDict, Tensor], Tensor]] = {
    "layer scale of an image": lambda m, x: m["conv"](x) * gamma(m).reshape(1, 4, 1, 1),
    "without the batch": lambda m, x: gamma(m).reshape(4, 1, 1) * m["conv"](x),
    "of tokens": lambda m, x: m["linear"](x) * gamma(m),
    "behind a permute": lambda m, x: m["conv"](x).permute(0, 2, 3, 1) * gamma(m),
    "of a permuted linear layer": lambda m, x: m["linear"](x).permute(0, 3, 1, 2) * gamma(m).reshape(4, 1, 1),
    "behind a reshape": lambda m, x: m["linear"](x).reshape(2, -1, 4) * gamma(m),
    "shift": lambda m, x: m["conv"](x) + gamma(m).reshape(4, 1, 1),
    "shift without a bias": lambda m, x: m["plain"](x) + gamma(m).reshape(4, 1, 1),
    "scale without a bias": lambda m, x: m["plain"](x) * gamma(m).reshape(4, 1, 1),
    "one number for all": lambda m, x: m["linear"](x) * gamma(m)[:1],
    "groups": lambda m, x: m["grouped"](x) * gamma(m)[:1],
}


@pytest.mark.parametrize("kind", FOLDED)
def test_folds(kind: str) -> None:
    module, log = apply(Lambda(FOLDED[kind], **LAYERS), (2, 3, 6, 5), *STEPS)
    assert log.rewrites == 1
    assert calls(module, aten.mul.Tensor, aten.add.Tensor) == 0


LEFT: dict[str, tuple[Callable[[nn.ModuleDict, Tensor], Tensor], str | None]] = {
    "read twice": (lambda m, x: (lambda y: y * gamma(m) + y)(m["linear"](x)), "others read the product"),
    "a view read twice": (
        lambda m, x: (lambda y: y * gamma(m) + y)(m["linear"](x).reshape(2, -1, 4)),
        "others read the product",
    ),
    "another axis": (lambda m, x: m["conv"](x) * torch.arange(3, dtype=x.dtype), None),
    "channels on two axes": (lambda m, x: m["linear"](x).reshape(2, 3, 6, 2, 2) * gamma(m)[:2], None),
    "widened": (lambda m, x: m["linear"](x)[:, :1, :1] * torch.ones(1, 2, 2, 4, dtype=x.dtype), None),
    "no constant": (lambda m, x: m["linear"](x) * x.mean(), None),
    "computed weights": (
        lambda m, x: nn.functional.linear(x, m["linear"].weight * x.mean()) * gamma(m),
        "the weights of the product are computed",
    ),
    "through an activation": (lambda m, x: m["linear"](x).relu() * gamma(m), None),
}


@pytest.mark.parametrize("kind", LEFT)
def test_leaves(kind: str) -> None:
    forward, why = LEFT[kind]
    log = apply(Lambda(forward, **LAYERS), (2, 3, 6, 5), *STEPS)[1]
    assert log.rewrites == 0
    assert [row.why for row in log.refused] == ([] if why is None else [why])


def test_is_rounded_once() -> None:
    assert_folded_in_double(Lambda(FOLDED["layer scale of an image"], **LAYERS), (1, 3, 5, 5), *STEPS)
