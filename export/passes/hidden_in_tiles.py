"""Compute a wide hidden layer in tiles of its rows, so that it never takes more than ``TILE_BYTES``.

Needs: ``linear`` -> ``gelu``, ``relu`` or ``silu`` -> ``linear`` with no other reader in between, whose hidden tensor
is larger than ``TILE_BYTES``; all sizes fixed.
Guarantees: the same function and the same arithmetic, row by row: equal slices of the tokens go through the three calls
one after another and are concatenated; where equal slices would be less than half as large as they may be, nothing is
done. For a runtime that allocates every result anew: a tile stays in the second-level cache, and no allocation is so
large that fresh pages are taken for it, and cleared, in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, is_call, only_user, shape_of, value_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "hidden_in_tiles"
TILE_BYTES = 768 * 1024


def run(editor: GraphEditor) -> PassLog:
    """Tile every hidden layer that is too large."""
    import torch

    tiles = [count for node in editor.nodes(torch.ops.aten.linear.default) if (count := _tile(editor, node))]
    detail = f"{len(tiles)} hidden layers in {sum(tiles)} tiles"
    return PassLog(name=NAME, rewrites=len(tiles), detail=detail)


def _tile(editor: GraphEditor, first: Node) -> int:
    """Tile the hidden layer that ``first`` computes; the number of tiles, 0 if it does not fit the pattern."""
    import torch

    aten = torch.ops.aten
    activation = only_user(first)
    if first.kwargs or not is_call(activation, aten.gelu.default, aten.relu.default, aten.silu.default):
        return 0
    activation = cast("Node", activation)
    second = only_user(activation)
    if not is_call(second, aten.linear.default) or cast("Node", second).args[0] is not activation:
        return 0
    second = cast("Node", second)
    count = _tiles(first)
    if count < 2 or second.kwargs:
        return 0
    axis = _axis(first)
    size = shape_of(first)[axis] // count
    parts = []
    for index in range(count):
        bounds = (axis, index * size, (index + 1) * size)
        part = editor.call(aten.slice.Tensor, (first.args[0], *bounds), before=second, like=first)
        for call in (first, activation, second):
            part = editor.call(
                call.target,  # type: ignore[arg-type]
                (part, *call.args[1:]),
                dict(call.kwargs),
                before=second,
                like=call,
            )
        parts.append(part)
    editor.replace(second, editor.call(aten.cat.default, (parts, axis), before=second, like=second))
    return count


def _tiles(hidden: Node) -> int:
    """The smallest number of equal tiles that fit; 0 if that takes more than twice as many as needed."""
    shape = shape_of(hidden)
    if len(shape) < 2 or any(not isinstance(size, int) for size in shape):
        return 0
    size = value_of(hidden).numel() * value_of(hidden).element_size()
    rows, least = shape[_axis(hidden)], -(-size // TILE_BYTES)
    return next((count for count in range(least, min(rows, 2 * least) + 1) if rows % count == 0), 0)


def _axis(hidden: Node) -> int:
    """The axis of the tokens: the first behind the batch, or the only one of a matrix."""
    return 1 if len(shape_of(hidden)) > 2 else 0
