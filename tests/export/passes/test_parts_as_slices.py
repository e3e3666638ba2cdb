"""Parts of a tensor as slices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor

from export.passes import parts_as_slices

aten = torch.ops.aten
PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "select": lambda x: x[:, 2],
    "select from the end": lambda x: x.select(-1, -2),
    "select of axis 0": lambda x: x[1],
    "split by a size": lambda x: x.split(2, 1)[0] * x.split(2, 1)[2],
    "split by sizes": lambda x: x.split([1, 3, 1], 1)[1],
    "split_with_sizes": lambda x: aten.split_with_sizes(x, [4, 2], -1)[1],
    "chunk": lambda x: x.chunk(2, 2)[0] + x.chunk(2, 2)[1] * 3,
    "an unequal chunk": lambda x: x.chunk(2, 1)[-1],
}


@pytest.mark.parametrize("kind", PARTS)
def test_every_kind_of_part(kind: str) -> None:
    module, log = apply(Lambda(lambda m, x: PARTS[kind](x.tanh()).exp()), (2, 5, 6), parts_as_slices)
    assert log.rewrites >= 1
    assert calls(module, *parts_as_slices.SPLITS, aten.select.int) == 0
    assert calls(module, aten.slice.Tensor) >= 1


def test_a_plain_slice_is_not_its_business() -> None:
    assert apply(Lambda(lambda m, x: x[:, 1:3]), (2, 5), parts_as_slices)[1].rewrites == 0
