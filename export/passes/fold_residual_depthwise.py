"""x + depthwise(x) is one depthwise convolution with 1 added at the kernel's centre.

Needs: a depthwise convolution (groups = channels in = channels out) of odd kernel, stride 1, "same" zero padding,
constant weights, whose result only the addition uses.
Guarantees: the same function, one addition less.
"""

from __future__ import annotations

from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, as_double, aten, is_call, only_user, operand, shape_of, window_of


@each_call(aten.add.Tensor, done="additions folded")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Fold every such addition."""
    if len(node.args) != 2 or argument(node, 2, "alpha", 1) != 1:
        return False
    for conv, source in (node.args, node.args[::-1]):
        if is_call(conv, aten.conv2d.default) and conv.args[0] is source and _is_depthwise(conv):
            return _fold(editor, node, conv)
    return False


def _fold(editor: GraphEditor, node: Node, conv: Node) -> bool | str:
    """Fold the addition ``node`` of the depthwise ``conv`` and what that reads, or say why not."""
    weight = editor.constant(conv.args[1])
    if weight is None:
        return "the weights of the depthwise convolution are computed"
    if only_user(conv) is not node:
        return "others read the depthwise convolution"
    if not _keeps_shape(conv, weight):
        return "the depthwise convolution has no centre at every position"
    height, width = weight.shape[2:]
    new = as_double(weight).clone()
    new[:, 0, height // 2, width // 2] += 1
    constant = editor.add_constant(new.to(weight.dtype), conv, "weight")
    args = (conv.args[0], constant, *conv.args[2:])
    editor.replace(node, editor.repeat(conv, *args, at=node))
    return True


def _is_depthwise(conv: Node) -> bool:
    shape = shape_of(operand(conv))
    return len(shape) == 4 and window_of(conv).groups == shape[1] == shape_of(conv)[1]


def _keeps_shape(conv: Node, weight: Tensor) -> bool:
    """Whether ``conv`` is depthwise, of odd kernel and stride 1, and pads to its input's shape."""
    height, width = weight.shape[2:]
    window = window_of(conv)
    same = (window.dilation[0] * (height // 2), window.dilation[1] * (width // 2))
    return (
        not conv.kwargs
        and window.groups == weight.shape[0]
        and weight.shape[1] == 1
        and height % 2 == 1
        and width % 2 == 1
        and window.stride == (1, 1)
        and window.padding == same
        and shape_of(conv) == shape_of(operand(conv))
    )
