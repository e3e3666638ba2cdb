"""Take patches that do not overlap as a change of shape and order.

Needs: ``im2col`` (``nn.Unfold``) with kernel = stride that divides the image, no padding, dilation 1.
Guarantees: the same values as ``reshape`` -> ``permute`` -> ``reshape``; converters gather by computed indices.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, aten, operand, pair, shape_of


@each_call(aten.im2col.default, done="patches as views")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every call that gathers such patches."""
    shape = shape_of(operand(node))
    kernel, dilation, padding, stride = (pair(argument) for argument in node.args[1:])
    if len(shape) != 4 or not are_fixed(shape[1:]) or dilation != (1, 1) or padding != (0, 0) or stride != kernel:
        return "its patches overlap, are padded or have holes"
    _, channels, height, width = shape
    (rows, columns) = kernel
    if height % rows or width % columns:
        return "its kernel does not divide the image"
    windows = [-1, channels, height // rows, rows, width // columns, columns]
    split = editor.reshape(node, operand(node), windows)
    order = editor.permute(node, split, (0, 1, 3, 5, 2, 4))
    editor.replace(node, editor.reshape(node, order, [-1, *shape_of(node)[1:]]))
    return True
