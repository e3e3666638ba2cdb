"""All spellings of a view become reshape, permute or slices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views

aten = torch.ops.aten


@few
@given(n=st.integers(1, 3), c=st.integers(1, 3), h=st.integers(1, 3))
@example(n=3, c=5, h=4)
def test_spellings(n: int, c: int, h: int) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2).unsqueeze(-1).squeeze(-1)
        x = x.view(n, 2 * h, c).movedim(1, 2).unflatten(2, (2, h)).mT
        return x.swapaxes(0, 1).unbind(0)[0].mT

    module, _ = apply(Lambda(forward), (n, c, 2, h), canonical_views)
    targets = {node.target for node in module.graph.nodes if node.op == "call_function"}
    assert targets <= {aten.reshape.default, aten.permute.default, aten.select.int}


@few
@given(stride=st.integers(1, 4), ceil=st.booleans(), average=st.booleans())
@example(stride=3, ceil=False, average=True)
@example(stride=2, ceil=False, average=False)
@example(stride=1, ceil=True, average=True)
@example(stride=2, ceil=True, average=False)
def test_sampling_is_a_slice(stride: int, ceil: bool, average: bool) -> None:
    kind = nn.AvgPool2d if average else nn.MaxPool2d
    module, _ = apply(kind(1, stride, ceil_mode=ceil), (1, 2, 7, 8), canonical_views)
    assert calls(module, aten.avg_pool2d.default, aten.max_pool2d.default) == (1 if ceil else 0)


def test_real_pooling_stays() -> None:
    for net in (nn.AvgPool2d(2, 2), nn.AvgPool2d(1, 2, divisor_override=2), nn.MaxPool2d(3, 2, 1)):
        assert apply(net, (1, 2, 6, 6), canonical_views)[1].rewrites == 0


def test_the_graph_holds_for_another_batch() -> None:
    net = Lambda(lambda m, x: x.flatten(2).transpose(1, 2).reshape(2, 3, 5, -1))
    module, _ = apply(net, (2, 4, 3, 5), canonical_views)
    assert module(torch.zeros(7, 4, 3, 5)).shape == (7, 3, 5, 4)


SPELLINGS = {
    "flatten": (lambda x: x.flatten(1, 2), aten.reshape.default),
    "view": (lambda x: x.view(2, 12, 5), aten.reshape.default),
    "unsafe_view": (lambda x: aten._unsafe_view(x, [2, 12, 5]), aten.reshape.default),
    "reshape": (lambda x: x.reshape(2, 12, 5), aten.reshape.default),
    "unflatten": (lambda x: x.unflatten(2, (2, 2)), aten.reshape.default),
    "squeeze": (lambda x: x[:1].squeeze(), aten.reshape.default),
    "squeeze one": (lambda x: x[:, :1].squeeze(1), aten.reshape.default),
    "squeeze some": (lambda x: x[:, :1, :1].squeeze((1, 2)), aten.reshape.default),
    "unsqueeze": (lambda x: x.unsqueeze(2), aten.reshape.default),
    "permute": (lambda x: x.permute(0, -1, 1, 2), aten.permute.default),
    "transpose": (lambda x: x.transpose(-1, 1), aten.permute.default),
    "t": (lambda x: x[0, 0].t(), aten.permute.default),
    "mT": (lambda x: x.mT, aten.permute.default),
    "T": (lambda x: x[0, 0].T, aten.permute.default),
    "movedim": (lambda x: x.movedim(1, 3), aten.permute.default),
    "movedim some": (lambda x: x.movedim((1, 2), (3, 1)), aten.permute.default),
    "swapaxes": (lambda x: x.swapaxes(1, 3), aten.permute.default),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling(spelling: str) -> None:
    view, target = SPELLINGS[spelling]
    module, log = apply(Lambda(lambda m, x: view(x).relu()), (2, 3, 4, 5), canonical_views)
    assert log.rewrites == 1
    (found,) = (node for node in module.graph.nodes if node.target is target)
    assert all(axis >= 0 for axis in found.args[1][target is aten.reshape.default :])
    assert calls(module, *canonical_views.RESHAPES, *canonical_views.PERMUTES) == 1


def test_canonical_ones_stay() -> None:
    net = Lambda(lambda m, x: x.permute(0, 2, 1).reshape(-1, 12).relu())
    assert apply(net, (2, 3, 4), canonical_views)[1].rewrites == 0


def test_parts_along_an_axis() -> None:
    net = Lambda(lambda m, x: x.unbind(1)[2] - x.unbind(-2)[0] * 2 + x.unbind(1)[-1])
    module, log = apply(net, (2, 3, 4), canonical_views)
    assert log.rewrites == 3
    assert calls(module, aten.unbind.int) == 0


@pytest.mark.parametrize("shape", [(2, 3, 6, 7), (3, 6, 7)])
def test_a_sampling_by_axes_of_its_own(shape: tuple[int, ...]) -> None:
    for net, steps in (
        (nn.AvgPool2d(1, (3, 2)), [3, 2]),
        (nn.MaxPool2d(1, (1, 4)), [4]),
        (nn.AvgPool2d(1), []),
        (nn.AvgPool2d(1, (3, 2), divisor_override=1), [3, 2]),
    ):
        module, log = apply(nn.Sequential(net, nn.ReLU()), shape, canonical_views)
        assert log.rewrites == 1
        assert [node.args[4] for node in module.graph.nodes if node.target is aten.slice.Tensor] == steps
    assert apply(nn.AvgPool2d((1, 2)), shape, canonical_views)[1].rewrites == 0
