"""Phrase the mean over all positions of an image as a global pooling that keeps its axes.

Needs: ``mean`` over both spatial axes of a 4-dimensional tensor, channels last or first, or over the tokens of a
3-dimensional one.
Guarantees: the same function as ``mean`` over axes 2 and 3 of (N, C, H, W) with kept axes, then a reshape; delegates
take this form only.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, mean_axes, operand, rank_of, shape_of, sizes_of
from export.program import TO_NCHW


@each_call(aten.mean.dim, done="means as global pooling")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such mean."""
    source = operand(node)
    axes, sizes = mean_axes(node), sizes_of(node)
    if axes is None or sizes is None:
        return False
    if rank_of(source) == 3 and set(axes) == {1}:
        # tokens (N, T, C) are an image of one column
        _, tokens, channels = shape_of(source)
        source, axes = editor.reshape(node, source, [-1, tokens, 1, channels]), [1, 2]
    if rank_of(source) != 4:
        return False
    if sorted(axes) == [1, 2]:
        source = editor.permute(node, source, TO_NCHW)
    elif sorted(axes) != [2, 3] or argument(node, 2, "keepdim", False):
        return False
    pooled = editor.call(node, aten.mean.dim, source, [2, 3], True)
    editor.replace(node, editor.reshape(node, pooled, sizes))
    return True
