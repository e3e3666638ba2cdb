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
from torch.nn import functional

from export.passes import in_place

aten = torch.ops.aten
gelu = functional.gelu


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


@pytest.mark.parametrize(
    ("name", "bytecode", "written"),
    [("gelu", None, 1), ("gelu", 7, 0), ("relu", 4, 1), ("relu6", 4, 0), ("relu6", 5, 1), ("hardswish", 4, 1)],
)
def test_only_calls_that_the_runtimes_of_a_bytecode_have(name: str, bytecode: int | None, written: int) -> None:
    """1.9, the first release with bytecode 5, brought ``relu6_``; ``gelu_`` came behind all that still read 7 only."""
    net = Lambda(lambda m, x: getattr(aten, name)(m["a"](x)) * x.cos(), a=nn.Linear(4, 4))
    old = ModuleType("in_place")
    old.__dict__["run"] = lambda editor: in_place.run(editor, bytecode)
    module, _ = apply(net, (2, 4), old)
    assert (calls(module, getattr(aten, f"{name}_").default), calls(module, aten.mul_.Tensor)) == (written, 1)


@pytest.mark.parametrize("call", [aten.add.Scalar, aten.mul.Scalar, aten.sub.Scalar, aten.div.Scalar])
def test_arithmetic_with_a_number_writes_too(call: Callable[..., torch.Tensor]) -> None:
    module, log = apply(Lambda(lambda m, x: call(m["a"](x), 3), a=nn.Linear(4, 4)), (2, 4), in_place)
    assert (log.rewrites, calls(module, call)) == (1, 0)


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "relu6": functional.relu6,
    "leaky_relu": lambda y: functional.leaky_relu(y, 0.3),
    "elu": lambda y: functional.elu(y, 0.7),
    "celu": functional.celu,
    "selu": torch.selu,
    "silu": functional.silu,
    "mish": functional.mish,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "hardtanh": lambda y: functional.hardtanh(y, -0.25, 0.5),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "exp": torch.exp,
    "neg": torch.neg,
    "abs": torch.abs,
    "clamp": lambda y: torch.clamp(y, -0.5, 0.25),
    "clamp_min": lambda y: aten.clamp_min(y, 0.1),
    "clamp_max": lambda y: aten.clamp_max(y, 0.1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_writes_into_the_product_before_it(name: str) -> None:
    net = Lambda(lambda m, x: ACTIVATIONS[name](m["a"](x)), a=nn.Linear(4, 4))
    module, log = apply(net, (6, 4), in_place)
    assert (log.rewrites, calls(module, getattr(aten, f"{name}_").default)) == (1, 1)


def test_a_root_writes_into_the_sum_before_it() -> None:
    module, _ = apply(Lambda(lambda m, x: (x * x + x.cos().abs()).sqrt().rsqrt()), (6, 4), in_place)
    assert calls(module, aten.sqrt_.default) == calls(module, aten.rsqrt_.default) == 1


@pytest.mark.parametrize("call", [torch.sub, torch.div])
def test_a_difference_or_quotient_writes_into_its_first_operand_only(call: Callable[..., torch.Tensor]) -> None:
    def first(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return call(m["a"](x), x.cos() + 2)

    def second(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return call(x, m["a"](x))

    for forward, expected in ((first, 1), (second, 0)):
        module, _ = apply(Lambda(forward, a=nn.Linear(4, 4)), (2, 4), in_place)
        assert calls(module, aten.sub_.Tensor) + calls(module, aten.div_.Tensor) == expected, forward.__name__


FRESH = {
    "linear": lambda m, x: m["a"](x),
    "conv": lambda m, x: m["conv"](x),
    "matmul": lambda m, x: x @ x,
    "bmm": lambda m, x: torch.bmm(x, x),
    "layer norm": lambda m, x: functional.layer_norm(x, [4]),
    "sum": lambda m, x: torch.add(x, 2 * x.sin()),
    "product": lambda m, x: torch.mul(x, x.sin()),
    "difference": lambda m, x: torch.sub(x, x.sin()),
    "quotient": lambda m, x: torch.div(x, x.sin() + 3),
    "relu": lambda m, x: torch.relu(x.sin()),
    "transposed conv": lambda m, x: m["up"](x),
    "batch norm": lambda m, x: m["norm"](x),
    "gelu": lambda m, x: gelu(x.sin()),
}


@pytest.mark.parametrize("kind", FRESH)
def test_every_call_that_makes_memory_of_its_own(kind: str) -> None:
    layers = {"a": nn.Linear(4, 4), "conv": nn.Conv2d(4, 4, 1), "up": nn.ConvTranspose2d(4, 4, 1)}
    layers["norm"] = nn.BatchNorm1d(4)
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
        return functional.linear(x.float(), m["a"].weight.float()) + x

    for forward, expected in ((sliced, 0), (wider, 1), (view_of_input, 0), (number, 0), (spread_twice, 0), (narrow, 0)):
        log = apply(Lambda(forward, a=nn.Linear(4, 4)), (2, 4, 4), in_place)[1]
        assert log.rewrites == expected, forward.__name__
