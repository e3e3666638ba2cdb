"""Spell linear layers on channels-last images as pointwise convolutions.

Needs: ``linear`` with constant weights on a 4-dimensional tensor (N, H, W, C).
Guarantees: the same function as permute -> 1x1 ``conv2d`` -> permute; with ``sink_views`` behind it the permutes vanish
between neighbours, and a delegate that lays out convolutions itself keeps one layout throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, shape_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "linear_as_pointwise"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every such linear layer."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.linear.default))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} linear layers as pointwise convolutions")


def _rewrite(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    weight = editor.constant(node.args[1])
    if weight is None or len(shape_of(cast("Node", node.args[0]))) != 4 or node.kwargs:
        return False
    kernel = editor.add_constant(weight.reshape(*weight.shape, 1, 1), node, "weight")
    first = editor.call(aten.permute.default, (node.args[0], [0, 3, 1, 2]), before=node, like=node)
    args = (first, kernel, argument(node, 2, "bias"))
    conv = editor.call(aten.conv2d.default, args, before=node, like=node)
    editor.replace(node, editor.call(aten.permute.default, (conv, [0, 2, 3, 1]), before=node, like=node))
    return True
