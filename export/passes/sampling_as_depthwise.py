"""Phrase the sampling of every r-th row and column as a depthwise convolution with the kernel 1.

Needs: two slices with a step, of two neighbouring spatial axes of a 4-dimensional tensor, from 0 to the end.
Guarantees: the same values. Delegates take a strided depthwise convolution where they leave a strided slice outside,
and one more piece of the graph with it.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, axis_of, is_call, only_user, operand, shape_of, value_of
from export.program import TO_NCHW, TO_NHWC


@each_call(aten.slice.Tensor, done="samplings as depthwise convolutions")
def run(editor: GraphEditor, second: Node) -> bool | str:
    """Phrase every sampling of channels-last or channels-first images."""
    first = second.args[0]
    if not is_call(first, aten.slice.Tensor):
        return False
    source = operand(first)
    shape, dtype = shape_of(source), value_of(source).dtype
    if len(shape) != 4 or {axis_of(first), axis_of(second)} not in ({1, 2}, {2, 3}):
        return False
    steps = dict(filter(None, (_whole_axis(first), _whole_axis(second))))
    strided = all(argument(node, 4, "step", 1) != 1 for node in (first, second))
    if only_user(first) is not second:
        return strided and "others read the sampled rows alone"
    if len(steps) < 2 or not dtype.is_floating_point:
        return strided and "it does not take every r-th number of the whole axis, or its numbers are integers"
    channels_last = set(steps) == {1, 2}
    channels = shape[3 if channels_last else 1]
    if not are_fixed([channels]):
        return False
    image = editor.permute(second, source, TO_NCHW) if channels_last else source
    ones = editor.add_constant(torch.ones((channels, 1, 1, 1), dtype=dtype), second, "sample")
    stride = [steps[axis] for axis in sorted(steps)]
    new = editor.call(second, aten.conv2d.default, image, ones, None, stride, [0, 0], [1, 1], channels)
    editor.replace(second, editor.permute(second, new, TO_NHWC) if channels_last else new)
    return True


def _whole_axis(node: Node) -> tuple[int, int] | None:
    """Axis and step of a slice that runs from 0 over the whole axis."""
    axis = axis_of(node)
    start, end = argument(node, 2, "start"), argument(node, 3, "end")
    step = argument(node, 4, "step", 1)
    size = shape_of(operand(node))[axis]
    if start not in (None, 0) or not isinstance(step, int) or not isinstance(size, int):
        return None
    return (axis, step) if end is None or (isinstance(end, int) and end >= size) else None
