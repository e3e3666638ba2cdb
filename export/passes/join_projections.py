"""Compute the projections of one input (query, key, value) by one linear layer, and take its parts as views.

Needs: two or more ``linear`` layers with constant weights that read the same tensor and are alike in shape, each
followed by nothing but a ``reshape`` into heads and a ``permute`` that puts the heads in front.
Guarantees: the same function as one ``linear`` -> ``reshape`` and ``permute`` of all heads of all parts -> a slice of
the heads per part, and a transposition of the last two axes where a part was transposed. It undoes
``split_projection`` once all scales and shifts are folded, for runtimes where one large product is faster than three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import aten, axes_of, is_call, only_user, operand, shape_of, sizes_of

HEADS_FIRST = (0, 2, 1, 3)
TRANSPOSED = (0, 2, 3, 1)


@dataclass(frozen=True)
class _Part:
    """``linear`` -> ``reshape`` into heads -> ``permute``; ``weight`` is (out, in), ``bias`` (out,)."""

    linear: Node
    weight: Tensor
    bias: Tensor | None
    reshape: Node
    permute: Node


def run(editor: GraphEditor) -> PassLog:
    """Join all projections that fit."""
    return join_where(editor, "join_projections", lambda _: True)


def join_where(editor: GraphEditor, name: str, pays: Callable[[list[int]], bool]) -> PassLog:
    """Join the projections that fit and of which ``pays``, given the output columns of each, says that it helps.

    Args:
        editor: The graph.
        name: The pass that the log is of.
        pays: Asked for two or more projections that can be joined.
    """
    groups: dict[tuple[object, ...], list[_Part]] = defaultdict(list)
    for node in editor.nodes(aten.linear.default):
        part = _part(editor, node)
        if part is not None:
            groups[node.args[0], shape_of(part.reshape)[1:], part.bias is None].append(part)
    fitting = [parts for parts in groups.values() if len(parts) > 1]
    joined = [parts for parts in fitting if pays([part.weight.shape[0] for part in parts])]
    for parts in joined:
        _join(editor, parts)
    editor.sweep()
    layers = sum(len(parts) for parts in joined)
    detail = f"{layers} projections in {len(joined)} linear layers"
    return PassLog(name=name, rewrites=len(joined), detail=detail)


def _part(editor: GraphEditor, linear: Node) -> _Part | None:
    weights, reshape = editor.weights(linear), only_user(linear)
    if weights is None or not is_call(reshape, aten.reshape.default):
        return None
    sizes, permute = sizes_of(reshape), only_user(reshape)
    if sizes is None or len(sizes) != 4 or sizes[2] * sizes[3] != shape_of(linear)[-1]:
        return None
    if not is_call(permute, aten.permute.default) or axes_of(permute) not in (HEADS_FIRST, TRANSPOSED):
        return None
    return _Part(linear, *weights, reshape, permute)


def _join(editor: GraphEditor, parts: list[_Part]) -> None:
    first = parts[0].linear
    constants = [editor.add_constant(torch.cat([part.weight for part in parts]), first, "weight")]
    biases = [part.bias for part in parts if part.bias is not None]
    if biases:
        constants.append(editor.add_constant(torch.cat(biases), first, "bias"))
    _, tokens, heads, size = shape_of(parts[0].reshape)
    linear = editor.call(first, aten.linear.default, operand(first), *constants)
    split = editor.reshape(first, linear, [-1, tokens, len(parts) * heads, size], like=parts[0].reshape)
    order = editor.permute(first, split, HEADS_FIRST, like=parts[0].permute)
    for index, part in enumerate(parts):
        at = part.permute
        new = editor.call(at, aten.slice.Tensor, order, 1, index * heads, (index + 1) * heads)
        if axes_of(at) == TRANSPOSED:
            new = editor.permute(at, new, (0, 1, 3, 2))
        editor.replace(at, new)
