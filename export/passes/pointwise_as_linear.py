"""Spell pointwise convolutions as linear layers over the last axis.

Needs: ``conv2d`` with a 1x1 kernel, stride 1, no padding, groups 1.
Guarantees: the same function as permute -> ``linear`` -> permute; with ``sink_views`` behind it the permutes vanish
in a graph whose images have their channels last.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, operand, rank_of, shape_of, window_of
from export.program import TO_NCHW, TO_NHWC


def rewrite(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite a pointwise convolution; False if it is none, the reason if its weights are not constant."""
    if not _is_pointwise(node, shape_of(operand(node, 1))[2:]):
        return False
    weight = editor.constant(node.args[1])
    if weight is None:
        return "its weights are computed"
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
