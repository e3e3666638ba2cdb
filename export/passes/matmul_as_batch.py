"""Phrase the matrix products of attention with one batch axis.

Needs: ``matmul`` of two tensors of the same rank of at least 3 whose leading axes are equal, or 1 on one side.
Guarantees: the same function as ``bmm`` on (N * heads, rows, columns), where an axis of 1 has been written out with
``expand``; a converter has no axes to expand any more.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, aten, operand, shape_of, sizes_of


@each_call(aten.matmul.default, done="products with one batch axis")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such product."""
    sides, sizes = (operand(node, 0), operand(node, 1)), sizes_of(node)
    left, right = map(shape_of, sides)
    if len(left) < 3 or len(left) != len(right):
        return False
    if sizes is None or not are_fixed((*left, *right)):
        return "its sizes are free"
    leading = shape_of(node)[:-2]
    matrices = [_as_batch(editor, node, side, leading) for side in sides]
    product = editor.call(node, aten.bmm.default, *matrices)
    editor.replace(node, product if len(left) == 3 else editor.reshape(node, product, sizes))
    return True


def _as_batch(editor: GraphEditor, node: Node, side: Node, leading: tuple[int, ...]) -> Node:
    """The matrices of ``side`` behind each other, with the axes ``leading`` in front of them written out."""
    matrix = shape_of(side)[-2:]
    if shape_of(side)[:-2] != leading:
        side = editor.call(node, aten.expand.default, side, [*leading, *matrix])
    return side if len(leading) == 1 else editor.reshape(node, side, [-1, *matrix])
