"""Phrase the sampling of every r-th row and column as a depthwise convolution with the kernel 1.

Needs: two slices with a step, of two neighbouring spatial axes of a 4-dimensional tensor, from 0 to the end.
Guarantees: the same values. Delegates take a strided depthwise convolution where they leave a strided slice outside,
and one more piece of the graph with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, is_call, only_user, shape_of, value_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "sampling_as_depthwise"
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def run(editor: GraphEditor) -> PassLog:
    """Phrase every sampling of channels-last or channels-first images."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.slice.Tensor))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} samplings as depthwise convolutions")


def _rewrite(editor: GraphEditor, second: Node) -> bool:
    import torch

    aten = torch.ops.aten
    first = second.args[0]
    if not is_call(first, aten.slice.Tensor) or only_user(cast("Node", first)) is not second:
        return False
    first = cast("Node", first)
    source = cast("Node", first.args[0])
    steps = dict(filter(None, (_whole_axis(first), _whole_axis(second))))
    if len(shape_of(source)) != 4 or not value_of(source).dtype.is_floating_point:
        return False
    if set(steps) == {1, 2}:
        image, channels, back = _permute(editor, source, TO_NCHW, second), shape_of(source)[3], TO_NHWC
    elif set(steps) == {2, 3}:
        image, channels, back = source, shape_of(source)[1], None
    else:
        return False
    if not isinstance(channels, int):
        return False
    ones = torch.ones((channels, 1, 1, 1), dtype=value_of(source).dtype)
    stride = [steps[axis] for axis in sorted(steps)]
    args = (image, editor.add_constant(ones, second, "sample"), None, stride, [0, 0], [1, 1], channels)
    new = editor.call(aten.conv2d.default, args, before=second, like=second)
    editor.replace(second, new if back is None else _permute(editor, new, back, second))
    return True


def _whole_axis(node: Node) -> tuple[int, int] | None:
    """Axis and step of a slice that runs from 0 over the whole axis."""
    source = cast("Node", node.args[0])
    rank = len(shape_of(source))
    axis = cast("int", argument(node, 1, "dim", 0)) % rank
    start, end = argument(node, 2, "start"), argument(node, 3, "end")
    step = argument(node, 4, "step", 1)
    size = shape_of(source)[axis]
    if start not in (None, 0) or not isinstance(step, int) or not isinstance(size, int):
        return None
    return (axis, step) if end is None or (isinstance(end, int) and end >= size) else None


def _permute(editor: GraphEditor, source: Node, axes: list[int], node: Node) -> Node:
    import torch

    return editor.call(torch.ops.aten.permute.default, (source, axes), before=node, like=node)
