"""Phrase the matrix products of attention with one batch axis.

Needs: ``matmul`` of two tensors of the same rank of at least 4 with equal leading axes.
Guarantees: the same function as ``bmm`` on (N * heads, rows, columns); a converter has no axes to expand any more.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, operand, shape_of, sizes_of


@each_call(aten.matmul.default, done="products with one batch axis")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such product."""
    sides, sizes = (operand(node, 0), operand(node, 1)), sizes_of(node)
    left, right = map(shape_of, sides)
    if len(left) < 4:
        return False
    if left[:-2] != right[:-2] or sizes is None:
        return "its operands have unlike leading axes"
    matrices = [editor.reshape(node, side, [-1, *shape_of(side)[-2:]]) for side in sides]
    product = editor.call(node, aten.bmm.default, *matrices)
    editor.replace(node, editor.reshape(node, product, sizes))
    return True
