"""Activations behind a product: found through views, with their limits; and convolutions with nothing else between."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, captured
from torch import nn
from torch.nn import functional

from export.int8.plan import Range
from export.patterns import aten
from export.program import module_of
from export.quantization.clamps import clamp_behind, cut, cut_range, in_chains, limits_of


@pytest.mark.parametrize(
    ("cut", "limits"),
    [
        (functional.relu, (0.0, None)),
        (functional.relu6, (0.0, 6.0)),
        (lambda x: functional.hardtanh(x, -0.5, 2.0), (-0.5, 2.0)),
        (lambda x: x.clamp(max=3), (None, 3.0)),
        (lambda x: functional.relu(x.reshape(4, 2)), (0.0, None)),
        (lambda x: x.clamp(1.0, 3.0), None),  # zero is among the values of every range, so int8 would not cut off at 1
        (lambda x: x.clamp(max=-1.0), None),
        (functional.gelu, None),
        (lambda x: x + functional.relu(x), None),
    ],
)
def test_the_limits_behind_a_product(cut: object, limits: tuple[float | None, float | None] | None) -> None:
    module = Lambda(lambda layers, x: cut(layers["fc"](x)), fc=nn.Linear(3, 4)).double()  # type: ignore[operator]
    graph = captured(module, (2, 3)).module.graph
    (linear,) = graph.find_nodes(op="call_function", target=aten.linear.default)
    found = clamp_behind(linear)
    assert (None if found is None else limits_of(found)) == limits


def test_a_range_is_cut_where_values_are() -> None:
    module = Lambda(lambda layers, x: functional.hardtanh(layers["fc"](x), -0.5, 2.0), fc=nn.Linear(3, 4)).double()
    graph = captured(module, (2, 3)).module.graph
    (linear,) = graph.find_nodes(op="call_function", target=aten.linear.default)
    assert cut_range(linear, Range(-3.0, 1.5)) == Range(-0.5, 1.5)
    assert cut_range(linear, Range(-0.25, 9.0)) == Range(-0.25, 2.0)
    assert cut_range(linear, Range(-9.0, -3.0)) == Range(-0.5, -0.5), "never upside down"
    assert cut(linear, torch.tensor([-1.0, 1.0, 3.0])).tolist() == [-0.5, 1.0, 2.0]
    (result,) = linear.users
    assert cut_range(result, Range(-3.0, 1.5)) == Range(-3.0, 1.5), "nothing is behind it"


def conv(groups: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups)


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda m, x: m["c"](functional.relu6(m["b"](functional.relu(m["a"](x))))), {"a", "b", "c"}),
        (lambda m, x: m["b"](functional.silu(m["a"](x))), set()),
        (lambda m, x: m["b"](m["a"](x)), set()),
        (lambda m, x: m["b"](functional.relu(m["a"](x) + x)), set()),
        (lambda m, x: m["c"](m["b"](functional.relu(m["a"](x)))), {"a", "b"}),
        (lambda m, x: m["b"](y := functional.relu(m["a"](x))) + m["c"](y) + y, {"a", "b", "c"}),
        (lambda m, x: m["b"](functional.relu(y := m["a"](x))) + y, set()),
        (lambda m, x: m["b"](functional.relu(m["grouped"](functional.relu(m["a"](x))))), set()),
        (lambda m, x: m["b"](functional.relu(m["a"](x)).flip(2)), set()),
    ],
)
def test_chains_of_convolutions(forward: object, expected: set[str]) -> None:
    layers = {"a": conv(kernel=1), "b": conv(8), "c": conv(), "grouped": conv(2)}
    module = Lambda(forward, **layers).double()  # type: ignore[arg-type]
    found = in_chains(captured(module, (1, 8, 6, 6)).module.graph)
    assert {module_of(node).rpartition(".")[2] for node in found} == expected


def channels_last(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def test_chains_through_views_and_linear_layers_where_a_format_sees_through_them() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(channels_last(m["wide"], x))
        x = channels_last(m["narrow"], functional.relu6(m["depthwise"](x)))
        return functional.relu(channels_last(m["alone"], x)).flip(3)

    layers = {"wide": nn.Linear(8, 8), "depthwise": conv(8), "narrow": nn.Linear(8, 8), "alone": nn.Linear(8, 8)}
    graph = captured(Lambda(forward, **layers).double(), (1, 8, 6, 6)).module.graph
    found = in_chains(graph, through_views=True)
    assert {module_of(node).rpartition(".")[2] for node in found} == {"wide", "depthwise", "narrow"}
    assert not in_chains(graph)
