"""Spell a convolution over patches that do not overlap as a linear layer over each patch.

Needs: ``conv2d`` with kernel = stride larger than 1 that divides the image, no padding, dilation 1, groups 1, constant
weights, and at least ``MIN_CHANNELS`` channels in (with fewer, gathering a patch costs more than it saves).
Guarantees: the same function as permute to channels last -> the rows of each patch side by side -> ``linear`` ->
permute back; with ``sink_views`` behind it only the copy that gathers the patches is left.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import Window, are_fixed, argument, aten, operand, shape_of, window_of
from export.program import TO_NCHW, TO_NHWC

MIN_CHANNELS = 16
"""Chosen between the stem's 3 channels, where it costs, and XXS's 36 of the next patch embedding, where it pays."""


def rewrite(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite a convolution over patches; False if it is none, the reason if it has to stay."""
    if not _takes_patches(node):
        return False
    weights = editor.weights(node)
    if weights is None:
        return "its weights are computed"
    weight = weights[0]
    _, channels, height, width = shape_of(operand(node))
    rows, columns = weight.shape[2:]
    if height % rows or width % columns:
        return "its kernel does not divide the image"
    matrix = editor.add_constant(weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1), node, "weight")
    last = editor.permute(node, operand(node), TO_NHWC)
    # axis 0 takes the batch and the rows of patches: four axes are what every converter transposes
    strips = editor.reshape(node, last, [-1, rows, width // columns, columns * channels])
    gathered = editor.permute(node, strips, (0, 2, 1, 3))
    sizes = [-1, height // rows, width // columns, rows * columns * channels]
    patches = editor.reshape(node, gathered, sizes)
    linear = editor.call(node, aten.linear.default, patches, matrix, argument(node, 2, "bias"))
    editor.replace(node, editor.permute(node, linear, TO_NCHW))
    return True


run = each_call(aten.conv2d.default, done="convolutions over patches as linear layers")(rewrite)


def _takes_patches(node: Node) -> bool:
    shape, kernel = shape_of(operand(node)), shape_of(operand(node, 1))[2:]
    if len(shape) != 4 or not are_fixed(shape[1:]) or shape[1] < MIN_CHANNELS or kernel == (1, 1):
        return False
    return window_of(node) == Window(stride=(kernel[0], kernel[1]), padding=(0, 0), dilation=(1, 1), groups=1)
