"""BatchNorm folds where it is exact, and nowhere else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import canonical_views, fold_batch_norm

aten = torch.ops.aten


@few
@given(c=st.integers(2, 6), kernel=st.sampled_from([1, 2, 3]), bias=st.booleans(), affine=st.booleans())
def test_folds_into_the_convolution_before(c: int, kernel: int, bias: bool, affine: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, c, kernel, padding=1, bias=bias), nn.BatchNorm2d(c, affine=affine))
    module, log = apply(net, (2, 3, 7, 5), fold_batch_norm)
    assert log.rewrites == 1
    assert calls(module, aten.batch_norm.default) == 0


@few
@given(groups=st.sampled_from([1, 2, 4]), kernel=st.sampled_from([1, 2]), bias=st.booleans(), stride=st.integers(1, 2))
def test_folds_into_unpadded_convolutions_behind(groups: int, kernel: int, bias: bool, stride: int) -> None:
    layers = {
        "norm": nn.BatchNorm2d(4),
        "a": nn.Conv2d(4, 8, kernel, stride, groups=groups, bias=bias),
        "b": nn.Conv2d(4, 8, kernel, stride),
    }
    net = Lambda(lambda m, x: m["a"](m["norm"](x)) + m["b"](m["norm"](x)), **layers)
    module, _ = apply(net, (1, 4, 6, 6), fold_batch_norm)
    assert calls(module, aten.batch_norm.default) == 0


def test_folds_through_the_mean_into_the_head() -> None:
    layers = {"norm": nn.BatchNorm2d(4), "head": nn.Linear(4, 3)}
    net = Lambda(lambda m, x: m["head"](m["norm"](x).flatten(2).mean(-1)), **layers)
    module, log = apply(net, (2, 4, 3, 5), canonical_views, fold_batch_norm)
    assert "through the mean" in log.detail
    assert calls(module, aten.batch_norm.default) == 0


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
