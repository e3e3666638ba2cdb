"""Take linear layers and layer normalisation of images one position wide on the rows of a matrix.

Needs: ``linear``, or ``layer_norm`` over the last axis, of four axes or more of which the last but one is 1: a pooled
map, a column of tokens.
Guarantees: the same function as a reshape to (positions, channels) -> the call -> a reshape back. Where axis 0 is 1 as
well, TFLite's converter folds the axes away and then refuses its own product ("invalid output rank, expected 3 but
got 4").
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, is_over_last_axis, operand, rank_of, shape_of, sizes_of


@each_call(aten.linear.default, aten.layer_norm.default, done="calls on rows")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such call."""
    source, sizes = operand(node), sizes_of(node)
    if rank_of(source) < 4 or shape_of(source)[-2] != 1 or sizes is None:
        return False
    if node.target is aten.layer_norm.default and not is_over_last_axis(node):
        return False
    rows = editor.reshape(node, source, [-1, shape_of(source)[-1]])
    new = editor.repeat(node, rows, *node.args[1:])
    editor.replace(node, editor.reshape(node, new, sizes))
    return True
