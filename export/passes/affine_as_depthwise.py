"""Phrase a scale and a shift per channel of an image as one depthwise convolution with a 1x1 kernel.

Needs: ``add(mul(x, scale), shift)`` with x of (N, H, W, C), constants of (C,), and no other reader of the product.
Guarantees: the same function in one call instead of two; XNNPACK under ExecuTorch refuses constants of (1, C, 1, 1)
beside an image that it keeps channels last, but not the weights of a convolution.
"""

from __future__ import annotations

from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, has_tensor, is_call, only_user, rank_of, shape_of
from export.program import TO_NCHW, TO_NHWC


@each_call(aten.add.Tensor, done="scales and shifts as depthwise convolutions")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such pair."""
    product = node.args[0]
    if len(node.args) != 2 or node.kwargs or not is_call(product, aten.mul.Tensor) or rank_of(node) != 4:
        return False
    source = product.args[0]
    shift, scale = _per_channel(editor, node.args[1], node), _per_channel(editor, product.args[1], node)
    if shift is None or scale is None or only_user(product) is not node:
        return False
    if not has_tensor(source) or shape_of(source) != shape_of(node):
        return False
    channels = scale.shape[0]
    image = editor.permute(node, source, TO_NCHW)
    kernel = editor.add_constant(scale.reshape(channels, 1, 1, 1), node, "scale")
    bias = editor.add_constant(shift, node, "shift")
    conv = editor.call(node, aten.conv2d.default, image, kernel, bias, [1, 1], [0, 0], [1, 1], channels)
    editor.replace(node, editor.permute(node, conv, TO_NHWC))
    return True


def _per_channel(editor: GraphEditor, operand: object, node: Node) -> Tensor | None:
    """The constant ``operand``, (C,), beside an image (N, H, W, C); None if it is another tensor."""
    tensor = editor.constant(operand)
    if tensor is None or tuple(tensor.shape) != shape_of(node)[-1:]:
        return None
    return tensor
