"""Fold a product with a number into the linear layer that computes one of its factors.

Needs: ``mul`` or ``div`` by a number of a value that comes, through views and at most through one side of ``matmul``,
from a linear layer or convolution with constant weights whose results nobody else uses.
Guarantees: the same function, one elementwise call less. For attention: softmax(scale * q k^T) has its scale in the
rows of the query.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import VIEWS, as_double, aten, is_call, is_number, only_user, operand


@each_call(aten.mul.Tensor, aten.div.Tensor, done="factors folded")
def run(editor: GraphEditor, node: Node) -> bool:
    """Fold every number that finds a linear layer."""
    factor = node.args[1]
    if not is_number(factor) or node.kwargs or factor == 0:
        return False
    product = _product_of(editor, node, node.args[0])
    weights = None if product is None else editor.weights(product)
    if product is None or weights is None:
        return False
    factor = float(1 / factor if node.target is aten.div.Tensor else factor)
    weight, bias = weights
    scaled = None if bias is None else as_double(bias) * factor
    editor.replace(product, editor.with_weights(product, as_double(weight) * factor, scaled))
    editor.replace(node, operand(node))
    return True


def _product_of(editor: GraphEditor, user: Node, node: object) -> Node | None:
    """The product with constant weights that scale ``node``, if only ``user`` sees ``node``."""
    if not isinstance(node, Node) or only_user(node) is not user:
        return None
    if is_call(node, aten.linear.default, aten.conv2d.default):
        return node if editor.weights(node) is not None else None
    if is_call(node, *VIEWS, aten.select.int, aten.slice.Tensor):
        return _product_of(editor, node, node.args[0])
    if is_call(node, aten.matmul.default):
        sides = (_product_of(editor, node, side) for side in node.args)
        return next((side for side in sides if side is not None), None)
    return None
