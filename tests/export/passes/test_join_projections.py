"""One linear layer for query, key and value."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few, places
from torch import nn

from export.passes import join_projections

aten = torch.ops.aten


def _heads(x: torch.Tensor, tokens: int, heads: int) -> torch.Tensor:
    return x.reshape(-1, tokens, heads, x.shape[-1] // heads)


@few
@given(
    batch=st.integers(1, 2), tokens=st.integers(1, 5), heads=st.integers(1, 3), size=st.integers(1, 4),
    c=st.integers(1, 5), bias=st.booleans(),
)  # fmt: skip
@example(batch=2, tokens=5, heads=3, size=4, c=2, bias=True)
@example(batch=2, tokens=5, heads=3, size=4, c=2, bias=False)
def test_attention_reads_one_product(batch: int, tokens: int, heads: int, size: int, c: int, bias: bool) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        q = _heads(m["q"](x), tokens, heads).permute(0, 2, 1, 3)
        k = _heads(m["k"](x), tokens, heads).permute(0, 2, 3, 1)
        v = _heads(m["v"](x), tokens, heads).permute(0, 2, 1, 3)
        return torch.matmul(torch.matmul(q, k).softmax(-1), v)

    net = Lambda(forward, **{name: nn.Linear(c, heads * size, bias=bias) for name in "qkv"})
    module, log = apply(net, (batch, tokens, c), join_projections)
    assert (log.rewrites, log.detail) == (1, "3 projections in 1 linear layers")
    assert calls(module, aten.linear.default) == 1
    assert set(places(module, aten.linear.default)) == {"layers.q"}


def test_leaves_other_heads_other_sizes_and_a_lone_one_alone() -> None:
    def other_heads(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        a, b = _heads(m["a"](x), 3, 2).permute(0, 2, 1, 3), _heads(m["b"](x), 3, 3).permute(0, 2, 1, 3)
        return a.sum((1, 3)) + b.sum((1, 3))

    def other_axes(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        a, b = (m[name](x).reshape(2, 2, 3, 3).permute(0, 2, 1, 3) for name in "ab")
        return a + b

    def lone(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return _heads(m["a"](x), 3, 2).permute(0, 2, 1, 3)

    def viewed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        a, b = (_heads(m[name](x), 3, 2) for name in "ab")
        return a.relu() + b.relu()

    def read_before(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        a, b = (_heads(m[name](x), 3, 2) for name in "ab")
        return a.permute(0, 2, 1, 3) + b.permute(0, 2, 1, 3) + (a + b).permute(0, 2, 1, 3)

    def five_axes(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        a, b = (m[name](x).reshape(2, 3, 1, 2, 3).permute(0, 2, 1, 3, 4) for name in "ab")
        return a + b

    def computed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        weights = (m[name].weight * x.mean() for name in "ab")
        a, b = (_heads(torch.nn.functional.linear(x, w), 3, 2).permute(0, 2, 1, 3) for w in weights)
        return a + b

    layers = {"a": nn.Linear(4, 6), "b": nn.Linear(4, 6)}
    for forward in (other_heads, other_axes, lone, viewed, read_before, five_axes, computed):
        assert apply(Lambda(forward, **layers), (2, 3, 4), join_projections)[1].rewrites == 0, forward.__name__


def test_leaves_alone_what_is_not_alike() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        a = _heads(m["a"](x), 3, 2).permute(0, 2, 1, 3)
        b = _heads(m["b"](x), 3, 2).permute(0, 2, 1, 3)
        return a + b

    def other_input(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return forward(nn.ModuleDict({"a": m["a"], "b": nn.Sequential(nn.Tanh(), m["b"])}), x)

    def read_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return forward(m, x).flatten(1) + m["a"](x).flatten(1)

    def other_order(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return _heads(m["a"](x), 3, 2).permute(2, 0, 1, 3) + _heads(m["b"](x), 3, 2).permute(2, 0, 1, 3)

    alike = {"a": nn.Linear(4, 6), "b": nn.Linear(4, 6)}
    assert apply(Lambda(forward, **alike), (2, 3, 4), join_projections)[1].rewrites == 1
    for wrong in (other_input, other_order):
        assert apply(Lambda(wrong, **alike), (2, 3, 4), join_projections)[1].rewrites == 0, wrong.__name__
    mixed = {"a": nn.Linear(4, 6), "b": nn.Linear(4, 6, bias=False)}
    assert apply(Lambda(forward, **mixed), (2, 3, 4), join_projections)[1].rewrites == 0
    module, _ = apply(Lambda(read_twice, **alike), (2, 3, 4), join_projections)
    assert calls(module, aten.linear.default) == 2
