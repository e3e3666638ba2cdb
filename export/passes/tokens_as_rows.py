"""Keep tokens as the rows of matrices while only their channels matter.

Needs: fixed sizes but for axis 0; ``linear``, ``layer_norm`` over the last axis, ``gelu`` and sums of equal shapes.
Guarantees: the same function on matrices of (tokens, channels): a runtime whose product takes two axes reshapes no
longer in front of and behind each one. Reshapes stand only where the image or the heads are needed. A sum of two images
behind convolutions stays one: runtimes compute it inside of the convolution.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, has_tensor, is_call, is_over_last_axis, operand, rank_of, shape_of, sizes_of

ROW_BY_ROW = (aten.linear.default, aten.layer_norm.default, aten.gelu.default, aten.add.Tensor)


@each_call(*ROW_BY_ROW, done="calls on matrices")
def run(editor: GraphEditor, node: Node) -> bool:
    """Flatten every such call, and let the reshapes between them cancel."""
    sizes = sizes_of(node) if has_tensor(node) else None
    if sizes is None or len(sizes) < 3 or not _fits(node):
        return False
    count = 2 if node.target is aten.add.Tensor else 1
    operands = [_as_rows(editor, operand(node, index), node) for index in range(count)]
    new = editor.repeat(node, *operands, *node.args[count:])
    editor.replace(node, editor.reshape(node, new, sizes))
    return True


def _fits(node: Node) -> bool:
    if node.target is aten.layer_norm.default:
        return is_over_last_axis(node)
    if node.target is aten.linear.default:
        return True
    if not any(_are_rows(arg) for arg in node.args):
        return False  # an image: its last axis are no channels
    if node.target is aten.gelu.default:
        return True
    same = all(has_tensor(arg) and shape_of(arg) == shape_of(node) for arg in node.args)
    images = all(is_call(arg, aten.permute.default) for arg in node.args)
    return len(node.args) == 2 and not node.kwargs and same and not images


def _are_rows(source: object) -> bool:
    """Whether ``source`` is a matrix in the shape of an image or of tokens."""
    return is_call(source, aten.reshape.default) and rank_of(operand(source)) == 2


def _as_rows(editor: GraphEditor, source: Node, node: Node) -> Node:
    """``source`` as a matrix, without the reshape that made it more than one."""
    channels = shape_of(source)[-1]
    while is_call(source, aten.reshape.default):
        source = operand(source)
    if rank_of(source) == 2 and shape_of(source)[-1] == channels:
        return source
    return editor.reshape(node, source, [-1, channels])
