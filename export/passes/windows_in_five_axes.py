"""Multiply the windows of depthwise transposed convolutions over five axes.

Needs: what ``broadcast_transposed_conv`` needs, and a runtime that multiplies over five axes.
Guarantees: the same function as (N * h, 1, w, 1, C) * (r, 1, s, C) + bias -> (N, h * r, w * s, C), channels last:
without the copy that puts the columns beside each other, a ``cat`` of one tensor with itself, which ExecuTorch's
partitioner leaves outside.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.passes import broadcast_transposed_conv
from export.patterns import aten


@each_call(aten.conv_transpose2d.input, done="transposed convolutions as products")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such convolution."""
    return broadcast_transposed_conv.rewrite(editor, node, columns_apart=True)
