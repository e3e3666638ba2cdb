"""Compute only the part of a result that anything reads: the last block of a transformer for its class token alone.

Needs: views as ``canonical_views`` leaves them; a call all of whose readers take the same part of the same axis, at
most half of it and not of axis 0, where that part needs no more than the same part of its operands: linear layers,
normalisations, softmaxes and products along another axis, the queries of an attention, elementwise calls, views.
Guarantees: the same values from fewer rows. What a convolution's activation reads stays whole: runtimes compute the
activation inside of the convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.passes.sink_views import BINARY, UNARY, axis_groups
from export.patterns import (
    argument,
    aten,
    axes_of,
    axis_of,
    has_tensor,
    ints,
    is_call,
    operand,
    rank_of,
    shape_of,
)


class _Part(NamedTuple):
    """What ``slice`` takes of an axis, all counted from 0."""

    axis: int
    start: int
    end: int
    step: int

    @property
    def size(self) -> int:
        """How many it takes."""
        return -(-(self.end - self.start) // self.step)


Operands = tuple[object, ...] | None


def run(editor: GraphEditor) -> PassLog:
    """Move every such part as far up as it goes, the last call first."""
    found = 0
    for node in reversed(list(editor.nodes())):
        part = _part_read(node) if has_tensor(node) else None
        operands = None if part is None else _operands(editor, node, part)
        if part is None or operands is None:
            continue
        new = editor.repeat(node, *operands)
        for user in list(node.users):
            is_slice = user.target is aten.slice.Tensor
            editor.replace(user, new if is_slice else editor.reshape(user, new, [-1, *shape_of(user)[1:]]))
        editor.graph.erase_node(node)
        found += 1
    editor.sweep()
    return PassLog(name="rows_that_are_read", rewrites=found, detail=f"{found} calls on the part that is read")


def _part_read(node: Node) -> _Part | None:
    """The part that all readers of ``node`` take, if it is one that pays."""
    parts = {_part_taken(user, node) for user in node.users}
    part = parts.pop() if len(parts) == 1 else None
    return part if part is not None and 0 < 2 * part.size <= shape_of(node)[part.axis] else None


def _part_taken(user: Node, node: Node) -> _Part | None:
    """What the slice or select ``user`` takes of ``node``; None for another call, and for a part of axis 0."""
    if not is_call(user, aten.slice.Tensor, aten.select.int) or user.args[0] is not node or user.kwargs:
        return None
    axis = axis_of(user)
    size = shape_of(node)[axis]
    if axis == 0 or not all(isinstance(one, int) for one in (*shape_of(node)[1:], *user.args[1:])):
        return None
    if user.target is aten.select.int:
        (index,) = ints(user.args[2])
        return _Part(axis, index % size, index % size + 1, 1)
    (step,) = ints(argument(user, 4, "step", 1))
    bounds = (argument(user, 2, "start", 0), argument(user, 3, "end", size))
    start, end, _ = slice(*(ints(bound)[0] for bound in bounds)).indices(size)
    return _Part(axis, start, end, step)


def _operands(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    """The arguments with which ``node`` gives ``part`` of its result; None if it needs more than parts of them."""
    if node.kwargs:
        return None
    if node.target in UNARY:
        return None if is_call(operand(node), aten.conv2d.default) else _first(editor, node, part)
    if node.target in BINARY:
        return _binary(editor, node, part)
    rule = _RULES.get(node.target)
    return None if rule is None else rule(editor, node, part)


def _first(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    return (_taken(editor, node, node.args[0], part), *node.args[1:])


def _taken(editor: GraphEditor, node: Node, source: object, part: _Part) -> object:
    tensor = editor.constant(source)
    if tensor is None:
        return editor.call(node, aten.slice.Tensor, source, *part)
    index = [slice(None)] * part.axis + [slice(*part[1:])]
    return editor.add_constant(tensor[tuple(index)], node, "part")


def _binary(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    """Each operand has the axis, counted from the end, or is broadcast along it."""
    if len(node.args) != 2:
        return None
    found: list[object] = []
    for source in node.args:
        axis = part.axis - rank_of(node) + rank_of(source) if has_tensor(source) else -1
        whole = axis < 0 or not isinstance(source, Node) or shape_of(source)[axis] == 1
        found.append(source if whole else _taken(editor, node, source, part._replace(axis=axis)))
    return tuple(found)


def _last_axis(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    return None if part.axis == rank_of(node) - 1 else _first(editor, node, part)


def _layer_norm(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    return None if part.axis >= rank_of(node) - len(ints(node.args[1])) else _first(editor, node, part)


def _softmax(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    return None if part.axis == axis_of(node) else _first(editor, node, part)


def _matmul(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    """Rows of the first, or columns of the second operand."""
    first, second = operand(node, 0), operand(node, 1)
    place = part.axis - rank_of(node)
    if min(rank_of(first), rank_of(second)) < 2 or place not in (-2, -1):
        return None
    if place == -2:
        return _taken(editor, node, first, part._replace(axis=rank_of(first) - 2)), second
    return first, _taken(editor, node, second, part._replace(axis=rank_of(second) - 1))


def _attention(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    """Queries; a mask has a row for each of them."""
    plain = argument(node, 3, "attn_mask") is None and not argument(node, 5, "is_causal", default=False)
    return _first(editor, node, part) if plain and part.axis == rank_of(node) - 2 else None


def _permute(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    return _first(editor, node, part._replace(axis=axes_of(node)[part.axis])) if axes_of(node)[part.axis] else None


def _reshape(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    """The axis has to be one of the operand too."""
    groups = axis_groups(shape_of(operand(node)), shape_of(node))
    left = next((left for left, right in groups or () if right == [part.axis]), [])
    if len(left) != 1 or left == [0]:
        return None
    sizes = [-1, *shape_of(node)[1:]]
    sizes[part.axis] = part.size
    return _taken(editor, node, operand(node), part._replace(axis=left[0])), sizes


def _cat(editor: GraphEditor, node: Node, part: _Part) -> Operands:
    sources, (axis,) = node.args[0], ints(argument(node, 1, "dim", 0))
    if axis % rank_of(node) == part.axis or not isinstance(sources, (list, tuple)):
        return None
    return [_taken(editor, node, source, part) for source in sources], axis


_RULES: dict[object, Callable[[GraphEditor, Node, _Part], Operands]] = {
    aten.linear.default: _last_axis,
    aten.layer_norm.default: _layer_norm,
    aten.softmax.int: _softmax,
    aten.matmul.default: _matmul,
    aten.bmm.default: _matmul,
    aten.scaled_dot_product_attention.default: _attention,
    aten.permute.default: _permute,
    aten.reshape.default: _reshape,
    aten.cat.default: _cat,
}
