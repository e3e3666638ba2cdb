"""Replace calls that write into their input by those that return a new tensor.

Needs: in-place calls (``relu_``) that are the only readers of what they write into, itself the result of a call that
makes a new tensor.
Guarantees: the same function; the passes behind it may move calls. ``writes_seen_by_others`` tells of all other writes:
a graph that has some is not optimised at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

from torch._ops import OpOverload
from torch.fx import Node

from export.artifact import Refusal
from export.graph_editor import GraphEditor, Refusals, each_call
from export.patterns import aten, is_call, only_user

SOMETIMES_VIEWS = (
    aten.reshape.default, aten.contiguous.default, aten.flatten.using_ints, aten._unsafe_view.default,
    aten.einsum.default, aten.type_as.default, aten.sum_to_size.default, aten.atleast_1d.default,
    aten.atleast_2d.default, aten.atleast_3d.default, aten.dropout.default, aten.feature_dropout.default,
    aten.alpha_dropout.default, aten.feature_alpha_dropout.default,
)  # fmt: skip
"""Calls that return their input, or a view of it, in some cases without saying so in their schema."""


@each_call(done="in-place calls")
def run(editor: GraphEditor, node: Node) -> bool:
    """Replace every in-place call that has a functional twin."""
    twin = _twin(node.target)
    if twin is None or _why_not(node) is not None:
        return False
    new = editor.call(node, twin, *node.args, kwargs=node.kwargs)
    node.replace_all_uses_with(new)
    editor.graph.erase_node(node)
    return True


def writes_seen_by_others(editor: GraphEditor) -> tuple[Refusal, ...]:
    """The writes for which nothing may be moved in this graph; none if everything may."""
    refusals = Refusals()
    for node in editor.nodes():
        if _writes(node.target) and (why := _why_not(node)) is not None:
            refusals.add(node, why)
    return refusals.rows()


def _writes(target: object) -> TypeGuard[OpOverload[..., object]]:
    return isinstance(target, OpOverload) and target._schema.is_mutable


def _why_not(node: Node) -> str | None:
    """Why an in-place call must stay one; None if its functional form does the same for all who read the result."""
    source = node.args[0] if node.args else None
    if not is_call(source):
        return "it writes into an input or a weight"
    if only_user(source) is not node:
        return "others read what it writes into"
    if _is_view(source):
        return "it writes into what may be a view of another tensor"
    return "it has no functional form" if _twin(node.target) is None else None


def _twin(target: object) -> Callable[..., object] | None:
    """The functional form of an in-place operator; None if there is none."""
    if not _writes(target):
        return None
    name = target._schema.name.removeprefix("aten::")
    packet = getattr(aten, name.removesuffix("_"), None) if name.endswith("_") else None
    twin: Callable[..., object] | None = getattr(packet, target._overloadname, None)
    return twin


def _is_view(node: Node) -> bool:
    """Whether the result may share memory with an input of the call."""
    if not isinstance(node.target, OpOverload) or node.target in SOMETIMES_VIEWS:
        return True
    return any(result.alias_info is not None for result in node.target._schema.returns)
