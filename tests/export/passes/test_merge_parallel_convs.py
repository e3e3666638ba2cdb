"""Branches that read the same image, as one convolution."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, assert_folded_in_double, calls, few
from torch import Tensor, nn

from export.passes import fold_batch_norm, merge_parallel_convs
from export.patterns import aten
from export.pipeline import BASIC

STEPS = (fold_batch_norm, merge_parallel_convs)


@few
@given(groups=st.sampled_from([1, 2, 4]), kernel=st.sampled_from([(3, 3), (3, 5), (7, 3)]), bias=st.booleans())
@example(groups=2, kernel=(3, 5), bias=False)
@example(groups=1, kernel=(7, 3), bias=True)
@example(groups=4, kernel=(3, 3), bias=True)
def test_three_branches_are_one(groups: int, kernel: tuple[int, int], bias: bool) -> None:
    padding = (kernel[0] // 2, kernel[1] // 2)
    layers = {
        "wide": nn.Conv2d(4, 4, kernel, padding=padding, groups=groups, bias=bias),
        "point": nn.Conv2d(4, 4, 1, groups=groups, bias=bias),
        "norm": nn.BatchNorm2d(4),
        "a": nn.BatchNorm2d(4),
    }

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        image = x.relu()
        return m["norm"](image) + m["point"](image) + m["a"](m["wide"](image))

    module, log = apply(Lambda(forward, **layers), (2, 4, 6, 5), *STEPS)
    assert log.rewrites >= 1
    assert calls(module, aten.batch_norm.default) == 0
    assert calls(module, aten.conv2d.default) == 1


def test_strides_that_agree() -> None:
    layers = {"wide": nn.Conv2d(3, 4, 3, 2, padding=1), "point": nn.Conv2d(3, 4, 1, 2, bias=False)}
    net = Lambda(lambda m, x: m["wide"](x) + m["point"](x), **layers)
    assert apply(net, (1, 3, 7, 8), *STEPS)[1].rewrites == 1
    assert_folded_in_double(net, (1, 3, 7, 8), *STEPS)


LEFT: dict[str, Callable[[nn.ModuleDict, Tensor], Tensor]] = {
    "other images": lambda m, x: m["wide"](x) + m["point"](x.relu()),
    "read twice": lambda m, x: (lambda y: y + m["point"](x) + y.relu())(m["wide"](x)),
    "other positions": lambda m, x: m["wide"](x) + m["shifted"](x),
    "other groups": lambda m, x: m["wide"](x) + m["grouped"](x),
    "a spread branch": lambda m, x: m["wide"](x) + m["single"](x),
    "with holes": lambda m, x: m["holes"](x) + m["wide"](x),
    "of unlike strides": lambda m, x: m["holes"](x) + m["norm"](x),
}


@pytest.mark.parametrize("kind", LEFT)
def test_leaves(kind: str) -> None:
    layers = {
        "wide": nn.Conv2d(4, 4, 3, padding=1),
        "point": nn.Conv2d(4, 4, 1),
        "shifted": nn.Conv2d(4, 4, (1, 3), padding=(0, 1), stride=1, dilation=1, groups=4),
        "grouped": nn.Conv2d(4, 4, 1, groups=2),
        "single": nn.Conv2d(4, 1, 1),
        "holes": nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        "norm": nn.BatchNorm2d(4),
    }
    assert apply(Lambda(LEFT[kind], **layers), (1, 4, 5, 6), merge_parallel_convs)[1].rewrites == 0


def test_a_sum_that_is_normalised_once_more_is_one_convolution() -> None:
    """RepViT's block as it was trained: a normalised branch, a plain one and the image itself, then one more norm."""
    deep = {
        "wide": nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        "point": nn.Conv2d(6, 6, 1, groups=6),
        "own": nn.BatchNorm2d(6),
        "last": nn.BatchNorm2d(6),
    }
    net = Lambda(lambda m, x: m["last"](m["own"](m["wide"](x)) + m["point"](x) + x), **deep)
    module, _ = apply(net, (2, 6, 8, 7), *BASIC)
    assert [str(node.target) for node in module.graph.nodes if node.op == "call_function"] == ["aten.conv2d.default"]


def test_says_nothing_of_a_sum_with_what_is_no_branch() -> None:
    net = Lambda(lambda m, x: m["wide"](x) + x.relu(), wide=nn.Conv2d(4, 4, 3, padding=1))
    assert apply(net, (1, 4, 5, 6), merge_parallel_convs)[1].refused == ()
