"""Programs with a plan for int8 that a test chooses by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor
from torch.fx import Node

from export.int8.plan import Quantization
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.program import Program
from export.quantization.layers import layers_of, place_of
from export.quantization.run import ranges

Choose = Callable[[Node, LayerKind], Scheme]


def planned(program: Program, choose: Choose | Scheme, images: Tensor) -> Program:
    """``program`` with every layer in the scheme that ``choose`` says, ranges taken over ``images`` ``(N, ...)``."""
    records = {}
    for node, kind, weight in layers_of(program):
        scheme = choose if isinstance(choose, Scheme) else choose(node, kind)
        records[node.name] = LayerRecord(
            name=node.name, module=place_of(node), kind=kind, weights=weight.numel(), scheme=scheme
        )
    feeds = tuple((image[None],) for image in images)
    inputs, outputs = ranges(program, feeds)
    return dataclasses.replace(program, quantization=Quantization(records, inputs, outputs, feeds))
