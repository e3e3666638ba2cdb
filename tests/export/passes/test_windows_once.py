"""Windows of an image once for query, key and value."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn

from export.passes import canonical_views, sink_views, views_as_one, windows_once

aten = torch.ops.aten
Forward = Callable[[nn.ModuleDict, Tensor], Tensor]
LAYERS = {"query": nn.Linear(4, 4), "key": nn.Linear(4, 4, bias=False), "value": nn.Linear(4, 6)}


def attention(m: nn.ModuleDict, x: Tensor) -> Tensor:
    """Of two heads in windows of 3 x 2 positions."""
    n = x.shape[0]
    y = x.reshape(n, 2, 3, 2, 2, 4).permute(0, 1, 3, 2, 4, 5).reshape(-1, 6, 4)
    query, key, value = (m[name](y).reshape(n * 4, 6, 2, -1).transpose(1, 2) for name in ("query", "key", "value"))
    return ((query @ key.transpose(-2, -1)).softmax(-1) @ value).transpose(1, 2).reshape(n, 24, 6)


@pytest.mark.parametrize("batch", [1, 2])
def test_one_permute_for_all_projections(batch: int) -> None:
    net = Lambda(attention, **LAYERS)
    shape = (batch, 6, 4, 4)
    sunk, _ = apply(net, shape, canonical_views, sink_views)
    module, log = apply(net, shape, canonical_views, sink_views, windows_once)
    assert (log.rewrites, log.detail) == (1, "2 permutes of rows fewer")
    assert calls(sunk, aten.permute.default) - calls(module, aten.permute.default) == 2
    joined, _ = apply(net, shape, canonical_views, sink_views, windows_once, views_as_one)
    ranks = [node.meta["val"].dim() for node in joined.graph.nodes if node.target is aten.permute.default]
    assert max(ranks) == 4


def _different(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return torch.cat([m["query"](x).permute(0, 2, 1, 3).sin(), m["key"](x).permute(2, 1, 0, 3).permute(2, 0, 1, 3)])


def _channels(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return torch.cat([m["query"](x).permute(0, 3, 1, 2), m["key"](x).permute(0, 3, 1, 2)])


def _one(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return torch.cat([m["query"](x).permute(0, 2, 1, 3), m["key"](x).transpose(1, 2).sin()])[..., :2]


def _read_before(m: nn.ModuleDict, x: Tensor) -> Tensor:
    query, key = m["query"](x), m["key"](x)
    return query.transpose(1, 2) + key.transpose(1, 2) + (query + key).transpose(1, 2).sin()


@pytest.mark.parametrize("forward", [_different, _channels, _read_before])
def test_leaves_other_permutes_alone(forward: Forward) -> None:
    assert apply(Lambda(forward, **LAYERS), (2, 6, 6, 4), canonical_views, windows_once)[1].rewrites == 0


def test_what_follows_the_permute_does_not_matter() -> None:
    assert apply(Lambda(_one, **LAYERS), (2, 3, 6, 4), canonical_views, windows_once)[1].rewrites == 1
