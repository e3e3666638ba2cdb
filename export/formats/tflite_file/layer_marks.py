"""Which operators of a file a layer of the program became: told by marks in the names of its tensors.

The converter names a tensor after the module that it came from. Several layers may share a module, so each layer's own
call stands behind it while an int8 file is made: ``stem/0/!conv2d_3!;2``. ``without_marks`` takes that out again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from export.formats.tflite_file.read import module_path
from export.program import module_of

if TYPE_CHECKING:
    from torch.fx import Node

    from export.int8.record import LayerRecord

WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""The operators that a layer with weights may become."""
_WEIGHTS_AT = 1  # of their inputs, for all of them
_MARK = re.compile(r"/!([^!;/]+)!")


def marked_path(node: Node, layers: Iterable[str]) -> str:
    """The module of ``node`` as tensor names have it, with its mark if it is one of ``layers``."""
    path = module_path(module_of(node))
    return f"{path}/!{node.name}!" if node.name in layers else path


@dataclass(frozen=True)
class Product:
    """An operator with the constant weights that it works with; ``widened`` by another operator, or as they are."""

    operator: TfliteOperator
    weights: TfliteTensor
    widened: bool


def products(graph: TfliteGraph) -> Iterator[Product]:
    """All operators of ``graph`` that have constant weights, in order."""
    narrow = {one.outputs[0]: one.inputs[0] for one in graph.operators if one.name == "DEQUANTIZE"}
    for operator in graph.operators:
        if operator.name in WEIGHTED:
            index = operator.inputs[_WEIGHTS_AT]
            weights = graph.tensors[narrow.get(index, index)]
            if weights.constant:
                yield Product(operator, weights, index in narrow)


def marked_products(graph: TfliteGraph, layers: Mapping[str, LayerRecord]) -> dict[str, list[Product]]:
    """The products of each of ``layers``, by the name of its call.

    A layer whose weights are not all in the products that bear its mark, or not only they, has none.
    """
    found: dict[str, list[Product]] = {name: [] for name in layers}
    for product in products(graph):
        if (name := _layer_of(graph, product)) in found:
            found[name].append(product)
    for name, layer in layers.items():
        if sum(math.prod(product.weights.shape) for product in found[name]) != layer.weights:
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


def _layer_of(graph: TfliteGraph, product: Product) -> str:
    """The layer that a product computes; "" if it is none.

    What the converter fused with a neighbour bears the marks of both, and equal weights are stored once, under one
    name: what the output leaves open the weights decide.
    """
    made: set[str] = set()
    for index in product.operator.outputs:
        made.update(_MARK.findall(graph.tensors[index].name))
    held: set[str] = {*_MARK.findall(product.weights.name)}
    for marks in (made, made & held, held):
        if len(marks) == 1:
            return marks.pop()
    return ""
