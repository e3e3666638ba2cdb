"""Fold the scale and shift of layer normalisation into the linear layers behind it.

Needs: ``layer_norm`` over the last axis with constant scale or shift, all of whose users, through reshapes and slices
that leave the last axis alone, are linear layers with constant weights.
Guarantees: the same function; the normalisation has no scale and no shift any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, as_double, shape_of, sizes_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "fold_norm_affine"


def run(editor: GraphEditor) -> PassLog:
    """Fold every scale and shift that only linear layers see."""
    import torch

    folded = sum(_fold(editor, node) for node in editor.nodes(torch.ops.aten.layer_norm.default))
    return PassLog(name=NAME, rewrites=folded, detail=f"{folded} normalisations without scale and shift")


def _fold(editor: GraphEditor, norm: Node) -> bool:
    import torch

    nodes = argument(norm, 2, "weight"), argument(norm, 3, "bias")
    scale, shift = (editor.constant(node) for node in nodes)
    if nodes == (None, None) or (nodes[0] is None, nodes[1] is None) != (scale is None, shift is None):
        return False
    linears = _linears(editor, norm, norm)
    if not linears or len(cast("list[int]", norm.args[1])) != 1:
        return False
    for linear in linears:
        _fold_into(editor, linear, scale, shift)
    args = (norm.args[0], norm.args[1], None, None, argument(norm, 4, "eps", 1e-5))
    editor.replace(norm, editor.call(torch.ops.aten.layer_norm.default, args, before=norm, like=norm))
    return True


def _linears(editor: GraphEditor, norm: Node, node: Node) -> list[Node] | None:
    """All linear layers that see ``node``; None if anything else does."""
    import torch

    aten = torch.ops.aten
    found: list[Node] = []
    for user in node.users:
        if user.args[:1] != (node,) or user.kwargs:
            return None
        if user.target is aten.linear.default and _constant_weights(editor, user):
            found.append(user)
        elif user.target in (aten.reshape.default, aten.slice.Tensor) and _leaves_last(user, node):
            behind = _linears(editor, norm, user)
            if behind is None:
                return None
            found += behind
        else:
            return None
    return found


def _constant_weights(editor: GraphEditor, linear: Node) -> bool:
    bias = argument(linear, 2, "bias")
    return editor.constant(linear.args[1]) is not None and (bias is None or editor.constant(bias) is not None)


def _leaves_last(view: Node, source: Node) -> bool:
    import torch

    rank = len(shape_of(source))
    if view.target is torch.ops.aten.slice.Tensor:
        return cast("int", argument(view, 1, "dim", 0)) % rank != rank - 1
    return sizes_of(view) is not None and len(shape_of(view)) > 1 and shape_of(view)[-1] == shape_of(source)[-1]


def _fold_into(editor: GraphEditor, linear: Node, scale: Tensor | None, shift: Tensor | None) -> None:
    weight = cast("Tensor", editor.constant(linear.args[1]))
    bias = editor.constant(argument(linear, 2, "bias"))
    new_bias = None if bias is None else as_double(bias)
    if shift is not None:
        moved = as_double(weight) @ as_double(shift)
        new_bias = moved if new_bias is None else new_bias + moved
    # a single product is rounded once, in whichever precision it is taken
    new_weight = weight if scale is None else (weight * scale).to(weight.dtype)
    args = (
        linear.args[0],
        editor.add_constant(new_weight, linear, "weight"),
        None if new_bias is None else editor.add_constant(new_bias.to(weight.dtype), linear, "bias"),
    )
    editor.replace(linear, editor.call(linear.target, args, before=linear, like=linear))  # type: ignore[arg-type]
