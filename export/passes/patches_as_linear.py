"""Spell a convolution over patches that do not overlap as a linear layer over each patch.

Needs: ``conv2d`` with kernel = stride larger than 1 that divides the image, no padding, dilation 1, groups 1, constant
weights, and at least ``MIN_CHANNELS`` channels in (with fewer, gathering a patch costs more than it saves).
Guarantees: the same function as permute to channels last -> the rows of each patch side by side -> ``linear`` ->
permute back; with ``sink_views`` behind it only the copy that gathers the patches is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, pair, shape_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "patches_as_linear"
MIN_CHANNELS = 16


def run(editor: GraphEditor) -> PassLog:
    """Rewrite every convolution over patches."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.conv2d.default))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} convolutions over patches as linear layers")


def _rewrite(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    weight, bias = editor.constant(node.args[1]), argument(node, 2, "bias")
    if weight is None or (bias is not None and editor.constant(bias) is None):
        return False
    if not _takes_patches(node, tuple(weight.shape)):
        return False
    _, channels, height, width = shape_of(cast("Node", node.args[0]))
    rows, columns = weight.shape[2:]
    matrix = editor.add_constant(weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1), node, "weight")

    def call(target: object, *args: object) -> Node:
        return editor.call(target, args, before=node, like=node)  # type: ignore[arg-type]

    last = call(aten.permute.default, node.args[0], [0, 2, 3, 1])
    # axis 0 takes the batch and the rows of patches: four axes are what every converter transposes
    strips = call(aten.reshape.default, last, [-1, rows, width // columns, columns * channels])
    gathered = call(aten.permute.default, strips, [0, 2, 1, 3])
    sizes = [-1, height // rows, width // columns, rows * columns * channels]
    linear = call(aten.linear.default, call(aten.reshape.default, gathered, sizes), matrix, bias)
    editor.replace(node, call(aten.permute.default, linear, [0, 3, 1, 2]))
    return True


def _takes_patches(node: Node, weight: tuple[int, ...]) -> bool:
    shape = shape_of(cast("Node", node.args[0]))
    if len(shape) != 4 or node.kwargs or any(not isinstance(size, int) for size in shape[1:]):
        return False

    kernel = weight[2:]
    return (
        pair(argument(node, 3, "stride", 1)) == kernel
        and kernel != (1, 1)
        and pair(argument(node, 4, "padding", 0)) == (0, 0)
        and pair(argument(node, 5, "dilation", 1)) == (1, 1)
        and argument(node, 6, "groups", 1) == 1
        and shape[2] % kernel[0] == 0
        and shape[3] % kernel[1] == 0
        and shape[1] >= MIN_CHANNELS
    )
