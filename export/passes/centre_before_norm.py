"""Let the product in front of a layer normalisation compute centred values, and say so.

Needs: ``layer_norm`` over the last axis of what a linear layer, or a convolution behind a permute and reshapes that
keep its channels as the last axis, computes for nobody else; constant weights.
Guarantees: the same function. The mean over the channels is subtracted from the weights (LN(x) = LN(x - mean(x))), so
the mean that the normalisation would compute is 0; ``is_centred`` tells it to the pass that phrases it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, as_double, is_call, only_user, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "centre_before_norm"
MARK = "edgevit_export_centred"


def run(editor: GraphEditor) -> PassLog:
    """Centre every product whose only reader is a layer normalisation."""
    import torch

    found = sum(_centre(editor, node) for node in editor.nodes(torch.ops.aten.layer_norm.default))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} products centred")


def is_centred(norm: Node) -> bool:
    """Whether the input of ``norm`` has the mean 0 over its last axis by construction."""
    return norm.meta.get(MARK) is True


def _centre(editor: GraphEditor, norm: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if is_centred(norm) or len(cast("list[int]", norm.args[1])) != 1:
        return False
    product = _producer(norm)
    if product is None or product.kwargs:
        return False
    weight, bias = editor.constant(product.args[1]), editor.constant(argument(product, 2, "bias"))
    if weight is None or (bias is None) != (argument(product, 2, "bias") is None):
        return False
    double = as_double(weight)
    constants: list[object] = [editor.add_constant((double - double.mean(0)).to(weight.dtype), product, "weight")]
    if bias is not None:
        double = as_double(bias)
        constants.append(editor.add_constant((double - double.mean()).to(bias.dtype), product, "bias"))
    elif is_call(product, aten.conv2d.default):
        constants.append(None)
    args = (product.args[0], *constants, *product.args[3:])
    editor.replace(product, editor.call(product.target, args, before=product, like=product))  # type: ignore[arg-type]
    norm.meta[MARK] = True
    return True


def _producer(norm: Node) -> Node | None:
    """The product that ``norm`` alone reads, with its output channels as the last axis of what ``norm`` sees."""
    import torch

    aten = torch.ops.aten
    user, node = norm, cast("Node", norm.args[0])
    while only_user(node) is user and is_call(node, aten.reshape.default):
        inner = cast("Node", node.args[0])
        if sizes_of(node) is None or shape_of(inner)[-1] != shape_of(node)[-1]:
            return None
        user, node = node, inner
    if only_user(node) is not user:
        return None
    if is_call(node, aten.linear.default):
        return node
    if not is_call(node, aten.permute.default) or node.args[1] != [0, 2, 3, 1]:
        return None
    conv = cast("Node", node.args[0])
    whole = is_call(conv, aten.conv2d.default) and argument(conv, 6, "groups", 1) == 1
    return conv if whole and only_user(conv) is node else None
