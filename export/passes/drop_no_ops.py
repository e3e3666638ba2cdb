"""Remove calls that hand their input through.

Needs: an eval-mode graph.
Guarantees: dropout that is off, ``contiguous``, ``clone``, ``alias``, ``detach``, ``lift_fresh``, casts to the same
dtype and additions of the number 0 or products with the number 1 are gone; values and shapes are the same.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, has_tensor, is_number, operand, value_of

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


@each_call(*DROPOUTS, *COPIES, *CASTS, *NEUTRAL, done="calls removed")
def run(editor: GraphEditor, node: Node) -> bool:
    """Remove every call that changes nothing."""
    if not has_tensor(node) or not has_tensor(node.args[0]) or not _hands_through(node):
        return False
    editor.replace(node, operand(node))
    return True


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
