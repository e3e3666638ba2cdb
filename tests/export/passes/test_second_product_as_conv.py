"""The second of two products on an image, as a convolution."""

from __future__ import annotations

import torch
from pass_rig import Lambda, apply, calls
from torch import nn

from export.passes import second_product_as_conv

aten = torch.ops.aten
LAYERS = {"a": nn.Linear(4, 3), "b": nn.Linear(3, 5), "c": nn.Linear(5, 2)}


def test_every_second_one() -> None:
    net = Lambda(lambda m, x: m["c"](m["b"](m["a"](x))), **LAYERS)
    module, log = apply(net, (2, 3, 6, 4), second_product_as_conv)
    assert log.rewrites == 1
    products = [node.target for node in module.graph.nodes if node.target in (aten.linear.default, aten.conv2d.default)]
    assert products == [aten.linear.default, aten.conv2d.default, aten.linear.default]


def test_another_reader_of_the_first_result_does_not_matter() -> None:
    net = Lambda(lambda m, x: m["b"](y := m["a"](x)).mean() + y, **LAYERS)
    assert apply(net, (2, 3, 6, 4), second_product_as_conv)[1].rewrites == 1


def test_leaves_activations_between_and_tokens_alone() -> None:
    between = Lambda(lambda m, x: m["b"](m["a"](x).relu()), **LAYERS)
    both = Lambda(lambda m, x: m["b"](m["a"](x)), **LAYERS)
    for net, shape in ((between, (2, 3, 6, 4)), (both, (2, 6, 4))):
        module, log = apply(net, shape, second_product_as_conv)
        assert log.rewrites == 0
        assert calls(module, aten.conv2d.default) == 0


def test_computed_weights_stay_and_are_said() -> None:
    net = Lambda(lambda m, x: nn.functional.linear(m["a"](x), m["b"].weight * x.mean()), **LAYERS)
    log = apply(net, (1, 5, 5, 4), second_product_as_conv)[1]
    assert [(row.operator, row.why) for row in log.refused] == [("aten::linear", "its weights are computed")]
