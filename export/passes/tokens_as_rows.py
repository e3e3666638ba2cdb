"""Keep tokens as the rows of matrices while only their channels matter.

Needs: fixed sizes but for axis 0; ``linear``, ``layer_norm`` over the last axis, ``gelu`` and sums of equal shapes.
Guarantees: the same function on matrices of (tokens, channels): a runtime whose product takes two axes reshapes no
longer in front of and behind each one. Reshapes stand only where the image or the heads are needed. A sum of two images
behind convolutions stays one: runtimes compute it inside of the convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, has_tensor, is_call, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "tokens_as_rows"


def run(editor: GraphEditor) -> PassLog:
    """Flatten every such call, and let the reshapes between them cancel."""
    found = sum(_flatten(editor, node) for node in editor.nodes(*_row_by_row()) if has_tensor(node))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} calls on matrices")


def _flatten(editor: GraphEditor, node: Node) -> bool:
    import torch

    sizes = sizes_of(node)
    if sizes is None or len(sizes) < 3 or not _fits(node):
        return False
    count = 2 if node.target is torch.ops.aten.add.Tensor else 1
    operands = [_as_rows(editor, cast("Node", arg), node) for arg in node.args[:count]]
    args = (*operands, *node.args[count:])
    new = editor.call(node.target, args, dict(node.kwargs), before=node, like=node)  # type: ignore[arg-type]
    editor.replace(node, editor.call(torch.ops.aten.reshape.default, (new, sizes), before=node, like=node))
    return True


def _fits(node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if node.target is aten.layer_norm.default:
        return len(cast("list[int]", node.args[1])) == 1
    if node.target is not aten.add.Tensor:
        return True
    same = all(has_tensor(arg) and shape_of(cast("Node", arg)) == shape_of(node) for arg in node.args)
    images = all(is_call(arg, aten.permute.default) for arg in node.args)
    return len(node.args) == 2 and not node.kwargs and same and not images


def _as_rows(editor: GraphEditor, source: Node, node: Node) -> Node:
    """``source`` as a matrix, without the reshape that made it more than one."""
    import torch

    aten = torch.ops.aten
    channels = shape_of(source)[-1]
    while is_call(source, aten.reshape.default):
        source = cast("Node", source.args[0])
    if len(shape_of(source)) == 2 and shape_of(source)[-1] == channels:
        return source
    return editor.call(aten.reshape.default, (source, [-1, channels]), before=node, like=node)


def _row_by_row() -> tuple[object, ...]:
    import torch

    aten = torch.ops.aten
    return (aten.linear.default, aten.layer_norm.default, aten.gelu.default, aten.add.Tensor)
