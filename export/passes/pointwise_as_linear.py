"""Spell pointwise convolutions as linear layers over the last axis.

Needs: ``conv2d`` with a 1x1 kernel, stride 1, no padding, groups 1.
Guarantees: the same function as permute -> ``linear`` -> permute; with ``sink_views`` behind it the permutes vanish
in a graph whose images have their channels last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, shape_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "pointwise_as_linear"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every pointwise convolution with constant weights."""
    import torch

    found = sum(rewrite(editor, node) for node in editor.nodes(torch.ops.aten.conv2d.default))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} pointwise convolutions as linear layers")


def rewrite(editor: GraphEditor, node: Node) -> bool:
    """Rewrite one convolution; False if it does not fit."""
    import torch

    aten = torch.ops.aten
    weight = editor.constant(node.args[1])
    if weight is None or not _is_pointwise(node, tuple(weight.shape)):
        return False
    matrix = editor.add_constant(weight.reshape(weight.shape[:2]), node, "weight")
    last = editor.call(aten.permute.default, (node.args[0], [0, 2, 3, 1]), before=node, like=node)
    args = (last, matrix, argument(node, 2, "bias"))
    linear = editor.call(aten.linear.default, args, before=node, like=node)
    editor.replace(node, editor.call(aten.permute.default, (linear, [0, 3, 1, 2]), before=node, like=node))
    return True


def _is_pointwise(node: Node, weight: tuple[int, ...]) -> bool:
    def all_are(index: int, name: str, default: int) -> bool:
        value = argument(node, index, name, default)
        return all(size == default for size in ([value] if isinstance(value, int) else cast("list[int]", value)))

    return (
        len(shape_of(node)) == 4
        and weight[2:] == (1, 1)
        and argument(node, 6, "groups", 1) == 1
        and all_are(3, "stride", 1)
        and all_are(4, "padding", 0)
        and not node.kwargs
    )
