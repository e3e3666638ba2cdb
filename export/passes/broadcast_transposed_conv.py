"""A depthwise transposed convolution with kernel = stride is a product with its kernel, broadcast over the windows.

Needs: ``conv_transpose2d`` with groups = channels in = channels out, kernel = stride, no padding, no output padding,
dilation 1, constant weights.
Guarantees: the same function as (N * h, 1, w, s * C) * (r, 1, s * C) + bias -> (N, h * r, w * s, C), channels last,
where s copies of the channels stand side by side: four axes, since TFLite's kernels up to 2.14 abort the process when
they multiply over more. Runtimes without a grouped transposed convolution need no call per channel any more.
"""

from __future__ import annotations

from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, operand, pair, shape_of
from export.program import TO_NCHW, TO_NHWC


def rewrite(editor: GraphEditor, node: Node, *, columns_apart: bool) -> bool | str:
    """Rewrite one such convolution, the columns of a window on an axis of their own or beside each other."""
    weights = editor.weights(node)
    grouped = argument(node, 6, "groups", 1) != 1
    if weights is None:
        return grouped and "its weights are computed"
    if not _fits(node, weights[0]):
        return grouped and "it is not depthwise with kernel = stride and without padding"
    weight, bias = weights
    _, channels, height, width = shape_of(operand(node))
    rows, columns = weight.shape[2:]
    last = editor.permute(node, operand(node), TO_NHWC)
    factors = weight[:, 0].permute(1, 2, 0)
    if columns_apart:
        windows = editor.reshape(node, last, [-1, 1, width, 1, channels])
        factors = factors.reshape(rows, 1, columns, channels)
    else:
        windows = editor.reshape(node, last, [-1, 1, width, channels])
        if columns > 1:
            windows = editor.call(node, aten.cat.default, [windows] * columns, 3)
        factors = factors.reshape(rows, 1, columns * channels)
        bias = None if bias is None else bias.repeat(columns)
    product = editor.call(node, aten.mul.Tensor, windows, editor.add_constant(factors, node, "kernel"))
    if bias is not None:
        product = editor.call(node, aten.add.Tensor, product, editor.add_constant(bias, node, "bias"))
    image = editor.reshape(node, product, [-1, height * rows, width * columns, channels])
    editor.replace(node, editor.permute(node, image, TO_NCHW))
    return True


@each_call(aten.conv_transpose2d.input, done="transposed convolutions as products")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such convolution."""
    return rewrite(editor, node, columns_apart=False)


def _fits(node: Node, weight: Tensor) -> bool:
    """Whether ``node`` with its ``weight``, (C, 1, rows, columns), is such a convolution."""
    shape = shape_of(operand(node))
    if len(shape) != 4 or not are_fixed(shape[1:]):
        return False
    return (
        argument(node, 6, "groups", 1) == weight.shape[0] == shape[1]
        and weight.shape[1] == 1
        and pair(argument(node, 3, "stride", 1)) == tuple(weight.shape[2:])
        and pair(argument(node, 4, "padding", 0)) == (0, 0)
        and pair(argument(node, 5, "output_padding", 0)) == (0, 0)
        and pair(argument(node, 7, "dilation", 1)) == (1, 1)
    )
