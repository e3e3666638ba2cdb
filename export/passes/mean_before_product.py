"""Take the mean over positions in front of the product whose result it averages.

Needs: ``mean`` over axes without the last one of a linear layer's result that nothing else reads, or of a sum of which
such a result is one part (a residual branch); constant weights.
Guarantees: the same function, since both are linear: mean(x + W h + b) = mean(x) + W mean(h) + b. The product works on
one position instead of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, has_tensor, only_user, shape_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "mean_before_product"


def run(editor: GraphEditor) -> PassLog:
    """Move every such mean as far up as products go."""
    import torch

    found = 0
    for mean in editor.nodes(torch.ops.aten.mean.dim):
        source = cast("Node", mean.args[0])
        if _leaves_channels(mean) and only_user(source) is mean:
            products = _products(editor, source)
            if products:
                editor.replace(mean, _averaged(editor, mean, source))
                found += products
    editor.sweep()
    return PassLog(name=NAME, rewrites=found, detail=f"{found} products on means")


def _leaves_channels(mean: Node) -> bool:
    dims, rank = argument(mean, 1, "dim"), len(shape_of(cast("Node", mean.args[0])))
    if not dims or argument(mean, 3, "dtype") is not None:
        return False
    return rank - 1 not in [axis % rank for axis in cast("list[int]", dims)]


def _products(editor: GraphEditor, node: Node) -> int:
    """How many products a mean of ``node`` can pass, given that nothing else reads ``node``."""
    import torch

    aten = torch.ops.aten
    if node.op != "call_function" or node.kwargs:
        return 0
    if node.target is aten.linear.default:
        if any(arg is not None and editor.constant(arg) is None for arg in node.args[1:]):
            return 0
        return 1 + _inner(editor, node, node.args[0])
    if node.target is not aten.add.Tensor or len(node.args) != 2 or node.args[0] is node.args[1]:
        return 0
    if not all(has_tensor(arg) and shape_of(cast("Node", arg)) == shape_of(node) for arg in node.args):
        return 0
    return sum(_inner(editor, node, arg) for arg in node.args)


def _inner(editor: GraphEditor, node: Node, operand: object) -> int:
    return _products(editor, cast("Node", operand)) if only_user(cast("Node", operand)) is node else 0


def _averaged(editor: GraphEditor, mean: Node, node: Node) -> Node:
    """The mean of ``node``, which ``mean`` would compute, with the products that it passes behind it."""
    import torch

    aten = torch.ops.aten

    def inner(operand: object) -> Node:
        source = cast("Node", operand)
        if _inner(editor, node, source):
            return _averaged(editor, mean, source)
        return editor.call(aten.mean.dim, (source, *mean.args[1:]), dict(mean.kwargs), before=mean, like=mean)

    if node.target is aten.linear.default:
        args: tuple[object, ...] = (inner(node.args[0]), *node.args[1:])
    else:
        args = tuple(inner(operand) for operand in node.args)
    return editor.call(node.target, args, before=mean, like=node)  # type: ignore[arg-type]
