"""Fold a constant scale or shift of each channel into the product in front of it: layer scale, and shifts by a mean.

Needs: ``mul`` or ``add`` of a constant that varies along the channels alone, on a convolution or linear layer with
constant weights whose result nobody else uses, through permutes and reshapes that leave the channels an axis.
Guarantees: the same function, one elementwise call less.
"""

from __future__ import annotations

from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import (
    as_double,
    aten,
    axes_of,
    is_call,
    keeps_last_axis,
    only_user,
    operand,
    rank_of,
    shape_of,
)


@each_call(aten.mul.Tensor, aten.add.Tensor, done="scales and shifts folded")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Fold every such constant."""
    if len(node.args) != 2 or node.kwargs:
        return False
    source, factor = node.args if is_call(node.args[0]) else node.args[::-1]
    constant = editor.constant(factor)
    if constant is None or not is_call(source) or shape_of(source) != shape_of(node):
        return False
    product, axis = _product_of(source, rank_of(source))
    per_channel = None if product is None else _per_channel(constant, rank_of(node), axis, shape_of(node)[axis])
    if product is None or per_channel is None:
        return False
    if _is_read_elsewhere(node, source, product):
        return "others read the product"
    weights = editor.weights(product)
    if weights is None:
        return "the weights of the product are computed"
    editor.replace(product, _folded(editor, node, product, weights, per_channel))
    editor.replace(node, next(side for side in node.args if is_call(side)))
    return True


def _product_of(node: Node, rank: int) -> tuple[Node | None, int]:
    """The product behind the views ``node``, and the axis of ``node`` that is its output channels."""
    if is_call(node, aten.linear.default):
        return node, rank - 1
    if is_call(node, aten.conv2d.default):
        return (node if rank == 4 else None), 1
    if is_call(node, aten.permute.default):
        product, axis = _product_of(operand(node), rank)
        return product, axes_of(node).index(axis)
    if is_call(node, aten.reshape.default) and keeps_last_axis(node):
        product, axis = _product_of(operand(node), rank_of(operand(node)))
        return (product if axis == rank_of(operand(node)) - 1 else None), rank - 1
    return None, 0


def _per_channel(constant: Tensor, rank: int, axis: int, channels: int) -> Tensor | None:
    """``constant`` as (channels,) if it varies along ``axis`` alone, beside a tensor of ``rank`` axes."""
    if constant.dim() > rank or not constant.dtype.is_floating_point:
        return None
    full = constant.reshape((1,) * (rank - constant.dim()) + tuple(constant.shape))
    if any(size != 1 for position, size in enumerate(full.shape) if position != axis):
        return None
    return as_double(full).reshape(-1).expand(channels)


def _is_read_elsewhere(node: Node, source: Node, product: Node) -> bool:
    """Whether anyone but ``node`` reads what stands from ``product`` to ``source``."""
    user = node
    while only_user(source) is user:
        if source is product:
            return False
        user, source = source, operand(source)
    return True


def _folded(
    editor: GraphEditor, node: Node, product: Node, weights: tuple[Tensor, Tensor | None], constant: Tensor
) -> Node:
    """``product`` with the scale or shift ``constant``, (out,), of ``node`` in its weights."""
    weight, bias = as_double(weights[0]), weights[1]
    if node.target is aten.add.Tensor:
        shifted = constant if bias is None else as_double(bias) + constant
        return editor.with_weights(product, weight, shifted.clone())
    scaled = None if bias is None else as_double(bias) * constant
    return editor.with_weights(product, weight * constant.reshape(-1, *[1] * (weight.dim() - 1)), scaled)
