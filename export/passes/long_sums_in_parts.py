"""Take the sums of a product over many tokens in parts.

Needs: ``matmul`` or ``bmm`` of two computed tensors of the same rank that sums over more than ``MAX_TERMS`` terms.
Guarantees: the same function as the sum of products of slices. A runtime that adds all terms to one accumulator, one
after another, drifts with their number where they are alike (attention over a blank image: 2500 equal values, 8 times
the error of a blocked sum); in parts the drift stays that of ``MAX_TERMS`` terms.
"""

from __future__ import annotations

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals
from export.patterns import are_fixed, aten, has_tensor, operand, rank_of, shape_of

MAX_TERMS = 512
"""Measured on features at 800x800, 2500 terms: 8.4 yardsticks whole (the limit is 8), 2.1 at most in parts of 500."""


def run(editor: GraphEditor) -> PassLog:
    """Split every such product."""
    parts, refusals = [], Refusals()
    for node in editor.nodes(aten.matmul.default, aten.bmm.default):
        outcome = _split(editor, node)
        if isinstance(outcome, str):
            refusals.add(node, outcome)
        elif outcome:
            parts.append(outcome)
    detail = f"{len(parts)} products as sums of {sum(parts)}"
    return PassLog(name="long_sums_in_parts", rewrites=len(parts), detail=detail, refused=refusals.rows())


def _split(editor: GraphEditor, node: Node) -> int | str:
    """Split one product; the number of its parts, 0 if it is short enough, or why a long one stays whole."""
    if node.kwargs or not all(has_tensor(arg) and editor.constant(arg) is None for arg in node.args):
        return 0
    left, right = operand(node, 0), operand(node, 1)
    rank, terms = rank_of(left), shape_of(left)[-1]
    if not are_fixed([terms]) or terms <= MAX_TERMS:
        return 0
    if rank < 2 or rank != rank_of(right):
        return "its operands have unlike numbers of axes"
    count = -(-terms // MAX_TERMS)
    size = -(-terms // count)
    total: Node | None = None
    for start in range(0, terms, size):
        end = min(start + size, terms)
        columns = editor.call(node, aten.slice.Tensor, left, rank - 1, start, end)
        rows = editor.call(node, aten.slice.Tensor, right, rank - 2, start, end)
        part = editor.repeat(node, columns, rows)
        total = part if total is None else editor.call(node, aten.add.Tensor, total, part)
    assert total is not None
    editor.replace(node, total)
    return count
