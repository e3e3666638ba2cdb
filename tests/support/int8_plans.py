"""Plans of int8 by hand: every layer of a kind in one scheme, with the ranges of a few inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from export.int8.plan import Quantization, Range
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.program import Program
from export.quantization.layers import activation_of, layers_of, place_of


def planned(
    program: Program, schemes: Mapping[LayerKind, Scheme], feeds: tuple[tuple[torch.Tensor, ...], ...] = ()
) -> Program:
    """``program`` with a plan; kinds that are not named stay float."""
    records, sources, outputs = {}, {}, {}
    for node, kind, weight in layers_of(program):
        records[node.name] = LayerRecord(
            name=node.name,
            module=place_of(node),
            kind=kind,
            weights=weight.numel(),
            scheme=schemes.get(kind, Scheme.FLOAT),
        )
        sources[node.name] = activation_of(node).name
    seen = _Extremes(program.module)
    with torch.no_grad():
        for inputs in feeds:
            seen.run(*inputs)
    if feeds:
        outputs = {name: Range(*seen.found[name]) for name in records}
    inputs = {name: Range(*seen.found[source]) for name, source in sources.items()} if feeds else {}
    return dataclasses.replace(program, quantization=Quantization(records, inputs, outputs, feeds))


class _Extremes(torch.fx.Interpreter):
    """Runs a graph and keeps least and largest value of each tensor."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[str, tuple[float, float]] = {}

    def run_node(self, n: torch.fx.Node) -> object:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            low, high = self.found.get(n.name, (float("inf"), float("-inf")))
            self.found[n.name] = min(low, float(value.min())), max(high, float(value.max()))
        return value
