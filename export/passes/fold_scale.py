"""Fold a product with a number into the linear layer that computes one of its factors.

Needs: ``mul`` or ``div`` by a number of a value that comes, through views and at most through one side of ``matmul``,
from a linear layer or convolution with constant weights whose results nobody else uses.
Guarantees: the same function, one elementwise call less. For attention: softmax(scale * q k^T) has its scale in the
rows of the query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, as_double, is_call, only_user

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "fold_scale"


def run(editor: GraphEditor) -> PassLog:
    """Fold every number that finds a linear layer."""
    import torch

    aten = torch.ops.aten
    folded = sum(_fold(editor, node) for node in editor.nodes(aten.mul.Tensor, aten.div.Tensor))
    return PassLog(name=NAME, rewrites=folded, detail=f"{folded} factors folded")


def _fold(editor: GraphEditor, node: Node) -> bool:
    import torch

    factor = node.args[1]
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or node.kwargs or factor == 0:
        return False
    if node.target is torch.ops.aten.div.Tensor:
        factor = 1 / factor
    product = _product_of(editor, node, cast("Node", node.args[0]))
    if product is None:
        return False
    _scale(editor, product, float(factor))
    editor.replace(node, cast("Node", node.args[0]))
    return True


def _product_of(editor: GraphEditor, user: Node, node: Node) -> Node | None:
    """The product whose weights scale ``node``, if only ``user`` sees ``node``."""
    import torch

    aten = torch.ops.aten
    if not is_call(node) and not hasattr(node, "target"):
        return None
    if only_user(node) is not user:
        return None
    if is_call(node, aten.linear.default, aten.conv2d.default):
        weights = node.args[1:3]
        constant = all(item is None or editor.constant(item) is not None for item in weights)
        return node if constant and not node.kwargs else None
    views = (aten.reshape.default, aten.permute.default, aten.select.int, aten.slice.Tensor)
    if is_call(node, *views):
        return _product_of(editor, node, cast("Node", node.args[0]))
    if is_call(node, aten.matmul.default):
        sides = (_product_of(editor, node, cast("Node", side)) for side in node.args)
        return next((side for side in sides if side is not None), None)
    return None


def _scale(editor: GraphEditor, product: Node, factor: float) -> None:
    weight = cast("Tensor", editor.constant(product.args[1]))
    bias = editor.constant(argument(product, 2, "bias"))
    constants = [editor.add_constant((as_double(weight) * factor).to(weight.dtype), product, "weight")]
    if bias is not None:
        constants.append(editor.add_constant((as_double(bias) * factor).to(bias.dtype), product, "bias"))
    rest = product.args[3:] if bias is not None or len(product.args) < 3 else product.args[2:]
    args = (product.args[0], *constants, *rest)
    editor.replace(product, editor.call(product.target, args, before=product, like=product))  # type: ignore[arg-type]
