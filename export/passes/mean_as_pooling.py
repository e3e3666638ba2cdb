"""Phrase the mean over neighbouring axes as a global pooling that keeps its axes.

Needs: ``mean`` over both spatial axes of a 4-dimensional tensor, channels last or first, or over neighbouring axes
behind the batch of any other (the tokens of a 3-dimensional one), but not over the last axis alone.
Guarantees: the same function as ``mean`` over axes 2 and 3 of (N, C, H, W) with kept axes, then a reshape; delegates
take this form only.
"""

from __future__ import annotations

import math

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, mean_axes, operand, rank_of, shape_of, sizes_of
from export.program import TO_NCHW


@each_call(aten.mean.dim, done="means as global pooling")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such mean."""
    source = operand(node)
    axes, sizes = mean_axes(node), sizes_of(node)
    if axes is None or sizes is None:
        return False
    axes, shape = sorted(axes), shape_of(source)
    if rank_of(source) == 4 and axes == [2, 3]:
        if argument(node, 2, "keepdim", False):
            return False
    elif rank_of(source) == 4 and axes == [1, 2]:
        source = editor.permute(node, source, TO_NCHW)
    elif _are_tokens(axes, rank_of(source)) and are_fixed(shape[1:]):
        # whatever stands in front counts as a batch, and what is averaged as an image of one column
        count, inner = math.prod(shape[axis] for axis in axes), math.prod(shape[axes[-1] + 1 :])
        image = editor.reshape(node, source, [-1, count, 1, inner])
        source = editor.permute(node, image, TO_NCHW)
    else:
        return False
    pooled = editor.call(node, aten.mean.dim, source, [2, 3], True)
    editor.replace(node, editor.reshape(node, pooled, sizes))
    return True


def _are_tokens(axes: list[int], rank: int) -> bool:
    """Whether the sorted ``axes`` are neighbours behind the batch, and not the last axis alone."""
    return axes[0] > 0 and axes == list(range(axes[0], axes[-1] + 1)) and axes != [rank - 1]
