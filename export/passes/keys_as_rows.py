"""Phrase a product with a transposed side as the runtime's product that transposes it itself.

Needs: ``matmul`` of two tensors of one rank of at least 3 with equal, fixed leading axes, whose right side is a
``permute`` that only it reads and that moves the last axis of its source in front of the last: the key of attention.
Guarantees: the same function as ``bmm`` on (leading, rows, columns), with a transposition of the last two axes
directly in front of the right side, which a converter writes as a flag of the product. What is left of the permutation
moves whole rows, or nothing.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, aten, axes_of, is_call, only_user, operand, shape_of, sizes_of


@each_call(aten.matmul.default, done="transpositions left to the product")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such product."""
    left, right = operand(node, 0), operand(node, 1)
    shapes, sizes = (shape_of(left), shape_of(right)), sizes_of(node)
    if len(shapes[0]) < 3 or sizes is None or not are_fixed((*shapes[0], *shapes[1])):
        return False
    if shapes[0][:-2] != shapes[1][:-2] or not is_call(right, aten.permute.default) or only_user(right) is not node:
        return False
    *leading, contracted, columns = axes_of(right)
    if contracted != len(leading) + 1:
        return False
    rows = operand(right)
    if (order := [*leading, columns, contracted]) != sorted(order):
        rows = editor.permute(node, rows, order, like=right)
    key = editor.reshape(node, rows, [-1, *shape_of(rows)[-2:]])
    query = editor.reshape(node, left, [-1, *shapes[0][-2:]])
    product = editor.call(node, aten.bmm.default, query, editor.permute(node, key, (0, 2, 1), like=right))
    editor.replace(node, editor.reshape(node, product, sizes))
    return True
