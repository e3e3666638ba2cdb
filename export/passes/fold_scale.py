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
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Fold every number that finds a linear layer."""
    factor = node.args[1]
    if not is_number(factor) or node.kwargs or factor == 0:
        return False
    product = _product_of(editor, node, node.args[0])
    if not isinstance(product, Node):
        return product or False
    weights = editor.weights(product)
    if weights is None:
        return "the weights of the product are computed"
    factor = float(1 / factor if node.target is aten.div.Tensor else factor)
    weight, bias = weights
    scaled = None if bias is None else as_double(bias) * factor
    editor.replace(product, editor.with_weights(product, as_double(weight) * factor, scaled))
    editor.replace(node, operand(node))
    return True


def _product_of(editor: GraphEditor, user: Node, node: object) -> Node | str | None:
    """The product that scales ``node`` if only ``user`` sees it; why not if there is one, None if there is none."""
    found: Node | str | None = None
    if is_call(node, aten.linear.default, aten.conv2d.default):
        found = node
    elif is_call(node, *VIEWS, aten.select.int, aten.slice.Tensor):
        found = _product_of(editor, node, node.args[0])
    elif is_call(node, aten.matmul.default):
        sides = [_product_of(editor, node, side) for side in node.args]
        found = next((side for side in sides if isinstance(side, Node)), sides[0] or sides[1])
    else:
        return None
    return "others read the product" if isinstance(found, Node) and only_user(node) is not user else found
