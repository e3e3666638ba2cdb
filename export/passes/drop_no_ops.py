"""Remove calls that hand their input through.

Needs: an eval-mode graph.
Guarantees: dropout that is off, ``contiguous``, ``clone``, ``alias``, ``detach``, ``lift_fresh``, casts to the same
dtype and additions of the number 0 or products with the number 1 are gone; values and shapes are the same.
"""

from __future__ import annotations

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import argument, aten, has_tensor, is_number, operand, value_of

NAME = "drop_no_ops"
DROPOUTS = (aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default)
COPIES = (
    aten.contiguous.default,
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.detach_.default,
    aten.lift_fresh_copy.default,
    aten.lift_fresh.default,
)
CASTS = (aten.to.dtype, aten.to.dtype_layout, aten._to_copy.default, aten.type_as.default)
NEUTRAL: dict[object, int] = {aten.add.Tensor: 0, aten.sub.Tensor: 0, aten.mul.Tensor: 1, aten.div.Tensor: 1}


def run(editor: GraphEditor) -> PassLog:
    """Remove every call that changes nothing."""
    removed = 0
    for node in editor.nodes(*DROPOUTS, *COPIES, *CASTS, *NEUTRAL):
        if has_tensor(node) and has_tensor(node.args[0]) and _hands_through(node):
            editor.replace(node, operand(node))
            removed += 1
    return PassLog(name=NAME, rewrites=removed, detail=f"{removed} calls removed")


def _hands_through(node: Node) -> bool:
    if node.target in COPIES:
        return True
    if node.target in DROPOUTS:
        return argument(node, 2, "train") is False or argument(node, 1, "p") == 0
    source, result = value_of(operand(node)), value_of(node)
    if source.dtype != result.dtype:
        return False
    if node.target in CASTS:
        return source.device.type == result.device.type
    number = argument(node, 1, "other")
    return is_number(number) and number == NEUTRAL[node.target]
