"""The reciprocal square root as a quotient."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import layer_norm_as_products, rsqrt_as_quotient

aten = torch.ops.aten


@few
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@example(shape=[2, 3, 1])
@example(shape=[3])
def test_is_the_same_function(shape: list[int]) -> None:
    module, log = apply(Lambda(lambda m, x: torch.rsqrt(x * x + 0.5)), tuple(shape), rsqrt_as_quotient)
    assert log.rewrites == 1
    assert calls(module, aten.rsqrt.default) == 0
    assert calls(module, aten.sqrt.default, aten.div.Tensor) == 2


def test_divides_the_deviations_not_the_values_that_are_normalised() -> None:
    module = apply(nn.LayerNorm(6), (2, 5, 6), layer_norm_as_products, rsqrt_as_quotient)[0]
    (quotient,) = (node for node in module.graph.nodes if node.target is aten.div.Tensor)
    assert tuple(quotient.meta["val"].shape) == (2, 5, 1)


def test_another_root_is_not_its_business() -> None:
    assert apply(Lambda(lambda m, x: torch.sqrt(x * x)), (2, 3), rsqrt_as_quotient)[1].rewrites == 0
