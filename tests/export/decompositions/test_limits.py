"""Limits and greatest values are the same in XNNPACK's form; ``pass_rig`` compares with eager float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls, decomposing
from torch import Tensor, nn
from torch.nn import functional

from export.recipe import Format

aten = torch.ops.aten
Form = Callable[[Tensor], Tensor]
IMAGE = (2, 3, 6, 8)
CLAMPS: dict[str, tuple[Form, int]] = {
    "from above 0": (lambda y: y.clamp(min=0.25), 1),
    "behind another": (lambda y: functional.relu6(y).clamp(-1, 3.5).clamp(min=0.25), 1),
    "to below 0": (lambda y: y.clamp(max=-0.25), 1),
    "between": (lambda y: functional.hardtanh(y, 0.25, 0.5), 1),
    "round 0": (lambda y: y.clamp(-1, 2).clamp(max=0.5), 0),
    "elsewhere": (lambda y: y.sigmoid().clamp(min=0.6), 0),
}


@pytest.mark.parametrize("name", CLAMPS)
def test_limits_behind_a_convolution(name: str) -> None:
    form, rewrites = CLAMPS[name]
    layer = Lambda(lambda m, x: form(m["c"](x)), c=nn.Conv2d(3, 4, 3))
    assert apply(layer, IMAGE, decomposing(Format.PTE))[1].rewrites == rewrites
    layer = Lambda(lambda m, x: form(functional.max_pool2d(x, 2, 2)))
    assert apply(layer, IMAGE, decomposing(Format.PTE))[1].rewrites == rewrites


@pytest.mark.parametrize("keepdim", [True, False])
def test_greatest_values_whose_places_nobody_reads(keepdim: bool) -> None:
    layer = Lambda(lambda m, x: x.max(1, keepdim)[0] + x.min(1, keepdim).values)
    module, log = apply(layer, IMAGE, decomposing(Format.PTE))
    assert (log.rewrites, calls(module, aten.max.dim, aten.min.dim)) == (2, 0)


def test_places_are_kept_and_nothing_is_said_of_it() -> None:
    layer = Lambda(lambda m, x: x.max(1)[0] + x.max(1)[1])
    _, log = apply(layer, IMAGE, decomposing(Format.PTE))
    assert (log.rewrites, log.refused) == (1, ())


def test_a_pooling_says_its_stride() -> None:
    layer = Lambda(lambda m, x: functional.max_pool2d(x, (3, 2)))
    module, log = apply(layer, IMAGE, decomposing(Format.PTE))
    (pool,) = [node for node in module.graph.nodes if node.target is aten.max_pool2d.default]
    assert (log.rewrites, pool.args[2]) == (1, [3, 2])
    layer = Lambda(lambda m, x: functional.max_pool2d(x, 3, 2, 1))
    assert apply(layer, IMAGE, decomposing(Format.PTE))[1].rewrites == 0
