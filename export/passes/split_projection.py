"""Give each part of a joint projection (query, key, value) its own linear layer.

Needs: ``linear`` with constant weights -> ``reshape`` that splits its last axis -> ``permute`` -> ``select`` of the
axis with the parts, each time with a constant index and no other user on the way.
Guarantees: the same function with one linear layer per part; the 5-dimensional permute and the selects are gone.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, aten, axes_of, axis_of, is_call, only_user, operand, rank_of, shape_of


@each_call(aten.linear.default, done="joint projections split")
def run(editor: GraphEditor, linear: Node) -> bool:
    """Split every joint projection whose parts are selected."""
    reshape = only_user(linear)
    if editor.weights(linear) is None or not is_call(reshape, aten.reshape.default):
        return False
    heads = _split_of_last(linear, reshape)
    if heads is None:
        return False
    permute = only_user(reshape)
    selected, order = reshape, tuple(range(rank_of(reshape)))
    if is_call(permute, aten.permute.default):
        selected, order = permute, axes_of(permute)
    axis = _part_axis(selected)
    if axis is None or order[axis] < heads:
        return False
    for select in list(selected.users):
        _own_linear(editor, linear, select, order, axis, heads)
    return True


def _split_of_last(linear: Node, reshape: Node) -> int | None:
    """First axis of ``reshape`` that comes from the last axis of ``linear``; None if it mixes in others."""
    total, shape = shape_of(linear)[-1], shape_of(reshape)
    if not are_fixed(shape[1:]):
        return None
    product, axis = 1, len(shape)
    while product < total and axis > 1:
        axis -= 1
        product *= shape[axis]
    return axis if product == total and axis < len(shape) - 1 else None


def _part_axis(selected: Node) -> int | None:
    """The one axis of ``selected`` from which all of its users select by a constant index; None if some do not."""
    if not all(is_call(user, aten.select.int) and isinstance(user.args[2], int) for user in selected.users):
        return None
    axes = {axis_of(user) for user in selected.users}
    return axes.pop() if len(axes) == 1 else None


def _own_linear(editor: GraphEditor, linear: Node, select: Node, order: tuple[int, ...], axis: int, heads: int) -> None:
    """Rows of the part, then the same reshape and permute without the axis of the parts."""
    reshaped = _reshaped_sizes(select, order)
    tail, part = reshaped[heads:], order[axis]
    index = select.args[2]
    weights = editor.weights(linear)
    assert weights is not None and isinstance(index, int)
    rows = torch.arange(weights[0].shape[0]).reshape(tail).select(part - heads, index).reshape(-1)
    constants = [
        editor.add_constant(tensor[rows], select, name)
        for tensor, name in zip(weights, ("weight", "bias"), strict=True)
        if tensor is not None
    ]
    new = editor.call(select, aten.linear.default, operand(linear), *constants, like=linear)
    sizes = [size for position, size in enumerate(reshaped) if position != part]
    new = editor.reshape(select, new, [-1, *sizes[1:]])
    axes = [position - (position > part) for position in order if position != part]
    if axes != sorted(axes):
        new = editor.permute(select, new, axes)
    editor.replace(select, new)


def _reshaped_sizes(select: Node, order: tuple[int, ...]) -> list[int]:
    """The shape that the linear layer's result was given, in front of its permutation into ``order``."""
    shape = shape_of(operand(select))
    return [shape[order.index(position)] for position in range(len(order))]
