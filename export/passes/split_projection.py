"""Give each part of a joint projection (query, key, value) its own linear layer.

Needs: ``linear`` with constant weights -> ``reshape`` that splits its last axis -> ``permute`` -> ``select`` of the
axis with the parts, each time with a constant index and no other user on the way.
Guarantees: the same function with one linear layer per part; the 5-dimensional permute and the selects are gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, is_call, only_user, shape_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "split_projection"


def run(editor: GraphEditor) -> PassLog:
    """Split every joint projection whose parts are selected."""
    import torch

    split = sum(_split(editor, node) for node in editor.nodes(torch.ops.aten.linear.default))
    return PassLog(name=NAME, rewrites=split, detail=f"{split} joint projections split")


def _split(editor: GraphEditor, linear: Node) -> bool:
    import torch

    aten = torch.ops.aten
    reshape = only_user(linear)
    weight = editor.constant(linear.args[1])
    if weight is None or linear.kwargs or not is_call(reshape, aten.reshape.default):
        return False
    reshape = cast("Node", reshape)
    bias = argument(linear, 2, "bias")
    heads = _split_of_last(linear, reshape)
    if heads is None or (bias is not None and editor.constant(bias) is None):
        return False
    permute = only_user(reshape)
    order = list(range(len(shape_of(reshape))))
    selected = reshape
    if is_call(permute, aten.permute.default):
        selected = cast("Node", permute)
        order = [axis % len(order) for axis in cast("list[int]", selected.args[1])]
    axis = _part_axis(selected)
    if axis is None or order[axis] < heads:
        return False
    for select in list(selected.users):
        _own_linear(editor, linear, weight, select, order, axis, heads)
    return True


def _split_of_last(linear: Node, reshape: Node) -> int | None:
    """First axis of ``reshape`` that comes from the last axis of ``linear``; None if it mixes in others."""
    total, shape = shape_of(linear)[-1], shape_of(reshape)
    if any(not isinstance(size, int) for size in shape[1:]):
        return None
    product, axis = 1, len(shape)
    while product < total and axis > 1:
        axis -= 1
        product *= shape[axis]
    return axis if product == total and axis < len(shape) - 1 else None


def _part_axis(selected: Node) -> int | None:
    import torch

    if not selected.users or not all(is_call(user, torch.ops.aten.select.int) for user in selected.users):
        return None
    rank = len(shape_of(selected))
    axes = {cast("int", user.args[1]) % rank for user in selected.users}
    if len(axes) != 1 or not all(isinstance(user.args[2], int) for user in selected.users):
        return None
    return axes.pop()


def _own_linear(
    editor: GraphEditor, linear: Node, weight: Tensor, select: Node, order: list[int], axis: int, heads: int
) -> None:
    """Rows of the part, then the same reshape and permute without the axis of the parts."""
    import torch

    aten = torch.ops.aten
    reshaped = _reshaped_sizes(select, order, axis)
    tail = reshaped[heads:]
    part = order[axis]
    index = cast("int", select.args[2])
    rows = torch.arange(weight.shape[0]).reshape(tail).select(part - heads, index).reshape(-1)
    bias = editor.constant(argument(linear, 2, "bias"))
    constants = [editor.add_constant(weight[rows], select, "weight")]
    if bias is not None:
        constants.append(editor.add_constant(bias[rows], select, "bias"))
    new = editor.call(aten.linear.default, (linear.args[0], *constants), before=select, like=linear)
    sizes = [size for position, size in enumerate(reshaped) if position != part]
    new = editor.call(aten.reshape.default, (new, [-1, *sizes[1:]]), before=select, like=select)
    kept = [position for position in order if position != part]
    axes = [position - (position > part) for position in kept]
    if axes != sorted(axes):
        new = editor.call(aten.permute.default, (new, axes), before=select, like=select)
    editor.replace(select, new)


def _reshaped_sizes(select: Node, order: list[int], axis: int) -> list[int]:
    shape = shape_of(cast("Node", select.args[0]))
    sizes = [0] * len(order)
    for position, size in zip(order, shape, strict=True):
        sizes[position] = size
    return sizes
