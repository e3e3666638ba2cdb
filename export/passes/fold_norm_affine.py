"""Fold the scale and shift of layer normalisation into the linear layers behind it.

Needs: ``layer_norm`` over the last axis with constant scale or shift, all of whose users, through reshapes and slices
that leave the last axis alone, are linear layers with constant weights.
Guarantees: the same function; the normalisation has no scale and no shift any more.
"""

from __future__ import annotations

from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, as_double, aten, is_call, is_over_last_axis, keeps_last_axis


@each_call(aten.layer_norm.default, done="normalisations without scale and shift")
def run(editor: GraphEditor, norm: Node) -> bool | str:
    """Fold every scale and shift that only linear layers see."""
    nodes = argument(norm, 2, "weight"), argument(norm, 3, "bias")
    scale, shift = (editor.constant(node) for node in nodes)
    linears = _linears(editor, norm)
    if nodes == (None, None) or not (linears or any(is_call(user, aten.linear.default) for user in norm.users)):
        return False
    if (nodes[0] is None, nodes[1] is None) != (scale is None, shift is None):
        return "its scale or shift is computed"
    if not linears or not is_over_last_axis(norm):
        return "others than linear layers with constant weights read it"
    for linear in linears:
        _fold_into(editor, linear, scale, shift)
    args = (norm.args[0], norm.args[1], None, None, argument(norm, 4, "eps", 1e-5))
    editor.replace(norm, editor.call(norm, aten.layer_norm.default, *args))
    return True


def _linears(editor: GraphEditor, node: Node) -> list[Node] | None:
    """All linear layers that see ``node``; None if anything else does."""
    found: list[Node] = []
    for user in node.users:
        if user.args[:1] != (node,) or user.kwargs:
            return None
        if is_call(user, aten.linear.default) and editor.weights(user) is not None:
            found.append(user)
        elif keeps_last_axis(user) and (behind := _linears(editor, user)) is not None:
            found += behind
        else:
            return None
    return found


def _fold_into(editor: GraphEditor, linear: Node, scale: Tensor | None, shift: Tensor | None) -> None:
    """W (x * scale + shift) + bias is (W * scale) x + (W shift + bias); scale and shift are (channels in,)."""
    weights = editor.weights(linear)
    assert weights is not None
    weight, bias = weights
    new_bias = None if bias is None else as_double(bias)
    if shift is not None:
        moved = as_double(weight) @ as_double(shift)
        new_bias = moved if new_bias is None else new_bias + moved
    # a single product is rounded once, in whichever precision it is taken
    new_weight = weight if scale is None else weight * scale
    editor.replace(linear, editor.with_weights(linear, new_weight, new_bias))
