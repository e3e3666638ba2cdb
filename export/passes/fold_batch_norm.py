"""Fold batch normalisation into a neighbouring product.

Needs: ``batch_norm`` in eval mode with constant statistics.
Guarantees: the same function. It folds, in this order of preference,
into the convolution or linear layer in front of it, if nothing else uses that one's result;
into those behind it, if all its users are convolutions without padding (with zero padding the border would change),
depthwise ones included;
through a mean over all positions into the linear layer behind.
What cannot be folded stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, as_double, has_tensor, is_call, only_user, shape_of, value_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "fold_batch_norm"


def run(editor: GraphEditor) -> PassLog:
    """Fold every batch normalisation that has a fitting neighbour."""
    import torch

    counts = {"into the product before": 0, "into the products after": 0, "through the mean": 0}
    for node in editor.nodes(torch.ops.aten.batch_norm.default):
        affine = affine_of(editor, node)
        if affine is None:
            continue
        for kind, fold in zip(counts, (_into_producer, _into_users, _through_mean), strict=True):
            if fold(editor, node, *affine):
                counts[kind] += 1
                break
    detail = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return PassLog(name=NAME, rewrites=sum(counts.values()), detail=detail)


def affine_of(editor: GraphEditor, node: Node) -> tuple[Tensor, Tensor] | None:
    """Scale and shift per channel, in float64, that ``node`` applies; None if it is not constant."""
    import torch

    if argument(node, 5, "training") is not False:
        return None
    weight, bias, mean, variance = (editor.constant(argument(node, i, "")) for i in range(1, 5))
    given = [argument(node, i, "") is not None for i in (1, 2)]
    if mean is None or variance is None or given != [weight is not None, bias is not None]:
        return None
    scale = torch.rsqrt(as_double(variance) + cast("float", argument(node, 7, "eps")))
    if weight is not None:
        scale = scale * as_double(weight)
    shift = -as_double(mean) * scale
    if bias is not None:
        shift = shift + as_double(bias)
    return scale, shift


def _into_producer(editor: GraphEditor, node: Node, scale: Tensor, shift: Tensor) -> bool:
    import torch

    aten = torch.ops.aten
    source = cast("Node", node.args[0])
    if not is_call(source, aten.conv2d.default, aten.linear.default) or only_user(source) is not node:
        return False
    if source.target is aten.linear.default and len(shape_of(source)) != 2:
        return False
    weight, bias = editor.constant(source.args[1]), editor.constant(argument(source, 2, "bias"))
    if weight is None or (bias is None) != (argument(source, 2, "bias") is None):
        return False
    new_weight = as_double(weight) * scale.reshape(-1, *[1] * (weight.dim() - 1))
    new_bias = shift if bias is None else as_double(bias) * scale + shift
    new = _with_weights(editor, source, new_weight, new_bias, source.args[0])
    editor.replace(node, new)
    return True


def _into_users(editor: GraphEditor, node: Node, scale: Tensor, shift: Tensor) -> bool:
    import torch

    users = list(node.users)
    if not all(_unpadded(editor, user, node) for user in users):
        return False
    for user in users:
        weight = as_double(cast("Tensor", editor.constant(user.args[1])))
        bias = editor.constant(argument(user, 2, "bias"))
        groups = cast("int", argument(user, 6, "groups", 1)) if user.target is torch.ops.aten.conv2d.default else 1
        per_group = scale.reshape(groups, 1, -1), shift.reshape(groups, 1, -1)
        spread = [part.expand(groups, weight.shape[0] // groups, -1).reshape(weight.shape[:2]) for part in per_group]
        ones = [1] * (weight.dim() - 2)
        new_bias = (weight * spread[1].reshape(*weight.shape[:2], *ones)).flatten(1).sum(1)
        if bias is not None:
            new_bias = new_bias + as_double(bias)
        new_weight = weight * spread[0].reshape(*weight.shape[:2], *ones)
        editor.replace(user, _with_weights(editor, user, new_weight, new_bias, node.args[0]))
    return True


def _unpadded(editor: GraphEditor, user: Node, node: Node) -> bool:
    """Whether ``user`` is a product with constant weights that sees no position outside its input."""
    import torch

    aten = torch.ops.aten
    if user.args[:1] != (node,) or editor.constant(argument(user, 1, "weight")) is None:
        return False
    if (argument(user, 2, "bias") is None) != (editor.constant(argument(user, 2, "bias")) is None):
        return False
    if user.target is aten.linear.default:
        return len(shape_of(node)) == 2
    if user.target is not aten.conv2d.default or user.kwargs:
        return False
    padding = argument(user, 4, "padding", 0)
    return padding == 0 or all(size == 0 for size in cast("list[int]", padding))


def _through_mean(editor: GraphEditor, node: Node, scale: Tensor, shift: Tensor) -> bool:
    """BatchNorm -> (flatten positions) -> mean over positions -> (flatten) -> linear."""
    import torch

    aten = torch.ops.aten
    chain = _mean_chain(node)
    if chain is None or not is_call(chain[-1], aten.linear.default) or chain[-1].args[0] is not chain[-2]:
        return False
    linear = chain[-1]
    weight, bias = editor.constant(linear.args[1]), editor.constant(argument(linear, 2, "bias"))
    if weight is None or (bias is None) != (argument(linear, 2, "bias") is None):
        return False
    new_bias = as_double(weight) @ shift
    if bias is not None:
        new_bias = new_bias + as_double(bias)
    chain[0].replace_input_with(node, cast("Node", node.args[0]))
    new = _with_weights(editor, linear, as_double(weight) * scale, new_bias, linear.args[0])
    editor.replace(linear, new)
    return True


def _mean_chain(node: Node) -> list[Node] | None:
    """The users behind ``node`` up to the first one behind the mean that keeps (N, C) only; None if it branches."""
    import torch

    aten = torch.ops.aten
    batch_and_channels = shape_of(node)[:2]
    chain: list[Node] = []
    current, averaged = node, False
    while (user := only_user(current)) is not None and has_tensor(user) and user.args[0] is current:
        chain.append(user)
        if averaged and user.target is aten.linear.default and len(shape_of(current)) == 2:
            return chain
        if (user.target is aten.mean.dim and not averaged and _over_positions(user, current)) or (
            user.target is aten.adaptive_avg_pool2d.default and user.args[1] in ([1, 1], (1, 1))
        ):
            averaged = True
        elif user.target is not aten.reshape.default and user.target is not aten.flatten.using_ints:
            return None
        if shape_of(user)[:2] != batch_and_channels:
            return None
        current = user
    return None


def _over_positions(mean: Node, source: Node) -> bool:
    rank = len(shape_of(source))
    dims = argument(mean, 1, "dim")
    if not dims or argument(mean, 3, "dtype") is not None:
        return False
    return all(axis % rank >= 2 for axis in cast("list[int]", dims))


def _with_weights(editor: GraphEditor, node: Node, weight: Tensor, bias: Tensor, source: object) -> Node:
    dtype = value_of(node).dtype
    constants = (
        editor.add_constant(weight.to(dtype), node, "weight"),
        editor.add_constant(bias.to(dtype), node, "bias"),
    )
    target = node.target
    return editor.call(target, (source, *constants, *node.args[3:]), before=node, like=node)  # type: ignore[arg-type]
