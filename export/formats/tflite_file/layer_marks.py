"""Which operators of a file a layer of the program became: told by marks in the names of its tensors.

The converter names a tensor after the module that it came from. Several layers may share a module, so each layer's own
call stands behind it while an int8 file is made: ``stem/0/!conv2d_3!;2``. ``without_marks`` takes that out again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from export.formats.tflite_file.read import module_path
from export.program import module_of

if TYPE_CHECKING:
    from torch.fx import Node

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


def marked_products(
    graph: TfliteGraph, sizes: Mapping[str, int], answers: Mapping[int, Set[str]] = MappingProxyType({})
) -> dict[str, list[Product]]:
    """The products of each layer, by the name of its call.

    A layer whose weights are not all in the products that bear its mark, or not only they, has none. The converter
    stores equal weights once and makes equal side calls once (a bias in another shape), so that a product of a shared
    module may bear the marks of several calls: those of them that have all their weights elsewhere it is not.

    Args:
        graph: With marks in its names.
        sizes: The number of weights that each layer computes with, whoever shares them.
        answers: By the tensor of an output, whose name says nothing, the layers that may have made it.
    """
    found: dict[str, list[Product]] = {name: [] for name in sizes}
    candidates = {
        place: (product, _made(graph, product, answers) & found.keys() or _held(product) & found.keys())
        for place, product in enumerate(products(graph))
    }
    while settled := _settled(candidates):
        for place, name in settled.items():
            product, _ = candidates.pop(place)
            found[name].append(product)
        whole = {name for name, size in sizes.items() if weights_of(found[name]) >= size}
        candidates = {
            place: (product, names - whole if len(names) > 1 else names)
            for place, (product, names) in candidates.items()
        }
    for name, size in sizes.items():
        if weights_of(found[name]) != size:
            found[name] = []
    return found


def layers_behind(node: Node, layers: Iterable[str]) -> set[str]:
    """Those of ``layers`` whose results reach ``node`` with no other of them in between."""
    stops, found, seen, left = frozenset(layers), set[str](), {node}, [node]
    while left:
        one = left.pop()
        if one.name in stops:
            found.add(one.name)
            continue
        left += [source for source in one.all_input_nodes if source not in seen]
        seen.update(one.all_input_nodes)
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


def _settled(candidates: Mapping[int, tuple[Product, Set[str]]]) -> dict[int, str]:
    """The products with one candidate each; where there are none, those that their weights tell."""
    alone = {place: next(iter(names)) for place, (_, names) in candidates.items() if len(names) == 1}
    if alone:
        return alone
    told = {place: names & _held(product) for place, (product, names) in candidates.items()}
    return {place: next(iter(names)) for place, names in told.items() if len(names) == 1}


def _made(graph: TfliteGraph, product: Product, answers: Mapping[int, Set[str]]) -> Set[str]:
    """The marks of what a product gives: its own, and those of what the converter fused with it."""
    made: set[str] = set()
    for index in product.operator.outputs:
        made |= {*_MARK.findall(graph.tensors[index].name)} or answers.get(index, set())
    return made


def _held(product: Product) -> Set[str]:
    return set(_MARK.findall(product.weights.name))


def weights_of(products: Iterable[Product]) -> int:
    """The number of weights that ``products`` work with; what the converter computes twice has one tensor for both."""
    sizes = {product.operator.inputs[_WEIGHTS_AT]: math.prod(product.weights.shape) for product in products}
    return sum(sizes.values())
