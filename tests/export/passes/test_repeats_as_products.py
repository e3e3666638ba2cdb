"""Repetitions as products with ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor

from export.passes import repeats_as_products

aten = torch.ops.aten
REPETITIONS = (*repeats_as_products.EXPANDS, aten.repeat.default, aten.cat.default)


def _twice(x: Tensor, wide: Tensor) -> Tensor:
    return x * wide - wide.exp()


KINDS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "expand": (lambda x: x[:, :1].expand(2, 4, 5).exp(), 1),
    "expand to more axes": (lambda x: x[:1].expand(3, 2, 3, 5).exp(), 1),
    "expand nothing": (lambda x: x.expand(2, 3, 5).exp(), 0),
    "expand that broadcasting does": (lambda x: x / x[..., :1].expand_as(x), 0),
    "expand as, read by others too": (lambda x: _twice(x, x[..., :1].expand_as(x)), 2),
    "repeat": (lambda x: x.repeat(2, 3, 1).exp(), 1),
    "repeat into more axes": (lambda x: x.repeat(2, 1, 1, 3).exp(), 1),
    "cat of itself": (lambda x: torch.cat([x, x, x], 1).exp(), 1),
    "cat of itself along the last axis": (lambda x: torch.cat([x.tanh()] * 2, -1).exp(), 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_repetition(kind: str) -> None:
    work, products = KINDS[kind]
    module, log = apply(Lambda(lambda m, x: work(x.sigmoid())), (2, 3, 5), repeats_as_products)
    assert (log.rewrites, log.refused) == (1, ())
    assert calls(module, *REPETITIONS) == 0
    assert calls(module, aten.mul.Tensor) == products


def test_a_reader_that_needs_the_size_gets_it() -> None:
    """The sum of two expanded columns is as wide as they are, not as their operands."""
    net = Lambda(lambda m, x: x[:, :1].expand(2, 3) + x[:, 1:2].expand(2, 3))
    module, _ = apply(net, (2, 3), repeats_as_products)
    assert calls(module, *REPETITIONS) == 0


def test_what_stays() -> None:
    assert apply(Lambda(lambda m, x: torch.cat([x, x.exp()], 1)), (2, 3), repeats_as_products)[1].rewrites == 0
    whole = Lambda(lambda m, x: x.long()[:, :1].expand(2, 4) % 7 + x.sum())
    assert [row.why for row in apply(whole, (2, 3), repeats_as_products)[1].refused] == ["its numbers are integers"]
    many = Lambda(lambda m, x: x.repeat(2, 2, 2, 2).exp())
    assert [row.why for row in apply(many, (2, 3, 2, 3), repeats_as_products)[1].refused] == [
        "it takes more than 6 axes"
    ]
