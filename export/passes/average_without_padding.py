"""Average windows in the form that a delegate takes: without counted padding, without a rounded-up border.

Needs: ``avg_pool2d`` of fixed sizes without a divisor of its own, or ``adaptive_avg_pool2d`` to sizes that divide those
of the image, but not to one position.
Guarantees: the same function as ``avg_pool2d`` that counts no padding: where there is none nothing changes, where zeros
were counted they are written out in front. XNNPACK's average does not count padding; ExecuTorch's partitioner leaves a
call that says so outside even if it has no padding.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, operand, pair, rank_of, shape_of

POOL, ADAPTIVE = aten.avg_pool2d.default, aten.adaptive_avg_pool2d.default


@each_call(POOL, ADAPTIVE, done="averages without counted padding")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such average."""
    if rank_of(node) != 4 or not are_fixed((*shape_of(operand(node))[1:], *shape_of(node)[1:])):
        return "its image has no batch axis, or a size is free"
    return _adaptive(editor, node) if node.target is ADAPTIVE else _average(editor, node)


def _average(editor: GraphEditor, node: Node) -> bool | str:
    kernel = pair(argument(node, 1, "kernel_size"))
    stride = pair(argument(node, 2, "stride", None) or kernel)
    padding = pair(argument(node, 3, "padding", 0))
    rounds_up, counts = argument(node, 4, "ceil_mode", False), argument(node, 5, "count_include_pad", True)
    if argument(node, 6, "divisor_override") is not None:
        return "it divides by a number of its own"
    if not counts and not rounds_up:
        return False
    source = operand(node)
    sizes = [
        (size + 2 * edge - window) // step + 1
        for size, edge, window, step in zip(shape_of(source)[2:], padding, kernel, stride, strict=True)
    ]
    if sizes != list(shape_of(node)[2:]):
        return "its last window is cut off by the border"
    if counts and any(padding):
        edges = [padding[1], padding[1], padding[0], padding[0]]
        source, padding = editor.call(node, aten.constant_pad_nd.default, source, edges, 0.0), (0, 0)
    editor.replace(node, editor.call(node, POOL, source, list(kernel), list(stride), list(padding), False, False))
    return True


def _adaptive(editor: GraphEditor, node: Node) -> bool | str:
    image, target = shape_of(operand(node))[2:], shape_of(node)[2:]
    if target == (1, 1):
        return False
    if any(size % wanted for size, wanted in zip(image, target, strict=True)):
        return "its sizes do not divide those of the image"
    window = [size // wanted for size, wanted in zip(image, target, strict=True)]
    editor.replace(node, editor.call(node, POOL, operand(node), window, window, [0, 0], False, False))
    return True
