"""Spell those pointwise convolutions as linear layers that no other convolution stands next to.

Needs: as ``pointwise_as_linear``.
Guarantees: the same function. A pointwise convolution that feeds a spatial convolution, or is fed by one, stays: a
runtime with its own blocked image layout keeps such a chain in that layout, and pays for leaving it elsewhere.
"""

from __future__ import annotations

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals
from export.passes import pointwise_as_linear
from export.patterns import aten, is_call, operand


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every pointwise convolution without a convolution as neighbour."""
    convs = list(editor.nodes(aten.conv2d.default))
    lone = [node for node in convs if not _has_neighbour(node)]
    found, refusals = 0, Refusals()
    for node in lone:
        outcome = pointwise_as_linear.rewrite(editor, node)
        if isinstance(outcome, str):
            refusals.add(node, outcome)
        else:
            found += outcome
    detail = f"{found} of {len(convs)} convolutions as linear layers"
    return PassLog(name="lone_pointwise_as_linear", rewrites=found, detail=detail, refused=refusals.rows())


def _has_neighbour(node: Node) -> bool:
    return any(is_call(neighbour, aten.conv2d.default) for neighbour in (operand(node), *node.users))
