"""Compute a wide hidden layer in tiles of its rows, so that it never takes more than ``TILE_BYTES``.

Needs: ``linear`` -> ``gelu``, ``relu`` or ``silu`` -> ``linear`` with no other reader in between, whose hidden tensor
is larger than ``TILE_BYTES``; all sizes fixed.
Guarantees: the same function and the same arithmetic, row by row: equal slices of the tokens go through the three calls
one after another and are concatenated; where equal slices would be less than half as large as they may be, nothing is
done. For a runtime that allocates every result anew: a tile stays in the second-level cache, and no allocation is so
large that fresh pages are taken for it, and cleared, in every run.
"""

from __future__ import annotations

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals
from export.patterns import are_fixed, aten, is_call, only_user, operand, rank_of, shape_of, value_of

TILE_BYTES = 768 * 1024
"""Measured with XXS: 320, 512 and 1024 KiB are no better and up to 5 % slower (``docs/performance.md``)."""


def run(editor: GraphEditor) -> PassLog:
    """Tile every hidden layer that is too large."""
    tiles, refusals = [], Refusals()
    for node in editor.nodes(aten.linear.default):
        outcome = _tile(editor, node)
        if isinstance(outcome, str):
            refusals.add(node, outcome)
        elif outcome:
            tiles.append(outcome)
    detail = f"{len(tiles)} hidden layers in {sum(tiles)} tiles"
    return PassLog(name="hidden_in_tiles", rewrites=len(tiles), detail=detail, refused=refusals.rows())


def _tile(editor: GraphEditor, first: Node) -> int | str:
    """Tile the hidden layer that ``first`` computes: the number of tiles, 0 if there is none, why a large one stays."""
    activation = only_user(first)
    if first.kwargs or not is_call(activation, aten.gelu.default, aten.relu.default, aten.silu.default):
        return 0
    second = only_user(activation)
    if not is_call(second, aten.linear.default) or second.args[0] is not activation:
        return 0
    if second.kwargs:
        return 0
    count = _tiles(first)
    if count == 0:
        return "its rows do not divide into equal tiles of a fitting size"
    if count == 1:
        return 0
    axis = _token_axis(first)
    size = shape_of(first)[axis] // count
    parts = []
    for start in range(0, count * size, size):
        part = editor.call(second, aten.slice.Tensor, operand(first), axis, start, start + size, like=first)
        for call in (first, activation, second):
            part = editor.repeat(call, part, *call.args[1:], at=second)
        parts.append(part)
    editor.replace(second, editor.call(second, aten.cat.default, parts, axis))
    return count


def _tiles(hidden: Node) -> int:
    """The smallest number of equal tiles that fit; 0 if that takes more than twice as many as needed."""
    shape = shape_of(hidden)
    if len(shape) < 2 or not are_fixed(shape):
        return 0
    rows, least = shape[_token_axis(hidden)], -(-value_of(hidden).nbytes // TILE_BYTES)
    return next((count for count in range(least, min(rows, 2 * least) + 1) if rows % count == 0), 0)


def _token_axis(hidden: Node) -> int:
    """The axis of the tokens: the first behind the batch, or the only one of a matrix."""
    return 1 if rank_of(hidden) > 2 else 0
