"""The layers with weights of a program: what quantisation is about."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, cast

from export.int8.record import LayerKind
from export.patterns import argument, shape_of
from export.program import Program, module_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule, Node

_LINEAR = ("aten.linear.default", "aten.addmm.default", "aten.mm.default", "aten.matmul.default")
_CONV = ("aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default")
_TRANSPOSED = ("aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input")
_GROUPS = {**dict.fromkeys(_CONV, 6), **dict.fromkeys(_TRANSPOSED, 6)}
_WEIGHT = {"aten.addmm.default": 2}


def layers_of(program: Program) -> Iterator[tuple[Node, LayerKind, Tensor]]:
    """Every call with constant weights that differ: the node, its kind and its weights; in order.

    A product with weights that are all alike is a mean or a sum in disguise, which has nothing to be quantised; one
    with a vector is a weighted sum, without an output channel to have a scale.
    """
    for node in program.module.graph.nodes:
        found = weights_of(program.module, node)
        if found is not None and found.dim() > 1 and found.numel() > 1 and bool((found != found.flatten()[0]).any()):
            yield node, _kind(node, found), found


def sizes_of(program: Program) -> dict[str, int]:
    """The number of weights that each layer computes with, by the name of its call, whoever has the same ones."""
    return {node.name: weight.numel() for node, _, weight in layers_of(program)}


def weights_of(module: GraphModule, node: Node) -> Tensor | None:
    """The constant weights of a product or convolution; None for any other call."""
    name = str(node.target)
    if node.op != "call_function" or name not in (*_LINEAR, *_CONV, *_TRANSPOSED):
        return None
    weight = node.args[_WEIGHT.get(name, 1)]
    if getattr(weight, "op", None) != "get_attr":
        return None
    held = module
    for part in str(cast("Node", weight).target).split("."):
        held = getattr(held, part)
    return cast("Tensor", held)


def activation_of(node: Node) -> Node:
    """What a layer reads besides its weights."""
    return cast("Node", node.args[1 if str(node.target) == "aten.addmm.default" else 0])


def work_per_element(node: Node, weight: Tensor) -> float:
    """Multiply-adds of a convolution for each element that it reads or gives; any other layer's number of weights."""
    if str(node.target) not in _CONV:
        return float(weight.numel())
    read, given = shape_of(activation_of(node)), shape_of(node)
    return weight.numel() * prod(given[2:]) / (prod(read[1:]) + prod(given[1:]))


def place_of(node: Node) -> str:
    """The module of the network that a layer came from, or the name of its call where none is known."""
    return module_of(node) or node.name


def _kind(node: Node, weights: Tensor) -> LayerKind:
    name = str(node.target)
    if name in _LINEAR:
        return LayerKind.LINEAR
    if name in _TRANSPOSED:
        return LayerKind.TRANSPOSED
    if weights.shape[1] == 1:  # of a single channel too: converters make that a depthwise convolution
        return LayerKind.DEPTHWISE
    return LayerKind.CONV if argument(node, _GROUPS[name], "groups", 1) == 1 else LayerKind.GROUPED
