"""Take the mean over positions in front of the product whose result it averages.

Needs: ``mean`` over axes without the last one of a linear layer's result that nothing else reads, or of a sum of which
such a result is one part (a residual branch); constant weights.
Guarantees: the same function, since both are linear: mean(x + W h + b) = mean(x) + W mean(h) + b. The product works on
one position instead of all of them.
"""

from __future__ import annotations

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import aten, has_tensor, is_call, mean_axes, only_user, operand, rank_of, shape_of


def run(editor: GraphEditor) -> PassLog:
    """Move every such mean as far up as products go."""
    found = 0
    for mean in editor.nodes(aten.mean.dim):
        source = operand(mean)
        if _leaves_channels(mean) and (products := _products(editor, mean, source)):
            editor.replace(mean, _averaged(editor, mean, source))
            found += products
    editor.sweep()
    return PassLog(name="mean_before_product", rewrites=found, detail=f"{found} products on means")


def _leaves_channels(mean: Node) -> bool:
    axes = mean_axes(mean)
    return axes is not None and rank_of(operand(mean)) - 1 not in axes


def _products(editor: GraphEditor, user: Node, node: object) -> int:
    """How many products a mean of ``node`` can pass, if nothing but ``user`` reads ``node``."""
    if not is_call(node) or only_user(node) is not user or node.kwargs:
        return 0
    if node.target is aten.linear.default:
        return 0 if editor.weights(node) is None else 1 + _products(editor, node, node.args[0])
    if node.target is not aten.add.Tensor or len(node.args) != 2 or node.args[0] is node.args[1]:
        return 0
    if not all(has_tensor(arg) and shape_of(arg) == shape_of(node) for arg in node.args):
        return 0
    return sum(_products(editor, node, arg) for arg in node.args)


def _averaged(editor: GraphEditor, mean: Node, node: Node) -> Node:
    """The mean of ``node``, which ``mean`` would compute, with the products that it passes behind it."""
    count = 1 if node.target is aten.linear.default else 2
    operands = [operand(node, index) for index in range(count)]
    averaged = [
        _averaged(editor, mean, source)
        if _products(editor, node, source)
        else editor.call(mean, aten.mean.dim, source, *mean.args[1:], kwargs=mean.kwargs)
        for source in operands
    ]
    return editor.repeat(node, *averaged, *node.args[count:], at=mean)
