"""Fold batch normalisation into a neighbouring product.

Needs: ``batch_norm`` in eval mode with constant statistics.
Guarantees: the same function. It folds, in this order of preference,
into the convolution or linear layer in front of it, if nothing else uses that one's result, through reshapes to rows;
into those behind it, if all its users are convolutions without padding (with zero padding the border would change),
depthwise ones included;
through a mean over all positions into the linear layer behind.
What cannot be folded stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals
from export.patterns import (
    argument,
    as_double,
    aten,
    has_tensor,
    is_call,
    is_number,
    keeps_last_axis,
    mean_axes,
    only_user,
    operand,
    rank_of,
    shape_of,
    window_of,
)

CHANNELS_ON_AXIS_1: dict[object, int] = {aten.conv2d.default: 4, aten.linear.default: 2}
"""The rank of the values that a product has its channels on the axis of the normalisation for."""


def run(editor: GraphEditor) -> PassLog:
    """Fold every batch normalisation that has a fitting neighbour."""
    counts, refusals = dict.fromkeys(FOLDS, 0), Refusals()
    for node in editor.nodes(aten.batch_norm.default):
        affine = affine_of(editor, node)
        if affine is None:
            refusals.add(node, "its statistics, scale or shift are computed")
            continue
        for kind, fold in FOLDS.items():
            if fold(editor, node, *affine):
                counts[kind] += 1
                break
        else:
            refusals.add(node, _why_not(editor, node))
    detail = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    rewrites = sum(counts.values())
    return PassLog(name="fold_batch_norm", rewrites=rewrites, detail=detail, refused=refusals.rows())


def affine_of(editor: GraphEditor, node: Node) -> tuple[Tensor, Tensor] | None:
    """Scale and shift that ``node`` applies, each (C,) float64; None if they are not constant."""
    eps = argument(node, 7, "eps")
    if argument(node, 5, "training") is not False or not is_number(eps):
        return None
    weight, bias, mean, variance = (editor.constant(argument(node, i, "")) for i in range(1, 5))
    given = [argument(node, i, "") is not None for i in (1, 2)]
    if mean is None or variance is None or given != [weight is not None, bias is not None]:
        return None
    scale = torch.rsqrt(as_double(variance) + eps)
    if weight is not None:
        scale = scale * as_double(weight)
    shift = -as_double(mean) * scale
    if bias is not None:
        shift = shift + as_double(bias)
    return scale, shift


def _into_producer(editor: GraphEditor, node: Node, scale: Tensor, shift: Tensor) -> bool:
    """(W x + b) * scale + shift is (W * scale) x + (b * scale + shift), by output channel; both are (out,)."""
    source = _product_before(node)
    weights = None if source is None else editor.weights(source)
    if source is None or weights is None:
        return False
    weight, bias = weights
    new_weight = as_double(weight) * scale.reshape(-1, *[1] * (weight.dim() - 1))
    new_bias = shift if bias is None else as_double(bias) * scale + shift
    editor.replace(source, editor.with_weights(source, new_weight, new_bias))
    editor.replace(node, operand(node))
    return True


def _product_before(node: Node) -> Node | None:
    """The product whose result ``node`` alone normalises, channel by channel.

    LeViT flattens its tokens in front of the normalisation: rows of a matrix are the positions of a linear layer.
    """
    user, source = node, operand(node)
    rows = rank_of(node) == CHANNELS_ON_AXIS_1[aten.linear.default]
    while rows and is_call(source, aten.reshape.default) and keeps_last_axis(source) and only_user(source) is user:
        user, source = source, operand(source)
    if not is_call(source, aten.conv2d.default, aten.linear.default) or only_user(source) is not user:
        return None
    flattened = source.target is aten.linear.default and user is not node
    return source if flattened or rank_of(source) == CHANNELS_ON_AXIS_1[source.target] else None


def _into_users(editor: GraphEditor, node: Node, scale: Tensor, shift: Tensor) -> bool:
    """W (x * scale + shift) + b is (W * scale) x + (W shift + b), by input channel; both are (in,)."""
    products = [(user, _unpadded_weights(editor, user, node)) for user in node.users]
    if any(weights is None for _, weights in products):
        return False
    for user, weights in products:
        assert weights is not None
        weight, bias = as_double(weights[0]), weights[1]
        groups = window_of(user).groups if user.target is aten.conv2d.default else 1
        per_group = scale.reshape(groups, 1, -1), shift.reshape(groups, 1, -1)
        spread = [part.expand(groups, weight.shape[0] // groups, -1).reshape(weight.shape[:2]) for part in per_group]
        ones = [1] * (weight.dim() - 2)
        new_bias = (weight * spread[1].reshape(*weight.shape[:2], *ones)).flatten(1).sum(1)
        if bias is not None:
            new_bias = new_bias + as_double(bias)
        new_weight = weight * spread[0].reshape(*weight.shape[:2], *ones)
        editor.replace(user, editor.with_weights(user, new_weight, new_bias, operand(node)))
    return True


def _unpadded_weights(editor: GraphEditor, user: Node, node: Node) -> tuple[Tensor, Tensor | None] | None:
    """Weight and bias of ``user`` if they are constant and it sees no position outside its input, else None."""
    if user.args[:1] != (node,) or rank_of(node) != CHANNELS_ON_AXIS_1.get(user.target):
        return None
    if user.target is aten.conv2d.default and window_of(user).padding != (0, 0):
        return None
    return editor.weights(user)


def _through_mean(editor: GraphEditor, node: Node, scale: Tensor, shift: Tensor) -> bool:
    """BatchNorm -> (flatten positions) -> mean over positions -> (flatten) -> linear; both are (in,)."""
    chain = _mean_chain(node)
    if chain is None:
        return False
    linear = chain[-1]
    weights = editor.weights(linear)
    if weights is None:
        return False
    weight, bias = as_double(weights[0]), weights[1]
    new_bias = weight @ shift
    if bias is not None:
        new_bias = new_bias + as_double(bias)
    chain[0].replace_input_with(node, operand(node))
    editor.replace(linear, editor.with_weights(linear, weight * scale, new_bias))
    return True


def _mean_chain(node: Node) -> list[Node] | None:
    """The users behind ``node`` up to the linear layer behind the mean that keeps (N, C) only; None if it branches."""
    batch_and_channels = shape_of(node)[:2]
    chain: list[Node] = []
    current, averaged = node, False
    while (user := only_user(current)) is not None and has_tensor(user) and user.args[0] is current:
        chain.append(user)
        if averaged and user.target is aten.linear.default and rank_of(current) == 2:
            return chain
        if (user.target is aten.mean.dim and not averaged and _over_positions(user)) or (
            user.target is aten.adaptive_avg_pool2d.default and user.args[1] in ([1, 1], (1, 1))
        ):
            averaged = True
        elif user.target is not aten.reshape.default and user.target is not aten.flatten.using_ints:
            return None
        if shape_of(user)[:2] != batch_and_channels:
            return None
        current = user
    return None


def _over_positions(mean: Node) -> bool:
    axes = mean_axes(mean)
    return axes is not None and all(axis >= 2 for axis in axes)


FOLDS: dict[str, Callable[[GraphEditor, Node, Tensor, Tensor], bool]] = {
    "into the product before": _into_producer,
    "into the products after": _into_users,
    "through the mean": _through_mean,
}
"""The folds in order of preference, by what the log calls them."""


def _why_not(editor: GraphEditor, node: Node) -> str:
    """Why no fold takes a batch normalisation with constant statistics."""
    products = aten.conv2d.default, aten.linear.default
    source = operand(node)
    if is_call(source, *products):
        if only_user(source) is not node:
            return "others read the product in front of it"
        if editor.weights(source) is None:
            return "the weights of the product in front of it are computed"
        return "the product in front of it has its channels on another axis"
    behind = [user for user in node.users if is_call(user, *products)]
    if not behind:
        return "no product stands next to it"
    if len(behind) < len(node.users):
        return "others than products read it"
    if any(user.target is aten.conv2d.default and window_of(user).padding != (0, 0) for user in behind):
        return "a convolution behind it pads the border"
    return "the weights of a product behind it are computed, or its channels are on another axis"
