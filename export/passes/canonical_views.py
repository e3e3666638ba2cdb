"""Spell every change of shape as ``reshape`` and every change of order as ``permute``.

Needs: shapes on the nodes; at most axis 0 free.
Guarantees: ``flatten``, ``view``, ``unflatten``, ``squeeze``, ``unsqueeze`` become ``reshape`` with -1 for axis 0 (so
the graph holds for every batch), ``transpose``, ``t``, ``movedim`` become ``permute`` with positive axes, ``unbind``
becomes ``select``; a sampling ``avg_pool2d`` or ``max_pool2d`` of kernel 1 becomes two strided slices. Values and
shapes are the same. A ``reshape`` whose first axis is not its input's keeps its meaning: all other sizes are explicit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, has_tensor, pair, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "canonical_views"


def run(editor: GraphEditor) -> PassLog:
    """Rewrite all views, then all samplings."""
    views = sum(_unbind(editor, node) for node in editor.nodes())
    views += sum(_view(editor, node) or _order(editor, node) for node in editor.nodes() if has_tensor(node))
    samplings = sum(_sampling(editor, node) for node in editor.nodes() if has_tensor(node))
    return PassLog(name=NAME, rewrites=views + samplings, detail=f"{views} views, {samplings} samplings")


def _view(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    spellings = (
        aten.flatten.using_ints,
        aten.view.default,
        aten._unsafe_view.default,
        aten.reshape.default,
        aten.unflatten.int,
        aten.squeeze.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.unsqueeze.default,
    )
    if node.target not in spellings or not has_tensor(node.args[0]):
        return False
    sizes = sizes_of(node)
    if sizes is None or (node.target is aten.reshape.default and list(cast("list[int]", node.args[1])) == sizes):
        return False
    if sizes[1:] and not shape_of(cast("Node", node.args[0])):
        return False
    new = editor.call(aten.reshape.default, (node.args[0], sizes), before=node, like=node)
    editor.replace(node, new)
    return True


def _order(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    spellings = (
        aten.permute.default,
        aten.transpose.int,
        aten.t.default,
        aten.mT.default,
        aten.numpy_T.default,
        aten.movedim.int,
        aten.movedim.intlist,
        aten.swapaxes.default,
    )
    if node.target not in spellings or not has_tensor(node.args[0]):
        return False
    source = cast("Node", node.args[0])
    rank = len(shape_of(source))
    order = torch.empty([2 + axis for axis in range(rank)], device="meta")
    axes = [size - 2 for size in node.target(order, *node.args[1:], **node.kwargs).shape]
    if node.target is aten.permute.default and list(cast("list[int]", node.args[1])) == axes:
        return False
    new = editor.call(aten.permute.default, (source, axes), before=node, like=node)
    editor.replace(node, new)
    return True


def _unbind(editor: GraphEditor, node: Node) -> bool:
    import operator

    import torch

    aten = torch.ops.aten
    if node.target is not aten.unbind.int or any(user.target is not operator.getitem for user in node.users):
        return False
    axis = cast("int", argument(node, 1, "dim", 0))
    for user in list(node.users):
        new = editor.call(aten.select.int, (node.args[0], axis, user.args[1]), before=user, like=node)
        editor.replace(user, new)
    editor.graph.erase_node(node)
    return True


def _sampling(editor: GraphEditor, node: Node) -> bool:
    """AvgPool and MaxPool with kernel 1, no padding: x[..., ::stride, ::stride]."""
    import torch

    aten = torch.ops.aten
    if node.target not in (aten.avg_pool2d.default, aten.max_pool2d.default):
        return False
    average = node.target is aten.avg_pool2d.default
    kernel = pair(argument(node, 1, "kernel_size"))
    stride = pair(argument(node, 2, "stride", None) or kernel)
    ceil = argument(node, 4 if average else 5, "ceil_mode", False)
    divisor = argument(node, 6, "divisor_override", None) if average else None
    if kernel != (1, 1) or pair(argument(node, 3, "padding", 0)) != (0, 0) or ceil or divisor not in (None, 1):
        return False
    source = cast("Node", node.args[0])
    if not all(isinstance(size, int) for size in shape_of(source)[1:]):
        return False
    for axis, step in zip((-2, -1), stride, strict=True):
        rank = len(shape_of(source))
        if step > 1:
            args = (source, rank + axis, 0, shape_of(source)[axis], step)
            source = editor.call(aten.slice.Tensor, args, before=node, like=node)
    editor.replace(node, source)
    return True
