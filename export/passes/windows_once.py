"""Bring rows into another order once, in front of all projections that read them.

Needs: two or more ``linear`` layers that read one tensor, each followed by nothing but the same ``permute`` (behind the
same ``reshape``) that keeps the channels last, as ``sink_views`` leaves the windows of an image in front of query, key
and value.
Guarantees: the same function with one permute of the input instead of one of each result; linear layers take any order
of rows. Heads are split from the channels behind it.
"""

from __future__ import annotations

from collections import defaultdict

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import aten, axes_of, is_call, keeps_last_axis, only_user, operand, rank_of, shape_of, sizes_of


def run(editor: GraphEditor) -> PassLog:
    """Move every such permute in front of the layers that share it."""
    groups: dict[tuple[object, ...], list[Node]] = defaultdict(list)
    for linear in editor.nodes(aten.linear.default):
        permute = _permute_behind(linear)
        if permute is not None:
            groups[linear.args[0], shape_of(operand(permute))[:-1], axes_of(permute)].append(permute)
    shared = [permutes for permutes in groups.values() if len(permutes) > 1]
    for permutes in shared:
        _move(editor, permutes)
    editor.sweep()
    saved = sum(len(permutes) - 1 for permutes in shared)
    return PassLog(name="windows_once", rewrites=len(shared), detail=f"{saved} permutes of rows fewer")


def _permute_behind(linear: Node) -> Node | None:
    """The permute of whole rows that alone follows ``linear``, or a reshape that alone follows it."""
    user = only_user(linear)
    if keeps_last_axis(user) and is_call(user, aten.reshape.default):
        user = only_user(user)
    if not is_call(user, aten.permute.default) or sizes_of(user) is None:
        return None
    return user if axes_of(user)[-1] == rank_of(user) - 1 and sizes_of(operand(user)) is not None else None


def _move(editor: GraphEditor, permutes: list[Node]) -> None:
    first = permutes[0]
    layers = [_linear_of(permute) for permute in permutes]
    at = min(layers, key=list(editor.graph.nodes).index)
    source, sizes = operand(at), sizes_of(operand(first))
    assert sizes is not None, first.format_node()
    channels = shape_of(source)[-1]
    view = editor.reshape(at, source, [*sizes[:-1], channels], like=first)
    moved = editor.permute(at, view, axes_of(first), like=first)
    rows = editor.reshape(at, moved, [-1, channels], like=first)
    for permute, linear in zip(permutes, layers, strict=True):
        new = editor.repeat(linear, rows, *linear.args[1:])
        editor.replace(permute, editor.reshape(permute, new, [-1, *shape_of(permute)[1:]]))


def _linear_of(permute: Node) -> Node:
    source = operand(permute)
    return operand(source) if is_call(source, aten.reshape.default) else source
