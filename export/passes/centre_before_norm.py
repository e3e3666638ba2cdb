"""Let what layer normalisations read be computed with the mean 0, and say so.

Needs: values that nothing but ``layer_norm`` over the last axis reads, directly or through sums of each other, views
and slices that keep the channels as the last axis, and concatenations along another: the result of a linear layer, or
the whole residual stream of a transformer. All that goes into them are linear layers, or convolutions behind a permute,
with constant weights that nothing else reads, and constants.
Guarantees: the same function. The mean over the channels is subtracted from these weights and constants
(LN(x) = LN(x - mean(x)), and sums of centred values are centred), so the mean that each normalisation would compute is
0; ``is_centred`` tells it to the pass that phrases it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import (
    argument,
    as_double,
    aten,
    axes_of,
    axis_of,
    has_tensor,
    is_call,
    is_over_last_axis,
    is_permute,
    keeps_last_axis,
    only_user,
    operand,
    rank_of,
    shape_of,
    value_of,
)
from export.program import TO_NHWC

MARK = "edgevit_export_centred"


@dataclass
class _Stream:
    """Values that are centred together, the products and constants that they are made of, and who reads them."""

    members: set[Node] = field(default_factory=set)
    sources: dict[Node, None] = field(default_factory=dict)
    norms: dict[Node, None] = field(default_factory=dict)


def is_centred(norm: Node) -> bool:
    """Whether the input of ``norm`` has the mean 0 over its last axis by construction."""
    return norm.meta.get(MARK) is True


def run(editor: GraphEditor) -> PassLog:
    """Centre every product and constant that layer normalisations alone read."""
    sources = norms = 0
    for norm in editor.nodes(aten.layer_norm.default):
        if is_centred(norm) or not is_over_last_axis(norm):
            continue
        stream = _stream_of(editor, norm)
        if stream is None:
            continue
        for source in stream.sources:
            _centre(editor, source)
        for reader in stream.norms:
            reader.meta[MARK] = True
        sources, norms = sources + len(stream.sources), norms + len(stream.norms)
    detail = f"{sources} products and constants centred in front of {norms} normalisations"
    return PassLog(name="centre_before_norm", rewrites=sources, detail=detail)


def _stream_of(editor: GraphEditor, norm: Node) -> _Stream | None:
    """All that has to be centred so that ``norm`` reads what is; None if something of it cannot."""
    stream, waiting = _Stream(), [operand(norm)]
    while waiting:
        node = waiting.pop()
        if node in stream.members:
            continue
        stream.members.add(node)
        source = _source(editor, node)
        operands = [] if source is not None else _parts(node)
        if operands is None:
            return None
        if source is not None:
            stream.sources[source] = None
        waiting += operands
        for user in node.users:
            if is_call(user, aten.layer_norm.default):
                if not is_over_last_axis(user) or node in (*user.args[1:], *user.kwargs.values()):
                    return None
                stream.norms[user] = None
            elif node not in (_parts(user) or ()):
                return None
            else:
                waiting.append(user)
    return stream


def _source(editor: GraphEditor, node: Node) -> Node | None:
    """The product or constant whose output channels are the last axis of ``node``, which alone shows them."""
    if editor.constant(node) is not None:
        return node
    if is_call(node, aten.linear.default):
        return node if editor.weights(node) is not None else None
    if not is_permute(node, TO_NHWC):
        return None
    conv = operand(node)
    whole = is_call(conv, aten.conv2d.default) and argument(conv, 6, "groups", 1) == 1
    return conv if whole and only_user(conv) is node and editor.weights(conv) is not None else None


def _parts(node: Node) -> list[Node] | None:
    """The operands of a call that gives centred rows if all of them have; None for another call."""
    if not is_call(node) or not has_tensor(node):
        return None
    parts: list[object] = [node.args[0]]
    if node.target is aten.add.Tensor and len(node.args) == 2 and not node.kwargs:
        parts.append(node.args[1])
    elif is_call(node, aten.cat.default) and isinstance(parts[0], (list, tuple)):
        parts = list(parts[0]) if int(str(argument(node, 1, "dim", 0))) % rank_of(node) != rank_of(node) - 1 else [None]
    elif not _shows_rows(node):
        return None
    fits = all(has_tensor(part) and shape_of(part)[-1:] == shape_of(node)[-1:] for part in parts)
    return [part for part in parts if isinstance(part, Node)] if fits else None


def _shows_rows(node: Node) -> bool:
    """Whether ``node`` is a view of whole rows of its operand."""
    if is_call(node, aten.permute.default):
        return axes_of(node)[-1] == rank_of(node) - 1
    if is_call(node, aten.select.int):
        return axis_of(node) != rank_of(operand(node)) - 1
    return keeps_last_axis(node)


def _centre(editor: GraphEditor, source: Node) -> None:
    """Subtract the mean over the output channels."""
    tensor = editor.constant(source)
    if tensor is not None:
        wide = as_double(tensor)
        centred = (wide - wide.mean(-1, keepdim=True)).to(value_of(source).dtype)
        editor.replace(source, editor.add_constant(centred, source, "centred"))
        return
    weights = editor.weights(source)
    assert weights is not None, source.format_node()
    weight, bias = as_double(weights[0]), weights[1]
    shift = None if bias is None else as_double(bias) - as_double(bias).mean()
    editor.replace(source, editor.with_weights(source, weight - weight.mean(0), shift))
