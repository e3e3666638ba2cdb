"""Spell pointwise convolutions as linear layers over the last axis.

Needs: ``conv2d`` with a 1x1 kernel, stride 1, no padding, groups 1.
Guarantees: the same function as permute -> ``linear`` -> permute; with ``sink_views`` behind it the permutes vanish
in a graph whose images have their channels last.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, operand, rank_of, window_of
from export.program import TO_NCHW, TO_NHWC


def rewrite(editor: GraphEditor, node: Node) -> bool:
    """Rewrite a pointwise convolution with constant weights; False if it does not fit."""
    weight = editor.constant(node.args[1])
    if weight is None or not _is_pointwise(node, tuple(weight.shape[2:])):
        return False
    matrix = editor.add_constant(weight.reshape(weight.shape[:2]), node, "weight")
    last = editor.permute(node, operand(node), TO_NHWC)
    linear = editor.call(node, aten.linear.default, last, matrix, argument(node, 2, "bias"))
    editor.replace(node, editor.permute(node, linear, TO_NCHW))
    return True


run = each_call(aten.conv2d.default, done="pointwise convolutions as linear layers")(rewrite)


def _is_pointwise(node: Node, kernel: tuple[int, ...]) -> bool:
    window = window_of(node)
    return (
        rank_of(node) == 4
        and kernel == (1, 1)
        and window.groups == 1
        and window.stride == (1, 1)
        and window.padding == (0, 0)
        and not node.kwargs
    )
