"""Phrase the mean over all positions of an image as a global pooling that keeps its axes.

Needs: ``mean`` over both spatial axes of a 4-dimensional tensor, channels last or first, or over the tokens of a
3-dimensional one.
Guarantees: the same function as ``mean`` over axes 2 and 3 of (N, C, H, W) with kept axes, then a reshape; delegates
take this form only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "mean_as_pooling"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every such mean."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.mean.dim))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} means as global pooling")


def _rewrite(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    source = cast("Node", node.args[0])
    dims, sizes = argument(node, 1, "dim"), sizes_of(node)
    if not dims or argument(node, 3, "dtype") is not None or sizes is None:
        return False
    if len(shape_of(source)) == 3 and all(axis % 3 == 1 for axis in cast("list[int]", dims)):
        # tokens (N, T, C) are an image of one column
        args = (source, [-1, shape_of(source)[1], 1, shape_of(source)[2]])
        source, dims = editor.call(aten.reshape.default, args, before=node, like=node), [1, 2]
    if len(shape_of(source)) != 4:
        return False
    axes = sorted(axis % 4 for axis in cast("list[int]", dims))
    if axes == [1, 2]:
        source = editor.call(aten.permute.default, (source, [0, 3, 1, 2]), before=node, like=node)
    elif axes != [2, 3] or argument(node, 2, "keepdim", False):
        return False
    pooled = editor.call(aten.mean.dim, (source, [2, 3], True), before=node, like=node)
    editor.replace(node, editor.call(aten.reshape.default, (pooled, sizes), before=node, like=node))
    return True
