"""Remove calls that hand their input through.

Needs: an eval-mode graph.
Guarantees: dropout that is off, ``contiguous``, ``clone``, ``alias``, ``detach``, ``lift_fresh``, casts to the same
dtype and additions of the number 0 or products with the number 1 are gone; values and shapes are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, has_tensor, value_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "drop_no_ops"


def run(editor: GraphEditor) -> PassLog:
    """Remove every call that changes nothing."""
    removed = 0
    for node in editor.nodes():
        source = node.args[0] if node.args else None
        if has_tensor(node) and has_tensor(source) and _hands_through(node):
            editor.replace(node, source)  # type: ignore[arg-type]
            removed += 1
    return PassLog(name=NAME, rewrites=removed, detail=f"{removed} calls removed")


def _hands_through(node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if node.target in (aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default):
        return argument(node, 2, "train") is False or argument(node, 1, "p") == 0
    if node.target is aten.native_dropout.default:
        return False
    if node.target in (
        aten.contiguous.default,
        aten.clone.default,
        aten.alias.default,
        aten.detach.default,
        aten.detach_.default,
        aten.lift_fresh_copy.default,
        aten.lift_fresh.default,
    ):
        return True
    return _same_dtype_cast(node) or _neutral_number(node)


def _same_dtype_cast(node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    casts = (aten.to.dtype, aten.to.dtype_layout, aten._to_copy.default, aten.type_as.default)
    if node.target not in casts:
        return False
    source, result = value_of(node.args[0]), value_of(node)  # type: ignore[arg-type]
    return source.dtype == result.dtype and source.device.type == result.device.type


def _neutral_number(node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if len(node.args) < 2 or isinstance(node.args[1], bool) or not isinstance(node.args[1], (int, float)):
        return False
    if value_of(node).dtype != value_of(node.args[0]).dtype:  # type: ignore[arg-type]
        return False
    neutral = {aten.add.Tensor: 0, aten.sub.Tensor: 0, aten.mul.Tensor: 1, aten.div.Tensor: 1}
    return node.target in neutral and node.args[1] == neutral[node.target]
