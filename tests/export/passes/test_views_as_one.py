"""Views that follow one another, as one permute."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn

from export.passes import canonical_views, channels_last, views_as_one

aten = torch.ops.aten
Forward = Callable[[nn.ModuleDict, Tensor], Tensor]


def windows(x: Tensor) -> Tensor:
    """(N, 6, 4, C) to windows of 3 x 2 positions: (N * 4, 6, C)."""
    n, _, _, c = x.shape
    return x.reshape(n, 2, 3, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 6, c)


def patches(x: Tensor) -> Tensor:
    """(1, 6, 4, C) to MobileViT's order, as it is written there: (4, 6, C)."""
    c = x.shape[-1]
    y = x.permute(0, 3, 1, 2).reshape(c * 3, 2, 2, 2).transpose(1, 2).reshape(1, c, 6, 4)
    return y.transpose(1, 3).reshape(4, 6, c)


def permutes(module: torch.fx.GraphModule) -> list[tuple[int, ...]]:
    """The shapes that are permuted."""
    return [tuple(node.args[0].meta["val"].shape) for node in module.graph.nodes if node.target is aten.permute.default]


@pytest.mark.parametrize("batch", [1, 2])
def test_windows_are_moved_over_four_axes(batch: int) -> None:
    net = Lambda(lambda m, x: m["fc"](windows(x)), fc=nn.Linear(5, 5))
    module, log = apply(net, (batch, 6, 4, 5), canonical_views, views_as_one)
    assert log.rewrites == 1
    assert permutes(module) == [(batch * 2, 3, 2, 10)]


def test_three_permutes_become_one() -> None:
    net = Lambda(lambda m, x: m["fc"](patches(x)), fc=nn.Linear(5, 5))
    module, log = apply(net, (1, 6, 4, 5), canonical_views, views_as_one)
    assert (log.rewrites, log.detail) == (1, "1 chains of views; 2 permutes fewer")
    assert permutes(module) == [(3, 2, 2, 2, 5)]


def test_what_moves_nothing_is_a_reshape() -> None:
    def back_and_forth(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y: Tensor = m["fc"](windows(x).reshape(2, 2, 3, 2, 5).permute(0, 2, 1, 3, 4).reshape(4, 6, 5))
        return y

    module, log = apply(Lambda(back_and_forth, fc=nn.Linear(5, 5)), (1, 6, 4, 5), canonical_views, views_as_one)
    assert log.rewrites == 1
    assert calls(module, aten.permute.default) == 0


def test_a_permute_of_axes_of_one_position_is_a_reshape() -> None:
    net = Lambda(lambda m, x: m["fc"](x.transpose(1, 2)), fc=nn.Linear(5, 5))
    module, log = apply(net, (2, 1, 4, 5), canonical_views, views_as_one)
    assert log.rewrites == 1
    assert calls(module, aten.permute.default) == 0


def test_views_that_mix_axes_stay_two() -> None:
    """5 * 6 positions as 3 * 10: no axis of either divides the other."""
    net = Lambda(
        lambda m, x: m["fc"](x.transpose(0, 1).reshape(10, 3, 4).transpose(0, 1)),
        fc=nn.Linear(4, 4),
    )
    module, log = apply(net, (5, 6, 4), canonical_views, views_as_one)
    assert log.rewrites == 0
    assert calls(module, aten.permute.default) == 2


def test_a_chain_that_takes_too_many_axes_is_split() -> None:
    """The first two permutes are one over five axes or less; with the third they would take six."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = x.reshape(2, 3, 2, 3, 20).permute(0, 2, 1, 3, 4).reshape(4, 9, 20)
        y = y.reshape(4, 9, 2, 5, 2).permute(0, 2, 3, 1, 4)
        z: Tensor = m["fc"](y)
        return z

    module, _ = apply(Lambda(forward, fc=nn.Linear(2, 2)), (36, 20), canonical_views, views_as_one)
    assert len(permutes(module)) == 2
    assert all(len(shape) <= 5 for shape in permutes(module))


KEPT: dict[str, Forward] = {
    "one permute": lambda m, x: m["fc"](x.transpose(1, 2)),
    "read between": lambda m, x: m["fc"](y := x.transpose(1, 2)).sum() + y.transpose(0, 1),
    "no permute": lambda m, x: m["fc"](x.reshape(6, 4, 5).reshape(24, 5)),
}


@pytest.mark.parametrize("name", KEPT)
def test_leaves_what_it_cannot_better(name: str) -> None:
    net = Lambda(KEPT[name], fc=nn.Linear(5, 5))
    assert apply(net, (2, 3, 4, 5), canonical_views, views_as_one)[1].rewrites == 0


def test_permutes_around_convolutions_stay() -> None:
    net = Lambda(
        lambda m, x: m["b"](m["a"](x).reshape(1, 3, 6, 4)), a=nn.Conv2d(3, 3, 3, padding=1), b=nn.Conv2d(3, 4, 3)
    )
    module, _ = apply(net, (1, 3, 4, 6), canonical_views, channels_last, views_as_one)
    for node in module.graph.nodes:
        if node.target is aten.conv2d.default:
            assert node.args[0].op == "placeholder" or list(node.args[0].args[1]) == [0, 3, 1, 2]
            assert [user.target for user in node.users] == [aten.permute.default]
            assert [list(user.args[1]) for user in node.users] == [[0, 2, 3, 1]]
