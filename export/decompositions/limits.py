"""Limits and greatest values in the form that XNNPACK runs.

Each function takes a call and gives the node that stands for it; None for a call that may stay.
"""

from __future__ import annotations

import math
import operator

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor
from export.patterns import argument, aten, ints, is_call, is_number, operand, rank_of, value_of

_CLAMPS = (
    aten.clamp.default,
    aten.clamp_min.default,
    aten.clamp_max.default,
    aten.hardtanh.default,
    aten.relu.default,
    aten.relu6.default,
)
_WINDOWED = (
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv_transpose2d.input,
    aten.convolution.default,
    aten.batch_norm.default,  # which XNNPACK folds into a convolution before it
    aten.max_pool2d.default,
)


def limits_without_zero(editor: GraphEditor, node: Node) -> Node | None:
    """Limits that 0 is not between, behind a convolution or a maximum: XNNPACK joins the two, and cannot run that."""
    low, high = _limits(node)
    if not (low is not None and low > 0) and not (high is not None and high < 0):
        return None
    before = operand(node)
    while is_call(before, *_CLAMPS):
        before = operand(before)
    if not is_call(before, *_WINDOWED):
        return None
    new = operand(node)
    for target, limit in ((aten.maximum.default, low), (aten.minimum.default, high)):
        if limit is not None and math.isfinite(limit):
            value = torch.full([1] * rank_of(node), limit, dtype=value_of(node).dtype)
            new = editor.call(node, target, new, editor.add_constant(value, node, "limit"))
    return new


def _limits(clamp: Node) -> tuple[float | None, float | None]:
    """The lower and upper limit of a call of ``_CLAMPS``; None where there is none or it is no number."""
    low, high = argument(clamp, 1, "min"), argument(clamp, 2, "max")
    if clamp.target is aten.clamp_max.default:
        low, high = None, argument(clamp, 1, "max")
    elif clamp.target is aten.hardtanh.default:
        low, high = argument(clamp, 1, "min_val", -1), argument(clamp, 2, "max_val", 1)
    return low if is_number(low) else None, high if is_number(high) else None


def values_of_maximum(editor: GraphEditor, node: Node) -> Node | None:
    """The greatest or least values along an axis, where nobody asks for their places."""
    if any(user.target is not operator.getitem or user.args[1] != 0 for user in node.users if user.users):
        return None
    target = aten.amax.default if node.target is aten.max.dim else aten.amin.default
    return editor.call(node, target, operand(node), list(ints(node.args[1])), argument(node, 2, "keepdim", False))


def pool_with_stride(editor: GraphEditor, node: Node) -> Node | None:
    """A pooling whose stride is said: XNNPACK's partitioner reads it without looking whether it is there."""
    if len(node.args) > 2 and node.args[2]:
        return None
    size = list(ints(node.args[1]))
    return editor.repeat(node, operand(node), size, size, *node.args[3:])
