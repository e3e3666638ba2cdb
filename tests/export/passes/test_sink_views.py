"""Views move behind what does not care, meet and cancel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views, sink_views
from export.passes.sink_views import axis_groups

aten = torch.ops.aten
VIEWS = (aten.permute.default, aten.reshape.default)


@few
@given(seed=st.integers(0, 10_000), length=st.integers(1, 9))
@example(seed=3, length=9)
@example(seed=6, length=9)
def test_random_chains_keep_their_function(seed: int, length: int) -> None:
    """Views, elementwise calls, slices, means, linear layers and sums in any order."""
    generator = torch.Generator().manual_seed(seed)

    def pick(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.choices = [(pick(7), torch.randperm(4, generator=generator).tolist(), pick(4)) for _ in range(length)]

        def forward(self, x: Tensor) -> Tensor:
            for kind, order, axis in self.choices:
                y = x.permute(order)
                if kind == 0:
                    x = y.relu() + y
                elif kind == 1:
                    x = y.reshape(y.shape[0], -1, y.shape[3]).softmax(-1).reshape(y.shape)
                elif kind == 2:
                    x = torch.nn.functional.layer_norm(y, [y.shape[-1]])
                elif kind == 3:
                    x = y.narrow(axis, 0, max(1, y.shape[axis] - 1)).contiguous()
                elif kind == 4:
                    x = y.mean(axis, keepdim=True) + y
                elif kind == 5:
                    x = torch.cat([y, y.sigmoid()], axis)
                else:
                    x = torch.nn.functional.gelu(y.flatten(1, 2)).reshape(y.shape)
            return x

    apply(Chain(), (2, 3, 2, 4), canonical_views, sink_views)


def test_tokens_and_back_vanish() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        tokens = x.permute(0, 3, 1, 2).flatten(2).transpose(1, 2)
        tokens = tokens + m["fc"](m["norm"](tokens))
        return tokens.transpose(1, 2).reshape(2, 4, 3, 5).permute(0, 2, 3, 1)

    net = Lambda(forward, norm=nn.LayerNorm(4), fc=nn.Linear(4, 4))
    module, _ = apply(net, (2, 3, 5, 4), canonical_views, sink_views)
    assert calls(module, *VIEWS) == 0


def test_mean_over_flattened_positions() -> None:
    net = Lambda(lambda m, x: x.permute(0, 3, 1, 2).flatten(2).mean(-1))
    module, _ = apply(net, (2, 3, 5, 4), canonical_views, sink_views)
    assert calls(module, *VIEWS) == 0


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 1, 3, 2)])
def test_softmax_passes_a_permute_only_along_the_last_axis(axis: int, order: tuple[int, ...]) -> None:
    net = Lambda(lambda m, x: x.permute(order).softmax(axis).relu())
    module, _ = apply(net, (2, 3, 4, 5), canonical_views, sink_views)
    targets = [node.target for node in module.graph.nodes if node.op == "call_function"]
    moved = targets.index(aten.softmax.int) < targets.index(aten.permute.default)
    assert moved is (axis == -1 and order[-1] == 3)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_over_another_axis_stays_behind_its_reshape(axis: int) -> None:
    net = Lambda(lambda m, x: x.reshape(2, 12, 5).softmax(axis))
    module, _ = apply(net, (2, 3, 4, 5), canonical_views, sink_views)
    targets = [node.target for node in module.graph.nodes if node.op == "call_function"]
    assert targets == (
        [aten.softmax.int, aten.reshape.default] if axis == -1 else [aten.reshape.default, aten.softmax.int]
    )


def test_cat_with_an_operand_that_is_no_permute_stays() -> None:
    """Parts of one axis, an old form that ``cat`` takes beside any shape if it is empty, and parts in another order."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        turned = x.permute(0, 2, 1)
        empty = torch.cat([turned, x.reshape(-1)[:0]], 1)
        other = torch.cat([turned, x.relu()], 1)
        orders = torch.cat([turned, x.permute(1, 2, 0)], 2)
        return empty.sum() + other.sum() + orders.sum()

    module, _ = apply(Lambda(forward), (3, 3, 3), canonical_views, sink_views)
    permutes = [node for node in module.graph.nodes if node.target is aten.permute.default]
    assert all(user.target is aten.cat.default for node in permutes for user in node.users)
    assert calls(module, aten.cat.default) == 3


def test_a_scalar_beside_a_reshape_of_a_scalar() -> None:
    """A 0-dimensional value has no last axis to keep."""
    net = Lambda(lambda m, x: x.sum().reshape(1) * m["norm"].weight, norm=nn.LayerNorm(1))
    assert apply(net, (2, 3), canonical_views, sink_views)[1].detail == "1 views before, 1 after"


def test_axis_groups() -> None:
    assert axis_groups((2, 6, 4), (2, 2, 3, 4)) == [([0], [0]), ([1], [1, 2]), ([2], [3])]
    assert axis_groups((2, 6), (3, 4)) == [([0, 1], [0, 1])]


def _targets(forward: Callable[[nn.ModuleDict, Tensor], Tensor], shape: tuple[int, ...] = (2, 3, 4, 5)) -> list[object]:
    net = Lambda(
        forward, fc=nn.Linear(5, 5), norm=nn.LayerNorm(5), rows=nn.LayerNorm((4, 5)), turned=nn.LayerNorm((3, 4))
    )
    module, _ = apply(net, shape, canonical_views, sink_views)
    return [node.target for node in module.graph.nodes if node.op == "call_function"]


SINKS = {
    "unary": (lambda m, x: x.permute(0, 2, 3, 1).exp(), [aten.exp.default, aten.permute.default]),
    "unary with arguments": (
        lambda m, x: x.permute(3, 0, 1, 2).clamp(-1, 0.5), [aten.clamp.default, aten.permute.default]
    ),
    "keywords stay": (
        lambda m, x: torch.nn.functional.gelu(x.permute(0, 2, 3, 1), approximate="tanh"),
        [aten.permute.default, aten.gelu.default],
    ),
    "number in front": (lambda m, x: 2 - x.permute(0, 2, 3, 1), [aten.rsub.Scalar, aten.permute.default]),
    "quotient of a number": (
        lambda m, x: 1 / x.permute(0, 2, 3, 1), [aten.reciprocal.default, aten.mul.Tensor, aten.permute.default]
    ),
    "number behind": (lambda m, x: x.permute(3, 2, 0, 1) - 2, [aten.sub.Tensor, aten.permute.default]),
    "vector beside a permute": (
        lambda m, x: x.permute(0, 2, 1, 3) / m["norm"].weight, [aten.div.Tensor, aten.permute.default]
    ),
    "matrix beside a permute": (
        lambda m, x: x.permute(0, 3, 1, 2) - m["turned"].weight, [aten.sub.Tensor, aten.permute.default]
    ),
    "vector beside a reshape": (
        lambda m, x: m["norm"].weight - x.reshape(2, 12, 5), [aten.sub.Tensor, aten.reshape.default]
    ),
    "vector beside a reshape of other channels": (
        lambda m, x: x.reshape(2, 3, 4, 5, 1) - m["norm"].weight, [aten.reshape.default, aten.sub.Tensor]
    ),
    "matrix beside a reshape": (
        lambda m, x: x.reshape(6, 4, 5) - m["rows"].weight, [aten.reshape.default, aten.sub.Tensor]
    ),
    "two reshapes": (
        lambda m, x: x.reshape(2, 12, 5) - x.exp().reshape(2, 12, 5),
        [aten.exp.default, aten.sub.Tensor, aten.reshape.default],
    ),
    "two reshapes of other shapes": (
        lambda m, x: x.reshape(2, 12, 5) - x.reshape(24, 5).softmax(0).reshape(2, 12, 5),
        [aten.reshape.default, aten.reshape.default, aten.softmax.int, aten.reshape.default, aten.sub.Tensor],
    ),
    "slice": (lambda m, x: x.permute(0, 3, 1, 2)[:, 1:4:2], [aten.slice.Tensor, aten.permute.default]),
    "mean": (lambda m, x: x.permute(0, 3, 1, 2).mean((1, 3)), [aten.mean.dim]),
    "mean of another order": (lambda m, x: x.permute(3, 0, 2, 1).mean(1), [aten.mean.dim, aten.permute.default]),
    "mean with kept axes": (
        lambda m, x: x.permute(3, 0, 2, 1).mean((0, 1), keepdim=True), [aten.mean.dim, aten.permute.default]
    ),
    "mean over merged axes": (lambda m, x: x.reshape(2, 12, 5).mean(1), [aten.mean.dim]),
    "kept mean over merged axes": (
        lambda m, x: x.reshape(2, 12, 5).mean(1, keepdim=True), [aten.reshape.default, aten.mean.dim]
    ),
    "mean over one of split axes": (
        lambda m, x: x.reshape(2, 3, 2, 2, 5).mean(2), [aten.reshape.default, aten.mean.dim]
    ),
    "mean beside merged axes": (lambda m, x: x.reshape(2, 12, 5).mean(0), [aten.reshape.default, aten.mean.dim]),
    "cat": (
        lambda m, x: torch.cat([x.permute(0, 2, 3, 1), x.exp().permute(0, 2, 3, 1)], -1),
        [aten.exp.default, aten.cat.default, aten.permute.default],
    ),
    "linear behind a permute of the others": (
        lambda m, x: m["fc"](x.permute(0, 2, 1, 3)), [aten.linear.default, aten.permute.default]
    ),
    "linear behind a permute of the last": (
        lambda m, x: m["fc"](x.permute(0, 1, 3, 2)[..., :1].expand(2, 3, 5, 5)),
        [aten.slice.Tensor, aten.permute.default, aten.expand.default, aten.linear.default],
    ),
    "linear behind a reshape": (lambda m, x: m["fc"](x.reshape(6, 4, 5)), [aten.linear.default, aten.reshape.default]),
    "linear behind a reshape of the last": (
        lambda m, x: m["fc"](x.reshape(2, 3, 5, 4)[..., :1].reshape(2, 3, 5)),
        [aten.reshape.default, aten.slice.Tensor, aten.reshape.default, aten.linear.default],
    ),
    "norm": (lambda m, x: m["norm"](x.permute(2, 0, 1, 3)), [aten.layer_norm.default, aten.permute.default]),
    "norm over two axes": (
        lambda m, x: m["rows"](x.permute(1, 0, 2, 3)), [aten.permute.default, aten.layer_norm.default]
    ),
    "one after another": (lambda m, x: x.permute(3, 0, 1, 2).permute(1, 3, 0, 2), [aten.permute.default]),
    "and back": (lambda m, x: x.permute(3, 0, 1, 2).permute(1, 2, 3, 0), []),
    "reshape behind a reshape": (lambda m, x: x.reshape(6, 4, 5).reshape(2, 12, 5), [aten.reshape.default]),
    "reshape in front of a permute": (
        lambda m, x: x.permute(0, 3, 1, 2).reshape(2, 5, 12), [aten.reshape.default, aten.permute.default]
    ),
    "reshape across a permute": (
        lambda m, x: x.permute(0, 3, 2, 1).reshape(2, 5, 12), [aten.permute.default, aten.reshape.default]
    ),
}  # fmt: skip
"""What runs, in order."""


@pytest.mark.parametrize("kind", SINKS)
def test_what_moves_and_what_stays(kind: str) -> None:
    forward, expected = SINKS[kind]
    assert _targets(forward) == expected
