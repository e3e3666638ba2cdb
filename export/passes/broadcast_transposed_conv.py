"""A depthwise transposed convolution with kernel = stride is a product with its kernel, broadcast over the windows.

Needs: ``conv_transpose2d`` with groups = channels in = channels out, kernel = stride, no padding, no output padding,
dilation 1, constant weights.
Guarantees: the same function as (N, h, 1, w, 1, C) * (r, 1, s, C) + bias -> (N, h * r, w * s, C), channels last, with
at most five axes in play; runtimes without a grouped transposed convolution need no call per channel any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, pair, shape_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "broadcast_transposed_conv"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every such convolution."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.conv_transpose2d.input))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} transposed convolutions as products")


def _rewrite(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    weight, bias = editor.constant(node.args[1]), editor.constant(argument(node, 2, "bias"))
    if weight is None or (bias is None) != (argument(node, 2, "bias") is None) or not _fits(node, weight):
        return False
    _, channels, height, width = shape_of(cast("Node", node.args[0]))
    rows, columns = weight.shape[2:]
    kernel = editor.add_constant(weight[:, 0].permute(1, 2, 0).reshape(rows, 1, columns, channels), node, "kernel")

    def call(target: object, *args: object) -> Node:
        return editor.call(target, args, before=node, like=node)  # type: ignore[arg-type]

    last = call(aten.permute.default, node.args[0], [0, 2, 3, 1])
    # axis 0 takes the batch and the rows of windows: five axes are what delegates broadcast over
    windows = call(aten.reshape.default, last, [-1, 1, width, 1, channels])
    product = call(aten.mul.Tensor, windows, kernel)
    if bias is not None:
        product = call(aten.add.Tensor, product, node.args[2])
    image = call(aten.reshape.default, product, [-1, height * rows, width * columns, channels])
    editor.replace(node, call(aten.permute.default, image, [0, 3, 1, 2]))
    return True


def _fits(node: Node, weight: Tensor) -> bool:
    shape = shape_of(cast("Node", node.args[0]))
    if len(shape) != 4 or any(not isinstance(size, int) for size in shape[1:]) or node.kwargs:
        return False
    return (
        argument(node, 6, "groups", 1) == weight.shape[0] == shape[1]
        and weight.shape[1] == 1
        and pair(argument(node, 3, "stride", 1)) == tuple(weight.shape[2:])
        and pair(argument(node, 4, "padding", 0)) == (0, 0)
        and pair(argument(node, 5, "output_padding", 0)) == (0, 0)
        and pair(argument(node, 7, "dilation", 1)) == (1, 1)
    )
