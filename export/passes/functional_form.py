"""Replace calls that write into their input by those that return a new tensor.

Needs: in-place calls (``relu_``) that are the only readers of what they write into, itself the result of a call that
makes a new tensor.
Guarantees: the same function; the passes behind it may move calls. ``blocked`` tells when a graph has other writes:
such a graph is not optimised at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, only_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.fx import Node

NAME = "functional_form"


def run(editor: GraphEditor) -> PassLog:
    """Replace every in-place call that has a functional twin."""
    found = 0
    for node in editor.nodes():
        twin = _twin(node)
        if twin is not None:
            new = editor.call(twin, node.args, dict(node.kwargs), before=node, like=node)
            node.replace_all_uses_with(new)
            editor.graph.erase_node(node)
            found += 1
    return PassLog(name=NAME, rewrites=found, detail=f"{found} in-place calls")


def blocked(editor: GraphEditor) -> PassLog | None:
    """Why nothing may be moved in this graph; None if everything may."""
    names = sorted({str(node.target) for node in editor.nodes() if _writes(node) and _twin(node) is None})
    if not names:
        return None
    return PassLog(
        name=NAME, rewrites=0, detail=f"not optimised: {', '.join(names)} write into tensors that others read"
    )


def _writes(node: Node) -> bool:
    import torch

    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _twin(node: Node) -> Callable[..., object] | None:
    import torch
    from torch.fx import Node

    if not _writes(node) or not node.args or not isinstance(node.args[0], Node):
        return None
    source = node.args[0]
    target = cast("torch._ops.OpOverload", node.target)
    name = target._schema.name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    if packet is None or only_user(source) is not node or source.op != "call_function" or _is_view(source):
        return None
    twin = getattr(packet, target._overloadname, None)
    return cast("Callable[..., object] | None", twin)


def _is_view(node: Node) -> bool:
    """Whether the result may share memory with an input of the call."""
    import torch

    if not isinstance(node.target, torch._ops.OpOverload):
        return True
    return any(result.alias_info is not None for result in node.target._schema.returns) or (
        node.target in (torch.ops.aten.reshape.default, torch.ops.aten.contiguous.default)
        or node.target in (torch.ops.aten.flatten.using_ints, torch.ops.aten.dropout.default)
    )
