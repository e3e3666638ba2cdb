"""Elementwise calls that write into an operand."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import in_place

aten = torch.ops.aten
gelu = torch.nn.functional.gelu


@few
@given(batch=st.integers(1, 2), tokens=st.integers(1, 5), c=st.integers(1, 4), turned=st.booleans())
@example(batch=2, tokens=5, c=3, turned=True)
@example(batch=2, tokens=5, c=3, turned=False)
def test_a_branch_writes_into_its_own_results(batch: int, tokens: int, c: int, turned: bool) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["b"](gelu(m["a"](x), approximate="tanh"))
        return (x + y if turned else y + x) * m["a"].weight[:1, :1].reshape(1)

    net = Lambda(forward, a=nn.Linear(c, 6), b=nn.Linear(6, c))
    module, log = apply(net, (batch, tokens, c), in_place)
    assert calls(module, aten.gelu_.default) == 1
    assert calls(module, aten.add_.Tensor) == 1
    assert log.rewrites >= 2


def test_through_views_and_with_alpha() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        image = m["conv"](x).permute(0, 2, 3, 1).reshape(-1, 3)
        return torch.add(image, x.permute(0, 2, 3, 1).reshape(-1, 3), alpha=2)

    module, log = apply(Lambda(forward, conv=nn.Conv2d(3, 3, 1)), (2, 3, 2, 2), in_place)
    assert (log.rewrites, calls(module, aten.add_.Tensor)) == (1, 1)


def test_leaves_alone_what_others_read() -> None:
    def inputs(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return gelu(x) + x

    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return gelu(y).sum() + y.sum()

    def viewed_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return gelu(y.permute(1, 0, 2)).sum() + y.reshape(-1).sum()

    def spread(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](x[:1]) + x

    def weights(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x + m["a"].weight

    def second_with_alpha(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.add(x, m["a"](x), alpha=2)

    def doubled(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["a"](x)
        return y + y

    def of_constants(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x - gelu(m["a"](m["a"].weight))

    net = nn.Linear(4, 4)
    for forward in (of_constants, twice, viewed_twice, spread, weights, second_with_alpha, doubled):
        log = apply(Lambda(forward, a=net), (2, 4, 4), in_place)[1]
        assert log.rewrites == 0, forward.__name__
    module, log = apply(Lambda(inputs), (2, 4, 4), in_place)
    assert (log.rewrites, calls(module, aten.gelu_.default)) == (1, 0)


@pytest.mark.parametrize(("bytecode", "written"), [(None, 1), (7, 0)])
def test_runtimes_of_an_old_bytecode_have_no_gelu_that_writes(bytecode: int | None, written: int) -> None:
    net = Lambda(lambda m, x: gelu(m["a"](x)) * x.cos(), a=nn.Linear(4, 4))
    old = ModuleType("in_place")
    old.__dict__["run"] = lambda editor: in_place.run(editor, bytecode)
    module, _ = apply(net, (2, 4), old)
    assert (calls(module, aten.gelu_.default), calls(module, aten.mul_.Tensor)) == (written, 1)


@pytest.mark.parametrize("call", [aten.add.Scalar, aten.mul.Scalar])
def test_a_sum_or_product_with_a_number_writes_too(call: Callable[..., torch.Tensor]) -> None:
    module, log = apply(Lambda(lambda m, x: call(m["a"](x), 3), a=nn.Linear(4, 4)), (2, 4), in_place)
    assert (log.rewrites, calls(module, call)) == (1, 0)


def _layer_norm(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.layer_norm(x, [4])


FRESH = {
    "linear": lambda m, x: m["a"](x),
    "conv": lambda m, x: m["conv"](x),
    "matmul": lambda m, x: x @ x,
    "bmm": lambda m, x: torch.bmm(x, x),
    "layer norm": _layer_norm,
    "sum": lambda m, x: torch.add(x, 2 * x.sin()),
    "product": lambda m, x: torch.mul(x, x.sin()),
    "gelu": lambda m, x: gelu(x.sin()),
}


@pytest.mark.parametrize("kind", FRESH)
def test_every_call_that_makes_memory_of_its_own(kind: str) -> None:
    layers = {"a": nn.Linear(4, 4), "conv": nn.Conv2d(4, 4, 1)}
    net = Lambda(lambda m, x: FRESH[kind](m, x) * x.cos(), **layers)
    module, _ = apply(net, (4, 4, 4), in_place)
    written = [node for node in module.graph.nodes if node.target is aten.mul_.Tensor]
    assert any(aten.cos.default in {operand.target for operand in node.args} for node in written)


def test_leaves_views_of_others_other_dtypes_and_other_shapes_alone() -> None:
    def sliced(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](x)[:1] + x[:1]

    def wider(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](x.float().double()) + m["a"](x)[:1]

    def view_of_input(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return gelu(x.permute(1, 0, 2)) * 2

    def number(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](x) * 2

    def spread_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["a"](x)[:, :1] * x.sin()

    def narrow(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.float(), m["a"].weight.float()) + x

    for forward, expected in ((sliced, 0), (wider, 1), (view_of_input, 0), (number, 0), (spread_twice, 0), (narrow, 0)):
        log = apply(Lambda(forward, a=nn.Linear(4, 4)), (2, 4, 4), in_place)[1]
        assert log.rewrites == expected, forward.__name__
