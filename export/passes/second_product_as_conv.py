"""Spell the second of two linear layers on an image as a pointwise convolution.

Needs: images with their channels last; a ``linear`` with constant weights on (N, H, W, C), whose operand is the
result of another one.
Guarantees: the same function. TFLite's converter writes each linear layer on rows, between two reshapes that it folds
into the product. Between two products the inner ones cancel first, and the outer ones stay: EfficientNet-B0 copied its
largest image for that, 2 % of its time. Where others read the first result too, it moves the first bias into the second
product and adds it once more for them.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.passes import linear_as_pointwise
from export.patterns import aten, is_call, operand


@each_call(aten.linear.default, done="second products as convolutions")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such linear layer."""
    return is_call(operand(node), aten.linear.default) and linear_as_pointwise.rewrite(editor, node)
