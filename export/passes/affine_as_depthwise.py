"""Phrase a scale and a shift per channel of an image as one depthwise convolution with a 1x1 kernel.

Needs: ``add(mul(x, scale), shift)`` with x of (N, H, W, C), constants of (C,), and no other reader of the product.
Guarantees: the same function in one call instead of two; XNNPACK under ExecuTorch refuses constants of (1, C, 1, 1)
beside an image that it keeps channels last, but not the weights of a convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, is_call, only_user, shape_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "affine_as_depthwise"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every such pair."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.add.Tensor))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} scales and shifts as depthwise convolutions")


def _rewrite(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if len(node.args) != 2 or node.kwargs or not is_call(node.args[0], aten.mul.Tensor) or len(shape_of(node)) != 4:
        return False
    product = cast("Node", node.args[0])
    shift = _per_channel(editor, node.args[1], node)
    scale = _per_channel(editor, product.args[1], node)
    source = product.args[0]
    if shift is None or scale is None or only_user(product) is not node or isinstance(source, (int, float)):
        return False
    if shape_of(cast("Node", source)) != shape_of(node):
        return False
    channels = scale.shape[0]
    image = editor.call(aten.permute.default, (source, [0, 3, 1, 2]), before=node, like=node)
    constants = (
        editor.add_constant(scale.reshape(channels, 1, 1, 1), node, "scale"),
        editor.add_constant(shift, node, "shift"),
    )
    args = (image, *constants, [1, 1], [0, 0], [1, 1], channels)
    conv = editor.call(aten.conv2d.default, args, before=node, like=node)
    editor.replace(node, editor.call(aten.permute.default, (conv, [0, 2, 3, 1]), before=node, like=node))
    return True


def _per_channel(editor: GraphEditor, operand: object, node: Node) -> Tensor | None:
    tensor = editor.constant(operand)
    if tensor is None or tuple(tensor.shape) != shape_of(node)[-1:]:
        return None
    return tensor
