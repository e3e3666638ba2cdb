"""The transposition of attention's key is left to the product."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, few
from torch import nn

from export.passes import keys_as_rows
from export.patterns import axes_of

aten = torch.ops.aten


def _orders(module: torch.fx.GraphModule) -> list[tuple[int, ...]]:
    return [axes_of(node) for node in module.graph.nodes if node.target is aten.permute.default]


@few
@given(batch=st.integers(1, 2), heads=st.integers(1, 3), tokens=st.integers(1, 4), size=st.integers(1, 4))
@example(batch=2, heads=3, tokens=4, size=2)
def test_heads_in_front_keep_whole_rows(batch: int, heads: int, tokens: int, size: int) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        query = x.exp().permute(0, 2, 1, 3)
        return torch.matmul(query, x.permute(0, 2, 3, 1))

    module, log = apply(Lambda(forward), (batch, tokens, heads, size), keys_as_rows)
    assert (log.name, log.rewrites) == ("keys_as_rows", 1)
    assert sorted(_orders(module)) == [(0, 2, 1), (0, 2, 1, 3), (0, 2, 1, 3)]
    product = next(node for node in module.graph.nodes if node.target is aten.bmm.default)
    assert axes_of(product.args[1]) == (0, 2, 1)


def test_a_mere_transposition_leaves_nothing_else() -> None:
    net = Lambda(lambda m, x: x.exp() @ x.permute(0, 1, 3, 2))
    module, log = apply(net, (2, 3, 4, 5), keys_as_rows)
    assert log.rewrites == 1
    assert _orders(module) == [(0, 2, 1)]


def test_leaves_other_products_alone() -> None:
    def shared(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        key = x.permute(0, 1, 3, 2)
        return (x @ key) + key.sum()

    alone = {
        "no permute": Lambda(lambda m, x: x @ x),
        "the last axis stays": Lambda(lambda m, x: x @ x.permute(0, 2, 1, 3)),
        "from in front": Lambda(lambda m, x: x @ x.permute(0, 3, 1, 2)),
        "broadcast": Lambda(lambda m, x: x[:, :1] @ x.permute(0, 1, 3, 2)),
        "others read it": Lambda(shared),
    }
    for why, net in alone.items():
        assert apply(net, (1, 3, 3, 3), keys_as_rows)[1].rewrites == 0, why
    assert apply(Lambda(lambda m, x: x @ x.permute(1, 0)), (3, 4), keys_as_rows)[1].rewrites == 0
