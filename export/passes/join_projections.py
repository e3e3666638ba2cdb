"""Compute the projections of one input (query, key, value) by one linear layer, and take its parts as views.

Needs: two or more ``linear`` layers with constant weights that read the same tensor and are alike in shape, each
followed by nothing but a ``reshape`` into heads and a ``permute`` that puts the heads in front.
Guarantees: the same function as one ``linear`` -> ``reshape`` and ``permute`` of all heads of all parts -> a slice of
the heads per part, and a transposition of the last two axes where a part was transposed. It undoes
``split_projection`` once all scales and shifts are folded, for runtimes where one large product is faster than three.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, is_call, only_user, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "join_projections"
HEADS_FIRST = [0, 2, 1, 3]
TRANSPOSED = [0, 2, 3, 1]


@dataclass(frozen=True)
class _Part:
    """``linear`` -> ``reshape`` into heads -> ``permute``."""

    linear: Node
    reshape: Node
    permute: Node


def run(editor: GraphEditor) -> PassLog:
    """Join all projections that fit."""
    import torch

    groups: dict[tuple[object, ...], list[_Part]] = defaultdict(list)
    for node in editor.nodes(torch.ops.aten.linear.default):
        part = _part(editor, node)
        if part is not None:
            without_bias = argument(node, 2, "bias") is None
            groups[node.args[0], shape_of(part.reshape)[1:], without_bias].append(part)
    joined = [parts for parts in groups.values() if len(parts) > 1]
    for parts in joined:
        _join(editor, parts)
    editor.sweep()
    layers = sum(len(parts) for parts in joined)
    return PassLog(name=NAME, rewrites=len(joined), detail=f"{layers} projections in {len(joined)} linear layers")


def _part(editor: GraphEditor, linear: Node) -> _Part | None:
    import torch

    aten = torch.ops.aten
    bias = argument(linear, 2, "bias")
    if editor.constant(linear.args[1]) is None or (bias is not None and editor.constant(bias) is None):
        return None
    reshape = only_user(linear)
    if linear.kwargs or not is_call(reshape, aten.reshape.default):
        return None
    reshape = cast("Node", reshape)
    sizes, permute = sizes_of(reshape), only_user(reshape)
    if sizes is None or len(sizes) != 4 or sizes[2] * sizes[3] != shape_of(linear)[-1]:
        return None
    if not is_call(permute, aten.permute.default) or cast("Node", permute).args[1] not in (HEADS_FIRST, TRANSPOSED):
        return None
    return _Part(linear, reshape, cast("Node", permute))


def _join(editor: GraphEditor, parts: list[_Part]) -> None:
    import torch

    aten = torch.ops.aten
    first = parts[0].linear

    def joined(index: int, name: str) -> Node:
        tensors = [cast("torch.Tensor", editor.constant(argument(part.linear, index, name))) for part in parts]
        return editor.add_constant(torch.cat(tensors), first, name)

    args: list[object] = [first.args[0], joined(1, "weight")]
    if argument(first, 2, "bias") is not None:
        args.append(joined(2, "bias"))
    _, tokens, heads, size = shape_of(parts[0].reshape)
    linear = editor.call(aten.linear.default, tuple(args), before=first, like=first)
    sizes = [-1, tokens, len(parts) * heads, size]
    split = editor.call(aten.reshape.default, (linear, sizes), before=first, like=parts[0].reshape)
    order = editor.call(aten.permute.default, (split, HEADS_FIRST), before=first, like=parts[0].permute)
    for index, part in enumerate(parts):
        bounds = (1, index * heads, (index + 1) * heads)
        new = editor.call(aten.slice.Tensor, (order, *bounds), before=part.permute, like=part.permute)
        if part.permute.args[1] == TRANSPOSED:
            new = editor.call(aten.permute.default, (new, [0, 1, 3, 2]), before=part.permute, like=part.permute)
        editor.replace(part.permute, new)
