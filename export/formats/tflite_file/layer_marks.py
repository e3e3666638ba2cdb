"""Which operators of a file a layer of the program became: told by marks in the names of its tensors.

The converter names a tensor after the module that it came from. Several layers may share a module, so each layer's own
call stands behind it while an int8 file is made: ``stem/0/!conv2d_3!;2``. ``without_marks`` takes that out again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator
from export.formats.tflite_file.read import module_path
from export.program import module_of

if TYPE_CHECKING:
    from torch.fx import Node

    from export.quantization.record import LayerRecord

WEIGHTS_AT = 1  # TFLite has the weights of all of them there
WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""The operators that a layer with weights may become."""
_MARK = re.compile(r"/!([^!;/]+)!")


def marked_path(node: Node, layers: Iterable[str]) -> str:
    """The module of ``node`` as tensor names have it, with its mark if it is one of ``layers``."""
    path = module_path(module_of(node))
    return f"{path}/!{node.name}!" if node.name in layers else path


def marked_operators(graph: TfliteGraph, layers: Mapping[str, LayerRecord]) -> dict[str, list[TfliteOperator]]:
    """The operators with constant weights of each of ``layers``, by the name of its call.

    A layer whose weights are not all in the operators that bear its mark, or not only they, has none.
    """
    found: dict[str, list[TfliteOperator]] = {name: [] for name in layers}
    for operator in graph.operators:
        if (name := _layer_of(graph, operator)) in found:
            found[name].append(operator)
    for name, layer in layers.items():
        if sum(_weights(graph, operator) for operator in found[name]) != layer.weights:
            found[name] = []
    return found


def without_marks(names: Iterable[str]) -> Iterator[str]:
    """Names of tensors as they are without marks, each once: where two become equal, the later one gets a number."""
    kept = [(name, _MARK.sub("", name)) for name in names]
    taken = {plain for name, plain in kept if name == plain}
    for name, plain in kept:
        unique = plain
        if name != plain:
            stem = plain.rstrip("0123456789")
            number = 0
            while unique in taken:
                number += 1
                unique = f"{stem}{number}"
            taken.add(unique)
        yield unique


def _layer_of(graph: TfliteGraph, operator: TfliteOperator) -> str:
    """The layer that an operator computes; "" if it is none, or has no constant weights.

    What the converter fused with a neighbour bears the marks of both, and equal weights are stored once, under one
    name: what the output leaves open the weights decide.
    """
    if operator.name not in WEIGHTED or not graph.tensors[operator.inputs[WEIGHTS_AT]].constant:
        return ""
    made: set[str] = {mark for index in operator.outputs for mark in _MARK.findall(graph.tensors[index].name)}
    held: set[str] = {*_MARK.findall(graph.tensors[operator.inputs[WEIGHTS_AT]].name)}
    for marks in (made, made & held, held):
        if len(marks) == 1:
            return marks.pop()
    return ""


def _weights(graph: TfliteGraph, operator: TfliteOperator) -> int:
    return math.prod(graph.tensors[operator.inputs[WEIGHTS_AT]].shape)
