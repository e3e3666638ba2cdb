"""Calls that only put values elsewhere, in slices, rows by number, reshapes and permutes.

Each function takes a call and gives the node that stands for it; None for a call that may stay.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor
from export.patterns import argument, aten, ints, operand, pair, rank_of, shape_of, value_of

_ZEROS: dict[object, Callable[..., object]] = {
    aten.empty.memory_format: aten.zeros.default,
    aten.empty_like.default: aten.zeros_like.default,
    aten.new_empty.default: aten.new_zeros.default,
}
EMPTY = tuple(_ZEROS)


def channel_shuffle(editor: GraphEditor, node: Node) -> Node:
    """Swap the axes of groups and of channels in them."""
    (groups,), (channels, *sizes) = ints(node.args[1]), shape_of(node)[1:]
    apart = editor.reshape(node, operand(node), [-1, groups, channels // groups, *sizes])
    swapped = editor.permute(node, apart, [0, 2, 1, *range(3, 3 + len(sizes))])
    return editor.reshape(node, swapped, [-1, channels, *sizes])


def nearest(editor: GraphEditor, node: Node) -> Node:
    """The rows, and then the columns, that an image is enlarged to."""
    source, first = operand(node), 2
    sizes = shape_of(source)[first:]
    for axis, size in enumerate(sizes):
        # which row each row comes from is what the call itself makes of an image of numbers of rows
        numbers = torch.arange(size, dtype=torch.float32).reshape([-1 if at == axis else 1 for at in range(len(sizes))])
        numbered = numbers.expand(1, 1, *sizes).contiguous()
        assert callable(node.target), node.format_node()
        taken = node.target(numbered, *node.args[1:]).movedim(first + axis, 0).flatten(1)[:, 0].long()
        if not torch.equal(taken, torch.arange(size)):
            rows = editor.add_constant(taken, node, "rows")
            source = editor.call(node, aten.index_select.default, source, first + axis, rows)
    return source


def nearest_by_no_whole(editor: GraphEditor, node: Node) -> Node | None:
    """The same where a side grows by no whole factor: converters round otherwise than torch there."""
    before, after = shape_of(operand(node))[2:], shape_of(node)[2:]
    if not any(size % old for size, old in zip(after, before, strict=True)):
        return None
    return nearest(editor, node)


def fold(editor: GraphEditor, node: Node) -> Node:
    """Patches back into an image: a permute where they do not overlap, else a transposed convolution with ones."""
    size, kernel, dilation, padding, stride = (pair(node.args[place]) for place in range(1, 6))
    taps = kernel[0] * kernel[1]
    channels = shape_of(operand(node))[1] // taps
    rows, columns = (
        (size[at] + 2 * padding[at] - dilation[at] * (kernel[at] - 1) - 1) // stride[at] + 1 for at in range(2)
    )
    if stride == kernel and not any(padding) and dilation == (1, 1) and size == (rows * kernel[0], columns * kernel[1]):
        parts = editor.reshape(node, operand(node), [-1, channels, *kernel, rows, columns])
        return editor.reshape(node, editor.permute(node, parts, [0, 1, 4, 2, 5, 3]), [-1, channels, *size])
    return _fold_by_convolution(editor, node, channels, (rows, columns))


def overlapping_fold(editor: GraphEditor, node: Node) -> Node | None:
    """The same where patches overlap."""
    return fold(editor, node) if pair(node.args[5]) != pair(node.args[2]) or any(pair(node.args[4])) else None


def _fold_by_convolution(editor: GraphEditor, node: Node, channels: int, patches: tuple[int, int]) -> Node:
    size, kernel, dilation, padding, stride = (pair(node.args[place]) for place in range(1, 6))
    taps = kernel[0] * kernel[1]
    ones = torch.eye(taps).reshape(taps, 1, *kernel).repeat(channels, 1, 1, 1)
    weight = editor.add_constant(ones.to(value_of(node).dtype), node, "taps")
    rest = [
        size[at] - ((patches[at] - 1) * stride[at] - 2 * padding[at] + dilation[at] * (kernel[at] - 1) + 1)
        for at in range(2)
    ]
    image = editor.reshape(node, operand(node), [-1, channels * taps, *patches])
    given = (weight, None, list(stride), list(padding), rest, channels, list(dilation))
    return editor.call(node, aten.conv_transpose2d.input, image, *given)


def roll_within(editor: GraphEditor, node: Node) -> Node | None:
    """A roll by no more than the size of its axis: the exporter slices at the shift as it is."""
    shifts, axes = ints(node.args[1]), ints(argument(node, 2, "dims", []))
    sizes = [shape_of(node)[axis] for axis in axes]
    if not axes or all(abs(shift) <= size for shift, size in zip(shifts, sizes, strict=True)):
        return None
    kept = [shift % size for shift, size in zip(shifts, sizes, strict=True)]
    return editor.call(node, aten.roll.default, operand(node), kept, list(axes))


def pad(editor: GraphEditor, node: Node) -> Node | None:
    """Padding around is a ``cat``; a constant border of less than nothing is a slice."""
    edges = ints(node.args[1])
    sides = [(rank_of(node) - 1 - at, edges[2 * at], edges[2 * at + 1]) for at in range(len(edges) // 2)]
    mode = argument(node, 2, "mode", "constant") if node.target is aten.pad.default else "constant"
    if mode == "circular" and min(edges) >= 0:
        return _around(editor, node, sides)
    if mode != "constant" or min(edges) >= 0:
        return None
    source = operand(node)
    for axis, before, behind in sides:
        start, end = max(0, -before), shape_of(source)[axis] - max(0, -behind)
        if (start, end) != (0, shape_of(source)[axis]):
            source = editor.call(node, aten.slice.Tensor, source, axis, start, end)
    if max(edges) <= 0:
        return source
    value = argument(node, 3 if node.target is aten.pad.default else 2, "value", 0)
    return editor.call(node, aten.constant_pad_nd.default, source, [max(0, edge) for edge in edges], value or 0)


def _around(editor: GraphEditor, node: Node, sides: list[tuple[int, int, int]]) -> Node:
    source = operand(node)
    for axis, before, behind in sides:
        size = shape_of(source)[axis]
        parts = [source]
        if before:
            parts.insert(0, editor.call(node, aten.slice.Tensor, source, axis, size - before, size))
        if behind:
            parts.append(editor.call(node, aten.slice.Tensor, source, axis, 0, behind))
        if len(parts) > 1:
            source = editor.call(node, aten.cat.default, parts, axis)
    return source


def zeros(editor: GraphEditor, node: Node) -> Node:
    """Memory that nobody has written, as zeros: what a file computes must not depend on what was there."""
    kwargs = {name: given for name, given in node.kwargs.items() if name in ("dtype", "device") and given is not None}
    return editor.call(node, _ZEROS[node.target], *node.args, kwargs=kwargs)


def copied(target: Callable[..., object]) -> Callable[[GraphEditor, Node], Node]:
    """A call that hands out a copy of its input, as ``target``."""
    return lambda editor, node: editor.call(node, target, operand(node))


def transposed(editor: GraphEditor, node: Node) -> Node:
    """The last two axes in each other's place."""
    return editor.call(node, aten.transpose.int, operand(node), -2, -1)
