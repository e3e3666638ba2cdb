"""Keep images with their channels first from end to end, for delegates that lay out convolutions themselves.

Needs: views as ``canonical_views`` leaves them; pointwise products spelled as convolutions.
Guarantees: the same function. Permutes have met and cancelled; where an image in the one order is combined with one
in the other, the sum is taken channels first.
"""

from __future__ import annotations

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.passes import sink_views
from export.patterns import aten, has_tensor, is_permute, operand, rank_of
from export.program import TO_NCHW, TO_NHWC


def run(editor: GraphEditor) -> PassLog:
    """Bring the graph to channels-first form."""
    turned, more = 0, True
    while more:
        sunk = sink_views.run(editor)
        more = any(_turn(editor, node) for node in editor.nodes(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor))
        turned += more
    return PassLog(name="channels_first", rewrites=turned, detail=f"{turned} sums turned; {sunk.detail}")


def _turn(editor: GraphEditor, node: Node) -> bool:
    """x.permute(NHWC) + y is (x + y.permute(NCHW)).permute(NHWC)."""
    if len(node.args) != 2 or node.kwargs or rank_of(node) != 4:
        return False
    turned = [is_permute(side, TO_NHWC) for side in node.args]
    if sum(turned) != 1:
        return False
    other = node.args[turned.index(False)]
    if not has_tensor(other) or editor.constant(other) is not None or rank_of(other) != 4:
        return False
    view = operand(node, turned.index(True))
    sides = [operand(view) if side is view else editor.permute(node, side, TO_NCHW) for side in node.args]
    editor.replace(node, editor.permute(node, editor.repeat(node, *sides), TO_NHWC))
    return True
