"""Keep images with their channels first from end to end, for delegates that lay out convolutions themselves.

Needs: views as ``canonical_views`` leaves them; pointwise products spelled as convolutions.
Guarantees: the same function. Permutes have met and cancelled; where an image in the one order is combined with one
in the other, the sum is taken channels first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, is_call, shape_of
from export.passes import sink_views

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "channels_first"
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def run(editor: GraphEditor) -> PassLog:
    """Bring the graph to channels-first form."""
    import torch

    aten = torch.ops.aten
    turned, more = 0, True
    while more:
        sunk = sink_views.run(editor)
        more = False
        for node in editor.nodes(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor):
            if _turn(editor, node):
                turned, more = turned + 1, True
                break
    return PassLog(name=NAME, rewrites=turned, detail=f"{turned} sums turned; {sunk.detail}")


def _turn(editor: GraphEditor, node: Node) -> bool:
    """x.permute(NHWC) + y is (x + y.permute(NCHW)).permute(NHWC)."""
    if len(node.args) != 2 or node.kwargs or len(shape_of(node)) != 4:
        return False
    last = [_is_channels_last_view(side) for side in node.args]
    if sum(last) != 1:
        return False
    other = node.args[last.index(False)]
    if isinstance(other, (int, float)) or editor.constant(other) is not None:
        return False
    if len(shape_of(cast("Node", other))) != 4:
        return False
    sides = [
        cast("Node", side).args[0] if is_view else _permute(editor, cast("Node", side), TO_NCHW, node)
        for side, is_view in zip(node.args, last, strict=True)
    ]
    new = editor.call(node.target, tuple(sides), before=node, like=node)  # type: ignore[arg-type]
    editor.replace(node, _permute(editor, new, TO_NHWC, node))
    return True


def _is_channels_last_view(side: object) -> bool:
    import torch

    return is_call(side, torch.ops.aten.permute.default) and cast("Node", side).args[1] == TO_NHWC


def _permute(editor: GraphEditor, source: Node, axes: list[int], node: Node) -> Node:
    import torch

    return editor.call(torch.ops.aten.permute.default, (source, axes), before=node, like=node)
