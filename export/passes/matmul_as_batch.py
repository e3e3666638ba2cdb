"""Phrase the matrix products of attention with one batch axis.

Needs: ``matmul`` of two tensors of the same rank of at least 4 with equal leading axes.
Guarantees: the same function as ``bmm`` on (N * heads, rows, columns); a converter has no axes to expand any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "matmul_as_batch"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every such product."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.matmul.default))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} products with one batch axis")


def _rewrite(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    shapes = [shape_of(cast("Node", side)) for side in node.args]
    if len(shapes[0]) < 4 or shapes[0][:-2] != shapes[1][:-2] or sizes_of(node) is None:
        return False
    sides = []
    for side, shape in zip(node.args, shapes, strict=True):
        args = (side, [-1, *shape[-2:]])
        sides.append(editor.call(aten.reshape.default, args, before=node, like=node))
    product = editor.call(aten.bmm.default, tuple(sides), before=node, like=node)
    editor.replace(node, editor.call(aten.reshape.default, (product, sizes_of(node)), before=node, like=node))
    return True
