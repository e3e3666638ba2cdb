"""Take the sums of a product over many tokens in parts.

Needs: ``matmul`` or ``bmm`` of two computed tensors of the same rank that sums over more than ``MAX_TERMS`` terms.
Guarantees: the same function as the sum of products of slices. A runtime that adds all terms to one accumulator, one
after another, drifts with their number where they are alike (attention over a blank image: 2500 equal values, 8 times
the error of a blocked sum); in parts the drift stays that of ``MAX_TERMS`` terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, has_tensor, shape_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "long_sums_in_parts"
MAX_TERMS = 512


def run(editor: GraphEditor) -> PassLog:
    """Split every such product."""
    import torch

    aten = torch.ops.aten
    parts = [count for node in editor.nodes(aten.matmul.default, aten.bmm.default) if (count := _split(editor, node))]
    return PassLog(name=NAME, rewrites=len(parts), detail=f"{len(parts)} products as sums of {sum(parts)}")


def _split(editor: GraphEditor, node: Node) -> int:
    """Split one product; the number of its parts, 0 if it is short enough."""
    import torch

    aten = torch.ops.aten
    if node.kwargs or not all(has_tensor(arg) and editor.constant(arg) is None for arg in node.args):
        return 0
    left, right = (cast("Node", arg) for arg in node.args)
    rank, terms = len(shape_of(left)), shape_of(left)[-1]
    if rank < 2 or rank != len(shape_of(right)) or not isinstance(terms, int) or terms <= MAX_TERMS:
        return 0
    count = -(-terms // MAX_TERMS)
    size = -(-terms // count)

    def call(target: object, *args: object) -> Node:
        return editor.call(target, args, before=node, like=node)  # type: ignore[arg-type]

    total: Node | None = None
    for start in range(0, terms, size):
        end = min(start + size, terms)
        part = call(
            node.target,
            call(aten.slice.Tensor, left, rank - 1, start, end),
            call(aten.slice.Tensor, right, rank - 2, start, end),
        )
        total = part if total is None else call(aten.add.Tensor, total, part)
    editor.replace(node, cast("Node", total))
    return count
