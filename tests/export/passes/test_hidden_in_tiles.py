"""Wide hidden layers in tiles of their rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few, places
from torch import nn

from export.passes import hidden_in_tiles

aten = torch.ops.aten
gelu = torch.nn.functional.gelu


def _mlp(c: int, hidden: int, out: int, *, bias: bool = True) -> nn.Module:
    layers = {"fc1": nn.Linear(c, hidden, bias=bias), "fc2": nn.Linear(hidden, out, bias=bias)}
    return Lambda(lambda m, x: m["fc2"](gelu(m["fc1"](x))), **layers)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_in_tiles, "TILE_BYTES", 8 * 64)


@few
@given(
    batch=st.integers(1, 2), tiles=st.integers(2, 5), rank=st.integers(2, 4), c=st.integers(1, 4),
    out=st.integers(1, 4), bias=st.booleans(),
)  # fmt: skip
@example(batch=2, tiles=3, rank=3, c=3, out=5, bias=True)
@example(batch=2, tiles=2, rank=4, c=3, out=2, bias=False)
@example(batch=1, tiles=5, rank=2, c=2, out=3, bias=True)
def test_tiles_give_what_the_whole_gave(batch: int, tiles: int, rank: int, c: int, out: int, bias: bool) -> None:
    shape = {2: (tiles * 4, c), 3: (batch, tiles * 4, c), 4: (batch, tiles * 4, 2, c)}[rank]
    rows = torch.zeros(shape[:-1]).numel() // tiles
    module, log = apply(_mlp(c, 64 // rows, out, bias=bias), shape, hidden_in_tiles)
    assert log.rewrites == 1
    assert calls(module, aten.linear.default) == 2 * tiles
    hidden = [node.meta["val"] for node in module.graph.nodes if node.target is aten.gelu.default]
    assert all(tensor.numel() * 8 <= hidden_in_tiles.TILE_BYTES for tensor in hidden)


def test_leaves_alone_what_fits_what_is_read_twice_and_odd_sizes() -> None:
    assert apply(_mlp(2, 16, 2), (1, 4, 2), hidden_in_tiles)[1].rewrites == 0
    assert apply(_mlp(2, 16, 2), (1, 13, 2), hidden_in_tiles)[1].rewrites == 0

    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        hidden = m["fc1"](x)
        return m["fc2"](gelu(hidden)) + hidden[..., :2]

    def mixed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["fc2"](m["fc1"](x).softmax(1))

    for forward in (twice, mixed):
        net = Lambda(forward, fc1=nn.Linear(2, 16), fc2=nn.Linear(16, 2))
        assert apply(net, (1, 8, 2), hidden_in_tiles)[1].rewrites == 0


def test_a_large_layer_that_stays_whole_is_said() -> None:
    (row,) = apply(_mlp(2, 16, 2), (1, 13, 2), hidden_in_tiles)[1].refused
    assert row.describe().startswith("aten::linear x 1: its rows do not divide into equal tiles")
    assert apply(_mlp(2, 16, 2), (1, 4, 2), hidden_in_tiles)[1].refused == ()


@pytest.mark.parametrize("activation", [gelu, torch.relu, torch.nn.functional.silu])
def test_every_activation_in_the_module_that_it_came_from(activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
    layers = {"fc1": nn.Linear(2, 16), "fc2": nn.Linear(16, 2)}
    module, log = apply(Lambda(lambda m, x: m["fc2"](activation(m["fc1"](x))), **layers), (1, 8, 2), hidden_in_tiles)
    assert (log.rewrites, log.detail) == (1, "1 hidden layers in 2 tiles")
    assert places(module, aten.linear.default) == ["layers.fc1", "layers.fc2"] * 2
    assert places(module, aten.slice.Tensor) == ["layers.fc1"] * 2
    assert [node.args[1:] for node in module.graph.nodes if node.target is aten.slice.Tensor] == [(1, 0, 4), (1, 4, 8)]


def test_as_few_tiles_as_fit_and_not_more_than_twice_as_many_as_needed() -> None:
    """Four rows of 16 hidden values fit: 10 rows take 5 tiles instead of 3, 14 take 7 for 4; 5 would take 5 for 2."""
    for rows, tiles in ((4, 0), (5, 0), (8, 2), (9, 3), (10, 5), (14, 7)):
        module, log = apply(_mlp(2, 16, 3), (1, rows, 2), hidden_in_tiles)
        assert calls(module, aten.gelu.default) == max(tiles, 1)
        assert log.rewrites == (tiles > 0)


def test_leaves_a_single_token_and_other_readers_alone() -> None:
    assert apply(_mlp(2, 128, 2), (1, 2), hidden_in_tiles)[1].rewrites == 0
    assert apply(_mlp(2, 128, 2), (2,), hidden_in_tiles)[1].rewrites == 0

    def as_weight(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(m["fc2"].weight, gelu(m["fc1"](x)))

    def activation_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        hidden = gelu(m["fc1"](x))
        return m["fc2"](hidden) + hidden[..., :2]

    def other_product(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return gelu(m["fc1"](x)) @ m["fc1"].weight

    for forward in (as_weight, activation_twice, other_product):
        net = Lambda(forward, fc1=nn.Linear(2, 16), fc2=nn.Linear(16, 2))
        assert apply(net, (8, 2), hidden_in_tiles)[1].rewrites == 0, forward.__name__
