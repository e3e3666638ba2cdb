"""Activations behind a product: found through views, with their limits; not where others read the product."""

from __future__ import annotations

import pytest
from pass_rig import Lambda, captured
from torch import nn
from torch.nn import functional

from export.patterns import aten
from export.quantization.clamps import clamp_behind, limits_of


@pytest.mark.parametrize(
    ("cut", "limits"),
    [
        (functional.relu, (0.0, None)),
        (functional.relu6, (0.0, 6.0)),
        (lambda x: functional.hardtanh(x, -0.5, 2.0), (-0.5, 2.0)),
        (lambda x: x.clamp(max=3), (None, 3.0)),
        (lambda x: functional.relu(x.reshape(4, 2)), (0.0, None)),
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
