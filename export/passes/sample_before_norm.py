"""Take the sample first and normalise only what was taken.

Needs: ``layer_norm`` over the last axis whose only use, through reshapes that keep the last axis, is a slice of other
axes; views as ``sink_views`` leaves them.
Guarantees: the same function on ``step`` times fewer positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, is_call, only_user, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "sample_before_norm"


def run(editor: GraphEditor) -> PassLog:
    """Move every layer norm behind the slices of its result."""
    import torch

    moved = sum(_move(editor, node) for node in editor.nodes(torch.ops.aten.layer_norm.default))
    return PassLog(name=NAME, rewrites=moved, detail=f"{moved} normalisations on samples only")


def _move(editor: GraphEditor, norm: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if len(cast("list[int]", norm.args[1])) != 1 or norm.kwargs:
        return False
    chain = _chain(norm)
    while chain and chain[-1].target is not aten.slice.Tensor:
        chain.pop()
    if not chain:
        return False
    last, source = chain[-1], cast("Node", norm.args[0])
    for step in chain:
        source = editor.call(step.target, (source, *step.args[1:]), before=last, like=step)  # type: ignore[arg-type]
    new = editor.call(aten.layer_norm.default, (source, *norm.args[1:]), before=last, like=norm)
    editor.replace(last, new)
    return True


def _chain(norm: Node) -> list[Node]:
    """The only users behind ``norm``, one after the other, as long as they leave the last axis alone."""
    import torch

    aten = torch.ops.aten
    chain: list[Node] = []
    current = norm
    while (user := only_user(current)) is not None and user.args[:1] == (current,) and not user.kwargs:
        rank = len(shape_of(current))
        if is_call(user, aten.slice.Tensor):
            if cast("int", argument(user, 1, "dim", 0)) % rank == rank - 1:
                break
        elif not is_call(user, aten.reshape.default) or not _keeps_last(current, user):
            break
        chain.append(user)
        current = user
    return chain


def _keeps_last(source: Node, view: Node) -> bool:
    return sizes_of(view) is not None and len(shape_of(view)) > 1 and shape_of(source)[-1] == shape_of(view)[-1]
