"""Long sums in parts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few

from export.passes import long_sums_in_parts

aten = torch.ops.aten


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_sums_in_parts, "MAX_TERMS", 4)


@few
@given(batch=st.integers(1, 3), heads=st.integers(1, 2), rows=st.integers(1, 3), terms=st.integers(5, 13))
@example(batch=2, heads=3, rows=2, terms=11)
@example(batch=1, heads=2, rows=3, terms=12)
def test_parts_add_up(batch: int, heads: int, rows: int, terms: int) -> None:
    net = Lambda(lambda m, x: torch.matmul(x.softmax(-1), x.transpose(-1, -2) * 2))
    module, log = apply(net, (batch, heads, rows, terms), long_sums_in_parts)
    parts = -(-terms // 4)
    assert log.rewrites == 1
    products = [node for node in module.graph.nodes if node.target is aten.matmul.default]
    assert len(products) == parts
    assert all(node.args[0].meta["val"].shape[-1] <= 4 for node in products)


def test_batched_products_too() -> None:
    net = Lambda(lambda m, x: torch.bmm(x, x.transpose(1, 2).exp()))
    module, log = apply(net, (2, 3, 9), long_sums_in_parts)
    assert log.rewrites == 1
    assert calls(module, aten.bmm.default) == 3


def test_leaves_short_sums_weights_and_vectors_alone() -> None:
    short = Lambda(lambda m, x: torch.matmul(x, x.transpose(-1, -2)))
    assert apply(short, (2, 3, 4), long_sums_in_parts)[1].rewrites == 0
    vector = Lambda(lambda m, x: torch.matmul(x, x[0, 0]))
    assert apply(vector, (2, 3, 9), long_sums_in_parts)[1].rewrites == 0
    layer = torch.nn.Linear(9, 9)
    weights = Lambda(lambda m, x: torch.matmul(x, m["a"].weight), a=layer)
    assert apply(weights, (3, 9), long_sums_in_parts)[1].rewrites == 0


def test_a_long_sum_that_stays_whole_is_said() -> None:
    net = Lambda(lambda m, x: torch.matmul(x, x[0].transpose(0, 1) * 2))
    log = apply(net, (2, 3, 9), long_sums_in_parts)[1]
    assert (log.rewrites, [row.why for row in log.refused]) == (0, ["its operands have unlike numbers of axes"])
    assert apply(net, (2, 3, 4), long_sums_in_parts)[1].refused == ()

    spread = Lambda(lambda m, x: torch.matmul(x[0, 0], x.transpose(-1, -2)))
    assert apply(spread, (2, 3, 9), long_sums_in_parts)[1].rewrites == 0
    lower = Lambda(lambda m, x: torch.matmul(x, x[0].transpose(-1, -2)))
    assert apply(lower, (2, 3, 9), long_sums_in_parts)[1].rewrites == 0
    line = Lambda(lambda m, x: torch.matmul(x, x.exp()))
    assert apply(line, (9,), long_sums_in_parts)[1].rewrites == 0
    several = Lambda(lambda m, x: torch.matmul(x.exp(), x.transpose(-1, -2)) + torch.matmul(x, x.transpose(-1, -2)))
    assert apply(several, (2, 3, 9), long_sums_in_parts)[1].detail == "2 products as sums of 6"
