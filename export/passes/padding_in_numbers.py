"""Write the padding of convolutions as numbers where it is given by a word.

Needs: ``conv2d`` with the padding ``same`` or ``valid``.
Guarantees: the same function as ``conv2d`` by numbers, behind a ``constant_pad_nd`` where one side needs a pixel more.
ONNX has words for it too, but ONNX Runtime refuses them for kernels with holes; the other passes know numbers alone.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, operand, pair, rank_of, shape_of


@each_call(aten.conv2d.padding, done="paddings in numbers")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such convolution."""
    word, image = argument(node, 4, "padding", "valid"), operand(node)
    if word not in ("same", "valid") or rank_of(image) != 4 or node.kwargs:
        return False
    stride, dilation = (pair(argument(node, place, "", 1)) for place in (3, 5))
    kernel = shape_of(operand(node, 1))[2:]
    total = [(size - 1) * step if word == "same" else 0 for size, step in zip(kernel, dilation, strict=True)]
    before = [size // 2 for size in total]
    if any(size % 2 for size in total):  # the pixel more stands behind, as torch has it
        (top, left), (bottom, right) = before, [size - half for size, half in zip(total, before, strict=True)]
        image = editor.call(node, aten.constant_pad_nd.default, image, [left, right, top, bottom])
        before = [0, 0]
    rest = list(stride), before, list(dilation), argument(node, 6, "groups", 1)
    editor.replace(node, editor.call(node, aten.conv2d.default, image, node.args[1], argument(node, 2, "bias"), *rest))
    return True
