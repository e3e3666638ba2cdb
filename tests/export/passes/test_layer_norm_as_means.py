"""LayerNorm as means over the last axis."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import centre_before_norm, layer_norm_as_means

aten = torch.ops.aten


@few
@given(c=st.integers(1, 7), affine=st.booleans(), eps=st.sampled_from([1e-6, 1e-5, 0.1]), rank=st.integers(2, 5))
@example(c=5, affine=True, eps=0.1, rank=3)
@example(c=5, affine=False, eps=1e-5, rank=2)
def test_phrases_the_same_function(c: int, affine: bool, eps: float, rank: int) -> None:
    net = nn.LayerNorm(c, eps=eps, elementwise_affine=affine)
    module, log = apply(net, (2,) * (rank - 1) + (c,), layer_norm_as_means)
    assert log.rewrites == 1
    assert calls(module, aten.layer_norm.default) == 0
    assert calls(module, aten.mean.dim) == 2
    assert calls(module, aten.mul.Tensor, aten.add.Tensor) == (5 if affine else 3)


def test_what_is_centred_needs_one_mean() -> None:
    net = Lambda(lambda m, x: m["norm"](m["fc"](x)), fc=nn.Linear(3, 5), norm=nn.LayerNorm(5))
    module, _ = apply(net, (2, 3), centre_before_norm, layer_norm_as_means)
    assert calls(module, aten.mean.dim) == 1
    assert calls(module, aten.sub.Tensor) == 0


def test_a_scale_or_a_shift_alone() -> None:
    norm = nn.LayerNorm(4)
    for names in (("weight",), ("bias",)):

        def forward(m: nn.ModuleDict, x: torch.Tensor, names: tuple[str, ...] = names) -> torch.Tensor:
            given = {name: getattr(m["norm"], name) for name in names}
            return torch.nn.functional.layer_norm(x, [4], **given)

        assert apply(Lambda(forward, norm=norm), (2, 3, 4), layer_norm_as_means)[1].rewrites == 1


def test_a_norm_over_several_axes_stays_and_is_said() -> None:
    _, log = apply(nn.LayerNorm((3, 4)), (2, 3, 4), layer_norm_as_means)
    assert log.rewrites == 0
    assert log.refused[0].describe() == "aten::layer_norm x 1: it normalises more than the last axis"


def test_the_default_eps_is_the_operators_own() -> None:
    small = Lambda(lambda m, x: aten.layer_norm.default(x * 1e-3, [5]))  # a variance of a tenth of it
    assert apply(small, (2, 5), layer_norm_as_means)[1].rewrites == 1
