"""Activations, norms and products in plain arithmetic.

Each function takes a call and gives the node that stands for it; None for a call that may stay.
"""

from __future__ import annotations

import math

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor
from export.patterns import argument, aten, ints, is_number, operand, rank_of, shape_of, sizes_of, value_of

MOST_AXES = 4  # of a power in TFLite: its converter refuses five


def rms_norm(editor: GraphEditor, node: Node) -> Node:
    """Divide by the root of the mean square."""
    source = operand(node)
    rank = rank_of(source)
    axes = list(range(rank - len(ints(node.args[1])), rank))
    eps = argument(node, 3, "eps")
    square = editor.call(node, aten.mul.Tensor, source, source)
    mean = editor.call(node, aten.mean.dim, square, axes, True)
    eps = torch.finfo(value_of(node).dtype).eps if eps is None else eps  # torch's own default
    scale = editor.call(node, aten.rsqrt.default, editor.call(node, aten.add.Tensor, mean, eps))
    new = editor.call(node, aten.mul.Tensor, source, scale)
    weight = argument(node, 2, "weight")
    return new if weight is None else editor.call(node, aten.mul.Tensor, new, weight)


def group_norm(editor: GraphEditor, node: Node) -> Node:
    """Normalise rows: one a group."""
    (groups,), (eps,) = ints(node.args[1]), (argument(node, 4, "eps", 1e-5),)
    return _norm_of_rows(editor, node, groups, eps, argument(node, 2, "weight"), argument(node, 3, "bias"))


def instance_norm(editor: GraphEditor, node: Node) -> Node | None:
    """Normalise rows: one a channel. With statistics of the training it is a batch norm, and stays."""
    if not node.args[5]:
        return None
    return _norm_of_rows(editor, node, shape_of(node)[1], node.args[7], node.args[1], node.args[2])


def _norm_of_rows(editor: GraphEditor, node: Node, groups: int, eps: object, weight: object, bias: object) -> Node:
    sizes = shape_of(node)[1:]
    length = torch.Size(sizes).numel() // groups
    rows = editor.reshape(node, operand(node), [-1, groups, length])
    # a mean that is a little off is as much as a flat channel has: taken away twice, nothing of it is left
    rows = editor.call(node, aten.sub.Tensor, rows, editor.call(node, aten.mean.dim, rows, [-1], True))
    rows = editor.call(node, aten.layer_norm.default, rows, [length], None, None, eps)
    new = editor.reshape(node, rows, [-1, *sizes])
    for target, given in ((aten.mul.Tensor, weight), (aten.add.Tensor, bias)):
        if isinstance(given, Node):
            column = editor.reshape(node, given, [sizes[0], *[1] * (len(sizes) - 1)])
            new = editor.call(node, target, new, column)
    return new


def threshold(editor: GraphEditor, node: Node) -> Node:
    """Put the value where the input is not above the threshold."""
    below = editor.call(node, aten.le.Scalar, operand(node), node.args[1])
    return editor.call(node, aten.masked_fill.Scalar, operand(node), below, node.args[2])


def rrelu(editor: GraphEditor, node: Node) -> Node | None:
    """A leaky ReLU with the mean slope, which is what it is when it is not trained."""
    lower, upper = argument(node, 1, "lower", 1 / 8), argument(node, 2, "upper", 1 / 3)
    if not is_number(lower) or not is_number(upper) or argument(node, 3, "training", False):
        return None
    return editor.call(node, aten.leaky_relu.default, operand(node), (lower + upper) / 2)


def gelu_by_tanh(editor: GraphEditor, node: Node) -> Node | None:
    """As x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x^3)): (1 + tanh(u)) / 2 is the sigmoid of 2 u."""
    if argument(node, 1, "approximate", "none") != "tanh":
        return None
    source, scale = operand(node), 2 * math.sqrt(2 / math.pi)
    square = editor.call(node, aten.mul.Tensor, source, source)
    cubic = editor.call(node, aten.add.Tensor, editor.call(node, aten.mul.Tensor, square, 0.044715 * scale), scale)
    share = editor.call(node, aten.sigmoid.default, editor.call(node, aten.mul.Tensor, cubic, source))
    return editor.call(node, aten.mul.Tensor, source, share)


def power_of_few_axes(editor: GraphEditor, node: Node) -> Node | None:
    """A power of more axes than ``MOST_AXES``, over two."""
    sizes = sizes_of(node)
    if rank_of(node) <= MOST_AXES or sizes is None:
        return None
    flat = editor.reshape(node, operand(node), [-1, sizes[-1]])
    return editor.reshape(node, editor.call(node, aten.pow.Tensor_Scalar, flat, node.args[1]), sizes)


def bilinear(editor: GraphEditor, node: Node) -> Node | str:
    """As a linear layer of the first input, and its products with the second."""
    weight, sizes = editor.constant(node.args[2]), sizes_of(node)
    if weight is None or sizes is None:
        return "its weight is computed, or a size is free"
    outputs, inputs, others = weight.shape
    rows = editor.add_constant(weight.permute(0, 2, 1).reshape(outputs * others, inputs), node, "weight")
    mixed = editor.reshape(node, editor.call(node, aten.linear.default, operand(node), rows), [*sizes, others])
    other = editor.call(node, aten.unsqueeze.default, operand(node, 1), -2)
    new = editor.call(node, aten.sum.dim_IntList, editor.call(node, aten.mul.Tensor, mixed, other), [-1])
    bias = argument(node, 3, "bias")
    return new if bias is None else editor.call(node, aten.add.Tensor, new, bias)


def pairwise_distance(editor: GraphEditor, node: Node) -> Node:
    """The norm of the difference, to which torch adds a little."""
    power, little = argument(node, 2, "p", 2), argument(node, 3, "eps", 1e-6)
    difference = editor.call(node, aten.sub.Tensor, operand(node), operand(node, 1))
    difference = editor.call(node, aten.add.Tensor, difference, little)
    return editor.call(
        node, aten.linalg_vector_norm.default, difference, power, [-1], argument(node, 4, "keepdim", False)
    )


def distances(editor: GraphEditor, node: Node) -> Node:
    """The norms of the differences of each row and each other row."""
    rows = editor.call(node, aten.unsqueeze.default, operand(node), -2)
    others = editor.call(node, aten.unsqueeze.default, operand(node, 1), -3)
    difference = editor.call(node, aten.sub.Tensor, rows, others)
    return editor.call(node, aten.linalg_vector_norm.default, difference, argument(node, 2, "p", 2), [-1])
