"""Sums over the last axis as products."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor
from torch.nn.functional import normalize

from export.passes import sums_as_products

aten = torch.ops.aten
SUMS = (aten.sum.dim_IntList, aten.mean.dim, aten.linalg_vector_norm.default)
KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda x: x.sum(-1),
    "sum that keeps its axis": lambda x: x.sum(2, keepdim=True),
    "mean": lambda x: x.mean(2),
    "mean that keeps its axis": lambda x: x.mean(-1, keepdim=True),
    "norm": lambda x: x.norm(dim=-1),
    "normalised": lambda x: normalize(x, dim=-1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sum(kind: str) -> None:
    module, log = apply(Lambda(lambda m, x: KINDS[kind](x)), (2, 3, 5), sums_as_products)
    assert (log.rewrites, log.refused) == (1, ())
    assert calls(module, *SUMS) == 0
    assert calls(module, aten.linear.default) == 1


def test_what_stays() -> None:
    for work in (lambda x: x.sum(1), lambda x: x.sum((1, 2)), lambda x: x.norm(dim=1), lambda x: x[0, 0].sum(0)):
        log = apply(Lambda(lambda m, x, work=work: work(x)), (2, 3, 5), sums_as_products)[1]
        assert (log.rewrites, log.refused) == (0, ())
    city = apply(Lambda(lambda m, x: x.norm(1, dim=-1)), (2, 3, 5), sums_as_products)[1]
    assert [row.why for row in city.refused] == ["it is no Euclidean norm"]
    wider = apply(Lambda(lambda m, x: x.float().sum(-1, dtype=torch.float64)), (2, 3, 5), sums_as_products)[1]
    assert [row.why for row in wider.refused] == ["a size is free, or it sums in another dtype"]
