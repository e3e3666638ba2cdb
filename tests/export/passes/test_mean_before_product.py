"""Products on the mean instead of on every position."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few, places
from torch import nn

from export.passes import mean_before_product

aten = torch.ops.aten


@few
@given(
    batch=st.integers(1, 2), tokens=st.integers(1, 6), c=st.integers(1, 5), hidden=st.integers(1, 7),
    bias=st.booleans(), keep=st.booleans(), turned=st.booleans(),
)  # fmt: skip
@example(batch=2, tokens=5, c=3, hidden=4, bias=True, keep=False, turned=False)
@example(batch=2, tokens=5, c=3, hidden=4, bias=False, keep=True, turned=True)
def test_a_residual_branch_is_averaged_first(
    batch: int, tokens: int, c: int, hidden: int, bias: bool, keep: bool, turned: bool
) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        branch = m["fc2"](torch.nn.functional.gelu(m["fc1"](x)))
        return (branch + x if turned else x + branch).mean(1, keepdim=keep)

    layers = {"fc1": nn.Linear(c, hidden), "fc2": nn.Linear(hidden, c, bias=bias)}
    module, log = apply(Lambda(forward, **layers), (batch, tokens, c), mean_before_product)
    assert log.rewrites == 1
    products = [node.meta["val"].shape for node in module.graph.nodes if node.target is aten.linear.default]
    assert products == [(batch, tokens, hidden), (batch, 1, c) if keep else (batch, c)]


def test_several_products_and_several_axes() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return (m["a"](m["b"](x)) + m["c"](x)).mean([1, -2])

    net = Lambda(forward, a=nn.Linear(3, 4), b=nn.Linear(5, 3), c=nn.Linear(5, 4))
    module, log = apply(net, (2, 3, 4, 5), mean_before_product)
    assert log.rewrites == 3
    assert calls(module, aten.mean.dim) == 2
    assert all(n.meta["val"].numel() <= 2 * 4 for n in module.graph.nodes if n.target is aten.linear.default)


def test_leaves_alone_what_is_read_twice_or_not_linear() -> None:
    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return y.mean(1) + y[:, 0]

    def channels(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](x).mean([1, 2])

    def bent(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(m["a"](x)).mean(1)

    def weighted(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.add(m["a"](x), m["b"](x), alpha=2).mean(1)

    def spread(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return (m["a"](x) + x[:, :1, :]).mean(1)

    for forward in (twice, channels, bent, weighted, spread):
        net = Lambda(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 4))
        assert apply(net, (2, 3, 4), mean_before_product)[1].rewrites == 0, forward.__name__


def test_computed_weights_are_left_alone() -> None:
    net = Lambda(lambda m, x: torch.nn.functional.linear(x, x[0] * 2).mean(1))
    assert apply(net, (2, 4, 4), mean_before_product)[1].rewrites == 0


def test_leaves_sums_alone_whose_parts_are_no_products_or_one_and_the_same() -> None:
    def plain(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return (x.relu() + x).mean(1)

    def doubled(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return (y + y).mean(1)

    def difference(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return (m["a"](x) - x).mean(1)

    def constant(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return (m["a"](x) + m["a"].weight[:3]).mean(1)

    def number(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return (m["a"](x) + 1).mean(1)

    def branch_read_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return (y + x).mean(1) + y[:, 0]

    for forward in (plain, doubled, difference, constant, number, branch_read_twice):
        log = apply(Lambda(forward, a=nn.Linear(4, 4)), (2, 3, 4), mean_before_product)[1]
        assert log.rewrites == 0, forward.__name__


def test_a_product_stays_in_its_module() -> None:
    module, _ = apply(Lambda(lambda m, x: m["a"](x).mean(1), a=nn.Linear(4, 3)), (2, 5, 4), mean_before_product)
    assert places(module, aten.linear.default) == ["layers.a"]
