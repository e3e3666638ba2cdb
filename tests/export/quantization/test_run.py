"""Ranges and costs of layers, against hooks on the network itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_artifacts import small_spec
from torch import Tensor, nn

from export.int8.plan import Range
from export.int8.record import Scheme
from export.program import Program, capture
from export.quantization.layers import layers_of, place_of
from export.quantization.run import LayerRun, RoundedLayers, costs_db, ranges, ratio_db
from export.quantization.schemes import SCHEMES
from export.recipe import Format


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 7)

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.head(self.conv(image).relu().mean((2, 3)))
        return answer


@pytest.fixture
def net() -> Net:
    torch.manual_seed(2)
    return Net().eval()


@pytest.fixture
def feeds() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    return [(scale * torch.randn((1, 3, 16, 16), generator=generator),) for scale in (0.1, 3.0, 1.0)]


def captured(net: nn.Module) -> Program:
    return capture(net, small_spec())


def by_module(program: Program, found: dict[str, Range]) -> dict[str, Range]:
    return {place_of(node): found[node.name] for node, _, _ in layers_of(program)}


def test_ranges_are_the_least_and_largest_of_all_images(net: Net, feeds: list[tuple[Tensor, ...]]) -> None:
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {"conv": [], "head": []}
    for name, module in (("conv", net.conv), ("head", net.head)):
        module.register_forward_hook(lambda _, given, result, name=name: seen[name].append((given[0], result)))
    with torch.no_grad():
        for feed in feeds:
            net(*feed)
    program = captured(net)
    inputs, outputs = (by_module(program, found) for found in ranges(program, feeds))
    for name, calls in seen.items():
        for found, values in (
            (inputs[name], [given for given, _ in calls]),
            (outputs[name], [out.relu() if name == "conv" else out for _, out in calls]),
        ):
            expected = min(float(value.min()) for value in values[:3]), max(float(value.max()) for value in values[:3])
            assert (found.low, found.high) == pytest.approx(expected, rel=1e-5)


def test_nan_in_one_image_stays_in_the_range_whatever_follows(net: Net, feeds: list[tuple[Tensor, ...]]) -> None:
    bad = feeds[0][0].clone()
    bad[0, 0, 0, 0] = math.nan
    program = captured(net)
    for order in ([(bad,), *feeds], [*feeds, (bad,)], [feeds[0], (bad,), feeds[1]]):
        found = by_module(program, ranges(program, order)[0])["conv"]
        assert math.isnan(found.low) or math.isnan(found.high)


def test_the_cost_of_a_scheme_is_the_sqnr_of_the_layers_own_output(net: Net, feeds: list[tuple[Tensor, ...]]) -> None:
    program = captured(net)
    inputs, outputs = ranges(program, feeds)
    layers = RoundedLayers(program, SCHEMES[Format.ONNX], inputs, outputs)
    head = next(node.name for node, _, _ in layers_of(program) if place_of(node) == "head")
    costs = costs_db(layers, {head: (Scheme.WEIGHTS,)}, feeds)
    assert set(costs) == {(head, Scheme.WEIGHTS)}, "only what was asked for is tried"
    with torch.no_grad():
        hidden = torch.cat([net.conv(feed[0]).relu().mean((2, 3)) for feed in feeds]).double().numpy()
    weight, bias = net.head.weight.detach().double().numpy(), net.head.bias.detach().double().numpy()
    scale = np.abs(weight).max(1, keepdims=True) / 127
    exact, lost = hidden @ weight.T + bias, hidden @ (np.rint(weight / scale) * scale - weight).T
    assert costs[head, Scheme.WEIGHTS] == pytest.approx(10 * np.log10((exact**2).sum() / (lost**2).sum()), abs=0.05)


def test_what_an_activation_cuts_off_costs_nothing(net: Net, feeds: list[tuple[Tensor, ...]]) -> None:
    program = captured(net)
    layers = RoundedLayers(program, SCHEMES[Format.TFLITE], *ranges(program, feeds))
    conv = next(node for node, _, _ in layers_of(program) if place_of(node) == "conv")
    cost = costs_db(layers, {conv.name: (Scheme.STATIC,)}, feeds)[conv.name, Scheme.STATIC]
    with torch.no_grad():
        exact = torch.cat([net.conv(feed[0]).relu() for feed in feeds])
        rounded = torch.cat([layers.call(conv, (*feed, *_constants(net.conv)), Scheme.STATIC).relu() for feed in feeds])
    steps = (rounded / (exact.max() / 255)).double()
    torch.testing.assert_close(steps, steps.round(), atol=2e-3, rtol=0)  # all 256 values lie above zero
    expected = 10 * math.log10(float(exact.double().square().sum() / (rounded - exact).double().square().sum()))
    assert cost == pytest.approx(expected, abs=0.01)


def _constants(layer: nn.Conv2d) -> tuple[Tensor, Tensor | None]:
    return layer.weight, layer.bias


def test_a_layer_is_computed_in_float_only_where_somebody_asks(net: Net, feeds: list[tuple[Tensor, ...]]) -> None:
    program = captured(net)
    answers = LayerRun(program, lambda node, args, in_float: in_float()).all_of(feeds)
    with torch.no_grad():
        for answer, feed in zip(answers, feeds, strict=True):
            torch.testing.assert_close(answer[0] if isinstance(answer, tuple) else answer, net(*feed))
    shapes = {"conv": (1, 6, 14, 14), "head": (1, 7)}
    left = LayerRun(program, lambda node, args, in_float: torch.full(shapes[place_of(node)], 2.0)).all_of(feeds[:1])
    assert float(torch.as_tensor(left[0][0] if isinstance(left[0], tuple) else left[0]).max()) == 2.0


@pytest.mark.parametrize(
    ("signal", "noise", "expected"),
    [
        (100.0, 1.0, 20.0),
        (1.0, 0.0, 300.0),
        (0.0, 0.0, 300.0),
        (0.0, 1.0, 0.0),
        (1.0, math.nan, -300.0),
        (math.nan, 1.0, -300.0),
        (math.inf, math.inf, -300.0),
        (1.0, math.inf, -300.0),
        (1e300, 1e-300, 300.0),
    ],
)
def test_a_ratio_that_is_no_number_is_the_worst_and_never_the_best(
    signal: float, noise: float, expected: float
) -> None:
    assert ratio_db(signal, noise) == pytest.approx(expected)
