"""x + depthwise(x) is one depthwise convolution with 1 added at the kernel's centre.

Needs: a depthwise convolution (groups = channels in = channels out) of odd kernel, stride 1, "same" zero padding,
constant weights, whose result only the addition uses.
Guarantees: the same function, one addition less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, as_double, is_call, only_user, pair

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "fold_residual_depthwise"


def run(editor: GraphEditor) -> PassLog:
    """Fold every such addition."""
    import torch

    aten = torch.ops.aten
    folded = 0
    for node in editor.nodes(aten.add.Tensor):
        if len(node.args) != 2 or argument(node, 2, "alpha", 1) != 1:
            continue
        for conv, source in (node.args, node.args[::-1]):
            if is_call(conv, aten.conv2d.default) and _fold(editor, node, cast("Node", conv), source):
                folded += 1
                break
    return PassLog(name=NAME, rewrites=folded, detail=f"{folded} additions folded")


def _fold(editor: GraphEditor, node: Node, conv: Node, source: object) -> bool:
    weight = editor.constant(conv.args[1])
    if conv.args[0] is not source or only_user(conv) is not node or weight is None or not _same_shape(conv, weight):
        return False
    height, width = weight.shape[2:]
    new = as_double(weight).clone()
    new[:, 0, height // 2, width // 2] += 1
    constant = editor.add_constant(new.to(weight.dtype), conv, "weight")
    args = (conv.args[0], constant, *conv.args[2:])
    editor.replace(node, editor.call(conv.target, args, before=node, like=conv))  # type: ignore[arg-type]
    return True


def _same_shape(conv: Node, weight: Tensor) -> bool:
    groups = argument(conv, 6, "groups", 1)
    height, width = weight.shape[2:]
    dilation = pair(argument(conv, 5, "dilation", 1))
    same = (dilation[0] * (height // 2), dilation[1] * (width // 2))
    return (
        not conv.kwargs
        and groups == weight.shape[0]
        and weight.shape[1] == 1
        and height % 2 == 1
        and width % 2 == 1
        and pair(argument(conv, 3, "stride", 1)) == (1, 1)
        and pair(argument(conv, 4, "padding", 0)) == same
        and conv.meta["val"].shape == cast("Node", conv.args[0]).meta["val"].shape
    )
