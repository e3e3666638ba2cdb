"""Take the sample first and normalise only what was taken.

Needs: ``layer_norm`` over the last axis whose only use, through reshapes that keep the last axis, is a slice of other
axes; views as ``sink_views`` leaves them.
Guarantees: the same function on ``step`` times fewer positions.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, is_over_last_axis, keeps_last_axis, only_user, operand


@each_call(aten.layer_norm.default, done="normalisations on samples only")
def run(editor: GraphEditor, norm: Node) -> bool:
    """Move every layer norm behind the slices of its result."""
    if not is_over_last_axis(norm) or norm.kwargs:
        return False
    chain = _chain(norm)
    while chain and chain[-1].target is not aten.slice.Tensor:
        chain.pop()
    if not chain:
        return False
    last, source = chain[-1], operand(norm)
    for step in chain:
        source = editor.repeat(step, source, *step.args[1:], at=last)
    editor.replace(last, editor.repeat(norm, source, *norm.args[1:], at=last))
    return True


def _chain(norm: Node) -> list[Node]:
    """The only users behind ``norm``, one after the other, as long as they leave the last axis alone."""
    chain: list[Node] = []
    current = norm
    while (user := only_user(current)) is not None and user.args[:1] == (current,) and not user.kwargs:
        if not keeps_last_axis(user):
            break
        chain.append(user)
        current = user
    return chain
