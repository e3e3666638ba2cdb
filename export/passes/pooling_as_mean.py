"""Phrase the average of a whole image as a mean over its rows and columns.

Needs: ``adaptive_avg_pool2d`` to one position.
Guarantees: the same function. A view moves behind a mean but not behind a pooling, which a converter to NHWC writes as
the mean of an image that it transposes first.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, operand, pair


@each_call(aten.adaptive_avg_pool2d.default, done="averages of whole images as means")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such pooling."""
    if node.kwargs or pair(node.args[1]) != (1, 1):
        return False
    editor.replace(node, editor.call(node, aten.mean.dim, operand(node), [-2, -1], True))
    return True
