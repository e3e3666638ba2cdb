"""Pooling in windows that every converter knows: two axes, sizes that divide, padding that counts.

Each function takes a call and gives the node that stands for it; None for a call that may stay.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor
from export.patterns import argument, aten, ints, is_number, operand, pair, rank_of, shape_of, value_of

_SPATIAL: dict[object, int] = {
    aten.adaptive_avg_pool1d.default: 1, aten.adaptive_avg_pool2d.default: 2, aten.adaptive_avg_pool3d.default: 3,
    aten.adaptive_max_pool1d.default: 1, aten.adaptive_max_pool2d.default: 2, aten.adaptive_max_pool3d.default: 3,
}  # fmt: skip
_MAX_POOLS = {1: aten.max_pool1d.default, 2: aten.max_pool2d.default}
Reduced = Callable[[Node, list[int]], Node]


def adaptive_average(editor: GraphEditor, node: Node) -> Node | None:
    """Averages to sizes that do not divide those of the image: slices, one axis after the other."""
    image, target = _sizes(node)
    if not any(size % wanted for size, wanted in zip(image, target, strict=True)):
        return None
    return _by_slices(editor, node, _mean(editor, node))


def adaptive_average_3d(editor: GraphEditor, node: Node) -> Node:
    """Averages of volumes: as windows over two axes where the sizes divide, else as slices."""
    image, target = _sizes(node)
    if any(size % wanted for size, wanted in zip(image, target, strict=True)):
        return _by_slices(editor, node, _mean(editor, node))
    window = [size // wanted for size, wanted in zip(image, target, strict=True)]
    return _in_planes(editor, node, aten.avg_pool2d.default, window, window, [0, 0, 0])


def adaptive_maximum(editor: GraphEditor, node: Node) -> Node:
    """Greatest values in windows where the sizes divide, else of slices, one axis after the other."""
    image, target = _sizes(node)
    if any(size % wanted for size, wanted in zip(image, target, strict=True)):
        return _by_slices(editor, node, lambda part, axes: editor.call(node, aten.amax.default, part, axes, True))
    window = [size // wanted for size, wanted in zip(image, target, strict=True)]
    if len(window) == 3:
        return _in_planes(editor, node, aten.max_pool2d.default, window, window, [0, 0, 0])
    return editor.call(node, _MAX_POOLS[len(window)], operand(node), window, window)


def average_with_divisor(editor: GraphEditor, node: Node) -> Node | str | None:
    """An average that divides by a number of its own: the plain one, scaled."""
    divisor = argument(node, 6, "divisor_override")
    if divisor is None:
        return None
    if not is_number(divisor) or argument(node, 4, "ceil_mode", False):
        return "its last window is cut off by the border"
    height, width = pair(argument(node, 1, "kernel_size"))
    plain = editor.call(node, aten.avg_pool2d.default, *node.args[:4], *[[0, 0]] * (len(node.args) < 4), False, True)
    return editor.call(node, aten.mul.Tensor, plain, height * width / divisor)


def average_without_border(editor: GraphEditor, node: Node) -> Node | str | None:
    """An average that does not count padding: the one that does, times what it has too little at the border."""
    if argument(node, 6, "divisor_override") is not None:
        return average_with_divisor(editor, node)
    padding = argument(node, 3, "padding", 0)
    if argument(node, 5, "count_include_pad", True) or not any(pair(padding)):
        return None
    given = (*node.args[1:4], argument(node, 4, "ceil_mode", False), True)
    share = aten.avg_pool2d.default(torch.ones(1, 1, *shape_of(operand(node))[-2:], dtype=torch.float64), *given)
    factor = editor.add_constant((1 / share).to(value_of(node).dtype), node, "border")
    return editor.call(node, aten.mul.Tensor, editor.call(node, aten.avg_pool2d.default, operand(node), *given), factor)


def average_3d(editor: GraphEditor, node: Node) -> Node | str:
    """Averages of volumes, as windows over two axes and then over the third."""
    kernel, stride, padding = _windows(node)
    counts = argument(node, 5, "count_include_pad", True) or not any(padding)
    if argument(node, 4, "ceil_mode", False) or not counts or argument(node, 6, "divisor_override") is not None:
        return "its windows are not all alike"
    return _in_planes(editor, node, aten.avg_pool2d.default, kernel, stride, padding)


def maximum_3d(editor: GraphEditor, node: Node) -> Node | str:
    """Greatest values of volumes, in windows over two axes and then over the third."""
    if any(step != 1 for step in ints(argument(node, 4, "dilation", 1))) or argument(node, 5, "ceil_mode", False):
        return "its windows have holes or are cut off by the border"
    return _in_planes(editor, node, aten.max_pool2d.default, *_windows(node))


def max_unpool(editor: GraphEditor, node: Node) -> Node:
    """Values put back where a pooling found them: a scatter into zeros."""
    values, target = operand(node), ints(node.args[2])
    channels, count = shape_of(values)[1], torch.Size(target).numel()
    flat = [editor.reshape(node, operand(node, place), [-1, channels, *_flat(values)]) for place in (0, 1)]
    wide = editor.call(node, aten.constant_pad_nd.default, flat[0], [0, count - shape_of(flat[0])[-1]])
    zeros = editor.call(node, aten.zeros_like.default, wide)
    placed = editor.call(node, aten.scatter.src, zeros, 2, flat[1], flat[0])
    return editor.reshape(node, placed, [-1, channels, *target])


def _flat(values: Node) -> list[int]:
    return [torch.Size(shape_of(values)[2:]).numel()]


def _sizes(node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Those of the image, and those that it is pooled to."""
    count = _SPATIAL[node.target]
    target = ints(node.args[1])
    return shape_of(operand(node))[-count:], target if len(target) == count else target * count


def _mean(editor: GraphEditor, node: Node) -> Reduced:
    return lambda part, axes: editor.call(node, aten.mean.dim, part, axes, True)


def _by_slices(editor: GraphEditor, node: Node, reduced: Reduced) -> Node:
    """Windows as torch has them: from floor(i * size / target) to ceil((i + 1) * size / target)."""
    image, target = _sizes(node)
    source, first = operand(node), rank_of(operand(node)) - len(image)
    for axis, (size, wanted) in enumerate(zip(image, target, strict=True), first):
        if size == wanted:
            continue
        parts = []
        for place in range(wanted):
            start, end = place * size // wanted, -(-(place + 1) * size // wanted)
            parts.append(reduced(editor.call(node, aten.slice.Tensor, source, axis, start, end), [axis]))
        source = editor.call(node, aten.cat.default, parts, axis) if wanted > 1 else parts[0]
    return source


def _windows(node: Node) -> tuple[list[int], list[int], list[int]]:
    """Kernel, stride and padding of a pooling over three axes."""
    kernel = ints(argument(node, 1, "kernel_size"))
    stride = ints(argument(node, 2, "stride", None) or kernel)
    padding = ints(argument(node, 3, "padding", 0))
    found = [list(given if len(given) == 3 else given * 3) for given in (kernel, stride, padding)]
    return found[0], found[1], found[2]


def _in_planes(
    editor: GraphEditor, node: Node, pool: Callable[..., object], kernel: list[int], stride: list[int], pad: list[int]
) -> Node:
    """A pooling over (depth, rows, columns): over rows and columns, then over depth, each as one over two axes."""
    source = operand(node)
    *_, channels, depth, height, width = shape_of(source)
    planes = editor.reshape(node, source, [-1, channels * depth, height, width])
    planes = editor.call(node, pool, planes, kernel[1:], stride[1:], pad[1:])
    height, width = shape_of(planes)[-2:]
    columns = editor.reshape(node, planes, [-1, channels, depth, height * width])
    columns = editor.call(node, pool, columns, [kernel[0], 1], [stride[0], 1], [pad[0], 0])
    sizes = [channels, shape_of(columns)[2], height, width]
    return editor.reshape(node, columns, sizes if rank_of(source) == 4 else [-1, *sizes])
