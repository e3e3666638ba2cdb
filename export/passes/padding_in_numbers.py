"""Write the padding of convolutions as numbers where it is given by a word.

Needs: a convolution over one, two or three axes with the padding ``same`` or ``valid``.
Guarantees: the same function as a convolution by numbers, behind a ``constant_pad_nd`` where one side needs a pixel
more. ONNX has words for it too, but ONNX Runtime refuses them for kernels with holes; LiteRT's converter does not take
them for one axis; the other passes know numbers alone.
"""

from __future__ import annotations

from torch._ops import OpOverload
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, ints, operand, rank_of, shape_of

WORDS: dict[object, OpOverload] = {
    aten.conv1d.padding: aten.conv1d.default,
    aten.conv2d.padding: aten.conv2d.default,
    aten.conv3d.padding: aten.conv3d.default,
}


@each_call(*WORDS, done="paddings in numbers")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such convolution."""
    word, image, weight = argument(node, 4, "padding", "valid"), operand(node), operand(node, 1)
    kernel = shape_of(weight)[2:]
    if word not in ("same", "valid") or rank_of(image) != rank_of(weight) or node.kwargs:
        return False
    stride, dilation = (_each(argument(node, place, "", 1), len(kernel)) for place in (3, 5))
    total = [(size - 1) * step if word == "same" else 0 for size, step in zip(kernel, dilation, strict=True)]
    before = [size // 2 for size in total]
    if any(size % 2 for size in total):  # the pixel more stands behind, as torch has it
        behind = [size - half for size, half in zip(total, before, strict=True)]
        edges = [edge for sides in zip(reversed(before), reversed(behind), strict=True) for edge in sides]
        image = editor.call(node, aten.constant_pad_nd.default, image, edges)
        before = [0] * len(kernel)
    rest = stride, before, dilation, argument(node, 6, "groups", 1)
    editor.replace(node, editor.call(node, WORDS[node.target], image, weight, argument(node, 2, "bias"), *rest))
    return True


def _each(given: object, count: int) -> list[int]:
    """One number an axis, of one for all or one for each."""
    found = ints(given)
    return list(found if len(found) == count else found * count)
