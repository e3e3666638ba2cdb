"""Take parts of a tensor as slices.

Needs: ``split``, ``split_with_sizes`` or ``chunk`` whose parts are taken one by one; ``select`` by a constant index.
Guarantees: the same values as ``slice``, for ``select`` with a ``reshape`` behind it that drops the axis. Delegates
take a slice where they leave the others outside.
"""

from __future__ import annotations

import operator
from itertools import accumulate

from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, axis_of, ints, is_call, operand, shape_of, sizes_of

SPLITS = (aten.split.Tensor, aten.split.sizes, aten.split_with_sizes.default, aten.chunk.default)


@each_call(*SPLITS, aten.select.int, done="parts as slices")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every call that takes parts."""
    return _select(editor, node) if node.target is aten.select.int else _split(editor, node)


def _select(editor: GraphEditor, node: Node) -> bool:
    axis, sizes = axis_of(node), sizes_of(node)
    size = shape_of(operand(node))[axis]
    if sizes is None or not are_fixed([size, node.args[2]]):
        return False
    index = ints(node.args[2])[0] % size
    part = editor.call(node, aten.slice.Tensor, operand(node), axis, index, index + 1)
    editor.replace(node, editor.reshape(node, part, sizes))
    return True


def _split(editor: GraphEditor, node: Node) -> bool:
    if not all(is_call(user, operator.getitem) for user in node.users):
        return False
    (axis,) = ints(argument(node, 2, "dim", 0))
    axis %= len(shape_of(operand(node)))
    parts = node.meta["val"]
    sizes = [part.shape[axis] for part in parts if isinstance(part, Tensor)]
    if not are_fixed(sizes):
        return False
    ends = list(accumulate(sizes))
    for user in list(node.users):
        index = ints(user.args[1])[0] % len(sizes)
        start = ends[index] - sizes[index]
        editor.replace(user, editor.call(user, aten.slice.Tensor, operand(node), axis, start, ends[index], like=node))
    editor.graph.erase_node(node)
    return True
