"""Compute only the rows that are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn

from export.passes import canonical_views, rows_that_are_read, sink_views

aten = torch.ops.aten
Forward = Callable[[nn.ModuleDict, Tensor], Tensor]


class Block(nn.Module):
    """A block of a transformer with two heads of four channels each."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.hidden, self.back = nn.Linear(8, 24), nn.Linear(24, 8)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, 8) to the same."""
        n, tokens, _ = x.shape
        y = self.first(x)
        query, key, value = (
            layer(y).reshape(n, tokens, 2, 4).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.transpose(-2, -1)).softmax(-1) @ value
        x = x + self.out(mixed.transpose(1, 2).reshape(n, tokens, 8))
        return x + self.back(nn.functional.gelu(self.hidden(self.second(x))))


@pytest.mark.parametrize("fused", [False, True])
def test_the_last_block_works_on_the_class_token_alone(fused: bool) -> None:
    net = Lambda(lambda m, x: m["head"](m["norm"](m["block"](x))[:, 2]), block=Block(fused=fused), norm=nn.LayerNorm(8),
                 head=nn.Linear(8, 3))  # fmt: skip
    module, log = apply(net, (2, 5, 8), canonical_views, sink_views, rows_that_are_read)
    assert log.rewrites > 8
    rows = {
        str(node.args[1]): node.meta["val"].shape[1]
        for node in module.graph.nodes
        if node.target is aten.linear.default
    }
    whole = {name for name, count in rows.items() if count == 5}
    assert len(rows) == 7
    assert all("key" in name or "value" in name for name in whole), whole
    assert len(whole) == 2
    norms = [node.meta["val"].shape for node in module.graph.nodes if node.target is aten.layer_norm.default]
    assert norms == [(2, 5, 8), (2, 1, 8), (2, 1, 8)]  # key and value need the first one whole


PARTS: dict[str, tuple[Forward, int]] = {
    "strided": (lambda m, x: m["linear"](x)[:, 1::3], 2),
    "columns of a product": (lambda _, x: (x @ x.transpose(1, 2))[..., :2], 2),
    "of the parts of a cat": (lambda m, x: torch.cat([m["linear"](x), x], -1)[:, -1:], 1),
    "broadcast": (lambda m, x: (m["linear"](x) * x.mean(1, keepdim=True) + m["table"].weight - 2.0)[:, -2:], 2),
    "two equal readers": (lambda m, x: (y := m["linear"](x))[:, 1] + y[:, 1].sigmoid(), 1),
}


@pytest.mark.parametrize("name", PARTS)
def test_takes_the_part_of_the_operands(name: str) -> None:
    forward, size = PARTS[name]
    net = Lambda(forward, linear=nn.Linear(4, 4), table=nn.Embedding(6, 4))
    module, log = apply(net, (2, 6, 4), canonical_views, rows_that_are_read)
    assert log.rewrites >= 1
    products = [node for node in module.graph.nodes if node.target in (aten.linear.default, aten.matmul.default)]
    assert [size in node.meta["val"].shape for node in products] == [True]


NEED_MORE: dict[str, Forward] = {
    "two parts": lambda m, x: (y := m["linear"](x))[:, :2] + y[:, 2:4],
    "more than half": lambda m, x: m["linear"](x)[:, :4],
    "of the batch": lambda m, x: m["linear"](x)[1],
    "normalised channels": lambda m, x: m["norm"](x)[..., :1],
    "axis of the softmax": lambda _, x: x.softmax(1)[:, :1],
    "merged axes": lambda m, x: m["linear"](x).reshape(2, 24)[:, :6],
    "from behind the batch": lambda m, x: m["linear"](x).transpose(0, 1)[:, :1],
    "parts of a cat": lambda m, x: torch.cat([m["linear"](x), x], 1)[:, :2],
    "causal": lambda _, x: nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)[:, 3:],
    "read whole too": lambda m, x: (y := m["linear"](x))[:, :1] + y,
}


@pytest.mark.parametrize("name", NEED_MORE)
def test_leaves_what_needs_more_than_the_part(name: str) -> None:
    net = Lambda(NEED_MORE[name], linear=nn.Linear(4, 4), norm=nn.LayerNorm(4))
    assert apply(net, (2, 6, 4), canonical_views, rows_that_are_read)[1].rewrites == 0


def test_the_activation_of_a_convolution_stays_with_it() -> None:
    net = Lambda(lambda m, x: m["conv"](x).relu()[:, :, :1], conv=nn.Conv2d(3, 4, 1))
    module, log = apply(net, (1, 3, 4, 4), canonical_views, rows_that_are_read)
    assert log.rewrites == 0
    assert calls(module, aten.slice.Tensor) == 1
