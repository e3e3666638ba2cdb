"""Spell every change of shape as ``reshape`` and every change of order as ``permute``.

Needs: shapes on the nodes; at most axis 0 free.
Guarantees: ``flatten``, ``view``, ``unflatten``, ``squeeze``, ``unsqueeze``, ``reshape_as`` become ``reshape`` with
-1 for axis 0 (so the graph holds for every batch), ``transpose``, ``t``, ``movedim`` become ``permute`` with positive
axes, ``unbind`` becomes ``select``; a sampling ``avg_pool2d`` or ``max_pool2d`` of kernel 1 becomes two strided slices.
Values and shapes are the same. A ``reshape`` whose first axis is not its input's keeps its meaning: all other sizes are
explicit.
"""

from __future__ import annotations

import operator

import torch
from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import are_fixed, argument, aten, has_tensor, operand, pair, rank_of, shape_of, sizes_of

RESHAPES = (
    aten.flatten.using_ints, aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.unflatten.int,
    aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.unsqueeze.default, aten.reshape_as.default,
    aten.view_as.default,
)  # fmt: skip
PERMUTES = (
    aten.permute.default, aten.transpose.int, aten.t.default, aten.mT.default, aten.numpy_T.default, aten.movedim.int,
    aten.movedim.intlist, aten.swapaxes.default,
)  # fmt: skip


def run(editor: GraphEditor) -> PassLog:
    """Rewrite all views, then all samplings."""
    views = sum(_unbind(editor, node) for node in editor.nodes(aten.unbind.int))
    for node in editor.nodes(*RESHAPES, *PERMUTES):
        if has_tensor(node) and has_tensor(node.args[0]):
            views += _reshape(editor, node) if node.target in RESHAPES else _permute(editor, node)
    pools = editor.nodes(aten.avg_pool2d.default, aten.max_pool2d.default)
    samplings = sum(_sampling(editor, node) for node in pools if has_tensor(node))
    return PassLog(name="canonical_views", rewrites=views + samplings, detail=f"{views} views, {samplings} samplings")


def _reshape(editor: GraphEditor, node: Node) -> bool:
    sizes = sizes_of(node)
    if sizes is None or (node.target is aten.reshape.default and node.args[1] == sizes):
        return False
    if sizes[1:] and not shape_of(operand(node)):
        return False
    editor.replace(node, editor.reshape(node, operand(node), sizes))
    return True


def _permute(editor: GraphEditor, node: Node) -> bool:
    assert callable(node.target)
    # sizes 2, 3, ... tell the axes apart and are never squeezed
    order = torch.empty([2 + axis for axis in range(rank_of(operand(node)))], device="meta")
    axes = [size - 2 for size in node.target(order, *node.args[1:], **node.kwargs).shape]
    if node.target is aten.permute.default and node.args[1] == axes:
        return False
    editor.replace(node, editor.permute(node, operand(node), axes))
    return True


def _unbind(editor: GraphEditor, node: Node) -> bool:
    if any(user.target is not operator.getitem for user in node.users):
        return False
    axis = argument(node, 1, "dim", 0)
    for user in list(node.users):
        new = editor.call(user, aten.select.int, node.args[0], axis, user.args[1], like=node)
        editor.replace(user, new)
    editor.graph.erase_node(node)
    return True


def _sampling(editor: GraphEditor, node: Node) -> bool:
    """AvgPool and MaxPool with kernel 1, no padding: x[..., ::stride, ::stride]."""
    average = node.target is aten.avg_pool2d.default
    kernel = pair(argument(node, 1, "kernel_size"))
    stride = pair(argument(node, 2, "stride", None) or kernel)
    ceil = argument(node, 4 if average else 5, "ceil_mode", False)
    divisor = argument(node, 6, "divisor_override", None) if average else None
    if kernel != (1, 1) or pair(argument(node, 3, "padding", 0)) != (0, 0) or ceil or divisor not in (None, 1):
        return False
    source = operand(node)
    shape, rank = shape_of(source), rank_of(source)
    if not are_fixed(shape[-2:]):
        return False
    for axis, step in zip((rank - 2, rank - 1), stride, strict=True):
        if step > 1:
            source = editor.call(node, aten.slice.Tensor, source, axis, 0, shape[axis], step)
    editor.replace(node, source)
    return True
