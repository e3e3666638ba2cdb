"""Wide hidden layers in tiles of their rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
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
