"""Spell those pointwise convolutions as linear layers that no other convolution stands next to.

Needs: as ``pointwise_as_linear``.
Guarantees: the same function. A pointwise convolution that feeds a spatial convolution, or is fed by one, stays: a
runtime with its own blocked image layout keeps such a chain in that layout, and pays for leaving it elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, is_call
from export.passes import pointwise_as_linear

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "lone_pointwise_as_linear"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every pointwise convolution without a convolution as neighbour."""
    import torch

    convs = list(editor.nodes(torch.ops.aten.conv2d.default))
    lone = [node for node in convs if not _has_neighbour(node)]
    found = sum(pointwise_as_linear.rewrite(editor, node) for node in lone)
    return PassLog(name=NAME, rewrites=found, detail=f"{found} of {len(convs)} convolutions as linear layers")


def _has_neighbour(node: Node) -> bool:
    import torch

    conv = torch.ops.aten.conv2d.default
    readers = list(node.users)
    return is_call(cast("Node", node.args[0]), conv) or any(is_call(reader, conv) for reader in readers)
