"""Spell convolutions over sequences as convolutions over images of one column.

Needs: ``conv1d`` with constant weights on (N, C, L).
Guarantees: the same function as reshape -> ``conv2d`` -> reshape. ExecuTorch does the same inside of XNNPACK, but gives
the weights another axis once for every convolution that reads them, and fails where two do.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, ints, operand, rank_of, shape_of, sizes_of


@each_call(aten.conv1d.default, done="convolutions over sequences as over images")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such convolution."""
    weights, sizes, source = editor.weights(node), sizes_of(node), operand(node)
    wide = sizes_of(source)
    if weights is None or sizes is None or wide is None or rank_of(node) != 3:
        return "its weights are computed, a size is free, or it has no batch axis"
    kernel = editor.add_constant(weights[0].unsqueeze(-1), node, "weight")
    (stride,), (padding,), (dilation,) = (
        ints(argument(node, place, name, default))
        for place, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    window = [stride, 1], [padding, 0], [dilation, 1], argument(node, 6, "groups", 1)
    image = editor.reshape(node, source, [*wide, 1])
    conv = editor.call(node, aten.conv2d.default, image, kernel, argument(node, 2, "bias"), *window)
    editor.replace(node, editor.reshape(node, conv, [-1, *shape_of(node)[1:]]))
    return True
