"""Exponentials, logarithms and angles in forms that hold for arguments of any size.

Each function takes a call and gives the node that stands for it; None for a call that may stay.
"""

from __future__ import annotations

import math

from torch.fx import Node

from export.graph_editor import GraphEditor
from export.patterns import argument, aten, is_number, operand

_BETA, _THRESHOLD = 1, 20  # torch's own defaults, which is all that ONNX Softplus has
_SMALL = 0.25  # below it 1 + x loses two bits of x or more
_ODD = (1, 3, 5, 7, 9, 11)  # divisors of the series of artanh: what is left out is 5e-12 of it where x is _SMALL
_SUM, _MEAN = 2, 1  # torch's numbers for how a loss is reduced


def log_sigmoid(editor: GraphEditor, node: Node) -> Node:
    """As -softplus(-x): the logarithm of a sigmoid is -inf where that is 0, below -88."""
    turned = editor.call(node, aten.neg.default, operand(node))
    return editor.call(node, aten.neg.default, editor.call(node, aten.softplus.default, turned))


def softplus(editor: GraphEditor, node: Node) -> Node | None:
    """A softplus of another slope or threshold: above the threshold it is the input itself."""
    beta, threshold = argument(node, 1, "beta", _BETA), argument(node, 2, "threshold", _THRESHOLD)
    if not is_number(beta) or not is_number(threshold) or (beta, threshold) == (_BETA, _THRESHOLD):
        return None
    steep = editor.call(node, aten.mul.Tensor, operand(node), beta)
    soft = editor.call(node, aten.div.Tensor, editor.call(node, aten.softplus.default, steep), beta)
    above = editor.call(node, aten.gt.Scalar, steep, threshold)
    return editor.call(node, aten.where.self, above, operand(node), soft)


def cross_entropy_with_logits(editor: GraphEditor, node: Node) -> Node:
    """As (1 - t) x + w softplus(-x), where w is 1 + (pos_weight - 1) t; as torch computes it."""
    logits, target = operand(node), operand(node, 1)
    turned = editor.call(node, aten.neg.default, logits)
    share = editor.call(node, aten.softplus.default, turned)
    positive = argument(node, 3, "pos_weight")
    if positive is not None:
        more = editor.call(node, aten.mul.Tensor, editor.call(node, aten.sub.Tensor, positive, 1), target)
        share = editor.call(node, aten.mul.Tensor, share, editor.call(node, aten.add.Tensor, more, 1))
    rest = editor.call(node, aten.mul.Tensor, editor.call(node, aten.rsub.Scalar, target, 1), logits)
    loss = editor.call(node, aten.add.Tensor, rest, share)
    weight = argument(node, 2, "weight")
    if weight is not None:
        loss = editor.call(node, aten.mul.Tensor, loss, weight)
    reduction = argument(node, 4, "reduction", _MEAN)
    if reduction == _MEAN:
        return editor.call(node, aten.mean.default, loss)
    return editor.call(node, aten.sum.default, loss) if reduction == _SUM else loss


def log1p(editor: GraphEditor, node: Node) -> Node:
    """Near 0 as 2 artanh(x / (2 + x)) in its series, which keeps the digits of a small x; else as log(1 + x)."""
    source = operand(node)
    share = editor.call(node, aten.div.Tensor, source, editor.call(node, aten.add.Tensor, source, 2))
    square = editor.call(node, aten.mul.Tensor, share, share)
    series = editor.call(node, aten.mul.Tensor, square, 2 / _ODD[-1])
    for divisor in reversed(_ODD[:-1]):
        series = editor.call(node, aten.add.Tensor, series, 2 / divisor)
        if divisor != 1:
            series = editor.call(node, aten.mul.Tensor, series, square)
    near = editor.call(node, aten.mul.Tensor, share, series)
    far = editor.call(node, aten.log.default, editor.call(node, aten.add.Tensor, source, 1))
    return editor.call(node, aten.where.self, _is_small(editor, node), near, far)


def expm1(editor: GraphEditor, node: Node) -> Node:
    """Near 0 as 2 t / (1 - t) with t = tanh(x / 2), which keeps the digits of a small x; else as exp(x) - 1."""
    source = operand(node)
    half = editor.call(node, aten.tanh.default, editor.call(node, aten.mul.Tensor, source, 0.5))
    rest = editor.call(node, aten.rsub.Scalar, half, 1)
    near = editor.call(node, aten.div.Tensor, editor.call(node, aten.mul.Tensor, half, 2), rest)
    far = editor.call(node, aten.sub.Tensor, editor.call(node, aten.exp.default, source), 1)
    return editor.call(node, aten.where.self, _is_small(editor, node), near, far)


def _is_small(editor: GraphEditor, node: Node) -> Node:
    return editor.call(node, aten.lt.Scalar, editor.call(node, aten.abs.default, operand(node)), _SMALL)


def atan2(editor: GraphEditor, node: Node) -> Node:
    """The angle of (x, y), whose zeros have signs."""
    y, x = operand(node), operand(node, 1)
    slope = editor.call(node, aten.atan.default, editor.call(node, aten.div.Tensor, y, x))
    right = editor.call(node, aten.where.self, editor.call(node, aten.eq.Scalar, y, 0), y, slope)
    turned = [editor.call(node, aten.add.Tensor, right, turn) for turn in (-math.pi, math.pi)]
    left = editor.call(node, aten.where.self, _is_negative(editor, node, y), *turned)
    return editor.call(node, aten.where.self, _is_negative(editor, node, x), left, right)


def _is_negative(editor: GraphEditor, node: Node, source: Node) -> Node:
    """Where ``source`` is below 0 or is -0."""
    below = editor.call(node, aten.lt.Scalar, source, 0)
    inverse = editor.call(node, aten.reciprocal.default, source)
    return editor.call(node, aten.logical_or.default, below, editor.call(node, aten.lt.Scalar, inverse, 0))
