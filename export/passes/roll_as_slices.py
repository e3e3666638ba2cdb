"""Phrase the cyclic shift of an axis as the concatenation of its two parts.

Needs: ``roll`` along named axes of fixed sizes.
Guarantees: the same values. Converters gather by computed indices, which no delegate takes.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, ints, operand, rank_of, shape_of


@each_call(aten.roll.default, done="cyclic shifts as slices")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every cyclic shift."""
    shifts, axes = ints(node.args[1]), ints(argument(node, 2, "dims", []))
    source = operand(node)
    shape = shape_of(source)
    if not axes:
        return "it shifts all axes as one"
    if not are_fixed(shape[axis] for axis in axes) or 0 in shape:
        return "its sizes are free"
    for shift, axis in zip(shifts, (axis % rank_of(node) for axis in axes), strict=True):
        size = shape[axis]
        start = -shift % size
        if start:
            back = editor.call(node, aten.slice.Tensor, source, axis, start, size)
            front = editor.call(node, aten.slice.Tensor, source, axis, 0, start)
            source = editor.call(node, aten.cat.default, [back, front], axis)
    editor.replace(node, source)
    return True
