"""Spell linear layers on channels-last images as pointwise convolutions.

Needs: ``linear`` with constant weights on a 4-dimensional tensor (N, H, W, C).
Guarantees: the same function as permute -> 1x1 ``conv2d`` -> permute; with ``sink_views`` behind it the permutes vanish
between neighbours, and a delegate that lays out convolutions itself keeps one layout throughout.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, operand, rank_of
from export.program import TO_NCHW, TO_NHWC


def rewrite(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite a linear layer on an image; False if it is none, the reason if its weights are not constant."""
    if rank_of(operand(node)) != 4 or node.kwargs:
        return False
    weight = editor.constant(node.args[1])
    if weight is None:
        return "its weights are computed"
    kernel = editor.add_constant(weight.reshape(*weight.shape, 1, 1), node, "weight")
    first = editor.permute(node, operand(node), TO_NCHW)
    conv = editor.call(node, aten.conv2d.default, first, kernel, argument(node, 2, "bias"))
    editor.replace(node, editor.permute(node, conv, TO_NHWC))
    return True


run = each_call(aten.linear.default, done="linear layers as pointwise convolutions")(rewrite)
