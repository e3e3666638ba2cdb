"""Means over positions as global pooling."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few

from export.passes import mean_as_pooling

aten = torch.ops.aten


@few
@given(keep=st.booleans(), batch=st.integers(1, 2), last=st.booleans())
@example(keep=True, batch=2, last=True)
@example(keep=False, batch=2, last=True)
@example(keep=False, batch=2, last=False)
def test_images_and_tokens(keep: bool, batch: int, last: bool) -> None:
    dims = [1, 2] if last else [2, 3]
    net = Lambda(lambda m, x: x.mean(dims, keepdim=keep))
    assert apply(net, (batch, 3, 4, 5), mean_as_pooling)[1].rewrites == (1 if last or not keep else 0)
    tokens = Lambda(lambda m, x: x.mean(1, keepdim=keep))
    module, log = apply(tokens, (batch, 6, 5), mean_as_pooling)
    assert log.rewrites == 1
    assert calls(module, aten.mean.dim) == 1
    pooled = next(node for node in module.graph.nodes if node.target is aten.mean.dim)
    assert pooled.args[1:] == ([2, 3], True)
    assert pooled.meta["val"].shape == (batch, 5, 1, 1)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((2, 3, 4, 5), [1]),
        ((2, 3, 4, 5), [2]),
        ((2, 3, 4, 5), [-1, 1, 2]),
        ((2, 3, 4), [1, 2]),
        ((2, 3, 4, 5, 2), [2, 3]),
        ((2, 3, 4, 5, 2), [4, 3]),
    ],
)
def test_neighbouring_axes(shape: tuple[int, ...], dims: list[int]) -> None:
    for keep in (True, False):
        module, log = apply(Lambda(lambda m, x, keep=keep: x.mean(dims, keepdim=keep)), shape, mean_as_pooling)
        assert log.rewrites == 1
        assert [node.args[1:] for node in module.graph.nodes if node.target is aten.mean.dim] == [([2, 3], True)]


def test_leaves_other_means_alone() -> None:
    for dims in ([1, 3], [0, 1, 2, 3], [3], [0]):
        net = Lambda(lambda m, x, dims=dims: x.mean(dims))
        assert apply(net, (2, 3, 4, 5), mean_as_pooling)[1].rewrites == 0
    for dims in ([0], [2], [0, 1]):
        net = Lambda(lambda m, x, dims=dims: x.mean(dims))
        assert apply(net, (2, 3, 4), mean_as_pooling)[1].rewrites == 0
    cast = Lambda(lambda m, x: x.float().mean((2, 3), dtype=torch.float64))
    assert apply(cast, (2, 3, 4, 5), mean_as_pooling)[1].rewrites == 0
