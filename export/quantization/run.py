"""A program run by torch layer by layer: to take ranges, to measure what int8 costs a layer, and as int8 itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.fx import Interpreter, Node

from export.int8.plan import Range
from export.int8.record import LayerKind, Scheme
from export.program import Program
from export.quantization.clamps import cut
from export.quantization.layers import activation_of, layers_of
from export.quantization.numbers import rounded_activation, rounded_as_it_comes, rounded_weight
from export.quantization.schemes import FormatSchemes

Inputs = tuple[Tensor, ...]
OnLayer = Callable[[Node, tuple[object, ...], Callable[[], Tensor]], Tensor]


class LayerRun(Interpreter):
    """Runs a program; ``on_layer`` gets each layer's node and arguments, and says what goes on from there.

    Its third argument computes the layer in float, which is not done where nobody asks for it.
    """

    def __init__(self, program: Program, on_layer: OnLayer) -> None:
        super().__init__(program.module)
        self._layers = {node.name for node, _, _ in layers_of(program)}
        self._on_layer = on_layer

    def run_node(self, n: Node) -> object:
        """The node's value."""
        if n.name not in self._layers:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return self._on_layer(n, args, lambda: cast("Tensor", self.call_function(n.target, args, kwargs)))

    def all_of(self, feeds: Iterable[Inputs]) -> list[object]:
        """The program's answers, call by call."""
        with torch.no_grad():
            return [self.run(*inputs) for inputs in feeds]


def channel_axis(kind: LayerKind, node: Node, weight: Tensor) -> int:
    """The axis of the weights that counts output channels."""
    if kind is LayerKind.LINEAR:
        return 0 if str(node.target) == "aten.linear.default" else weight.dim() - 1
    return 1 if kind is LayerKind.TRANSPOSED else 0


@dataclass
class RoundedLayers:
    """The layers of a program under each scheme of a format, one call at a time."""

    program: Program
    schemes: FormatSchemes
    inputs: Mapping[str, Range] = field(default_factory=dict)
    outputs: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kinds: dict[str, LayerKind] = {}
        self._weights: dict[str, Tensor] = {}
        for node, kind, weight in layers_of(self.program):
            self._kinds[node.name] = kind
            self._weights[node.name] = rounded_weight(weight, channel_axis(kind, node, weight))

    def call(self, node: Node, args: tuple[object, ...], scheme: Scheme) -> Tensor:
        """What a layer gives under ``scheme`` for its float arguments."""
        place = node.args.index(activation_of(node))
        activation = cast("Tensor", args[place])
        if scheme is Scheme.STATIC:
            activation = rounded_activation(activation, self.inputs[node.name])
        elif scheme is Scheme.DYNAMIC:
            activation = rounded_as_it_comes(activation, rows=self._rows(node, activation))
        given = list(args)
        given[place], given[place + 1] = activation, self._weights[node.name]
        result = cast("Tensor", node.target(*given, **node.kwargs))  # type: ignore[operator]
        if scheme is Scheme.STATIC and self._kinds[node.name] in self.schemes.rounded_outputs:
            result = rounded_activation(result, self.outputs[node.name])
        return result

    def _rows(self, node: Node, activation: Tensor) -> int:
        """How many leading axes of the activation have a dynamic range for each of their places."""
        if not self.schemes.per_row:
            return 0
        return activation.dim() - 1 if self._kinds[node.name] is LayerKind.LINEAR else 1


def ranges(program: Program, feeds: Iterable[Inputs]) -> tuple[dict[str, Range], dict[str, Range]]:
    """Least and largest value that each layer reads and gives over ``feeds``, by the name of its call.

    What an activation behind a layer cuts off does not count: int8 is cut off there in any case.
    """
    inputs: dict[str, Range] = {}
    outputs: dict[str, Range] = {}

    def watch(node: Node, args: tuple[object, ...], in_float: Callable[[], Tensor]) -> Tensor:
        result = in_float()
        activation = cast("Tensor", args[node.args.index(activation_of(node))])
        inputs[node.name] = _wider(inputs.get(node.name), activation)
        outputs[node.name] = _wider(outputs.get(node.name), cut(node, result))
        return result

    LayerRun(program, watch).all_of(feeds)
    return inputs, outputs


def costs_db(
    layers: RoundedLayers, choices: Mapping[str, tuple[Scheme, ...]], feeds: Iterable[Inputs]
) -> dict[tuple[str, Scheme], float]:
    """What each scheme costs a layer alone: its output's SQNR in dB, its input being float, over ``feeds``.

    What an activation behind it cuts off costs nothing.

    ``choices`` has the schemes to try by the name of the call.
    """
    signal: dict[str, float] = {}
    noise: dict[tuple[str, Scheme], float] = {}

    def measure(node: Node, args: tuple[object, ...], in_float: Callable[[], Tensor]) -> Tensor:
        result = in_float()
        exact = cut(node, result)
        tried = choices.get(node.name, ())
        if tried:
            signal[node.name] = signal.get(node.name, 0.0) + _energy(exact)
        for scheme in tried:
            lost = _energy(cut(node, layers.call(node, args, scheme)) - exact)
            noise[node.name, scheme] = noise.get((node.name, scheme), 0.0) + lost
        return result

    LayerRun(layers.program, measure).all_of(feeds)
    return {key: ratio_db(signal[key[0]], lost) for key, lost in noise.items()}


def ratio_db(signal: float, noise: float) -> float:
    """SQNR in dB of two energies, within -300..300; the least where either is not finite."""
    if not math.isfinite(signal) or not math.isfinite(noise):
        return -300.0
    if noise == 0:
        return 300.0
    if signal == 0:
        return 0.0
    return max(-300.0, min(300.0, 10 * math.log10(signal / noise)))


def _energy(value: Tensor) -> float:
    return float(value.double().square().sum())


def _wider(found: Range | None, value: Tensor) -> Range:
    """The range of both; NaN stays, which comparing would lose."""
    low, high = float(value.min()), float(value.max())
    if found is None or math.isnan(low):
        return Range(low, high)
    return found if math.isnan(found.low) else Range(min(found.low, low), max(found.high, high))
