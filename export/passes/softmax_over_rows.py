"""Take the softmax of images as one of rows, (N, C, H, W) as (N, C * H, W).

Needs: a softmax over the last axis of four, on an image that spatial calls and what is applied to each element made.
Guarantees: the same function. XNNPACK under ExecuTorch keeps such an image channels last, does not turn the axis of a
softmax along, and normalises over the channels instead: other numbers, without an error.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.passes.channels_last import SPATIAL
from export.patterns import are_fixed, aten, axis_of, has_tensor, operand, rank_of, shape_of

_CHANNELS_LAST = (*SPATIAL, aten.mean.dim, aten.amax.default, aten.max.dim, aten.prelu.default)
_CHANNELS_FIRST = (
    aten.reshape.default, aten.linear.default, aten.matmul.default, aten.unsqueeze.default, aten.squeeze.dim,
)  # fmt: skip
"""What the delegate takes in one order alone; everything else follows its inputs."""


@each_call(aten.softmax.int, done="softmaxes taken over rows")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such softmax."""
    if rank_of(node) != 4 or axis_of(node) != 3 or not _may_be_channels_last(node):
        return False
    _, *sizes = shape_of(node)
    if not are_fixed(sizes):
        return "an axis behind the batch is free"
    rows = editor.reshape(node, operand(node), [-1, sizes[0] * sizes[1], sizes[2]])
    shares = editor.repeat(node, rows, -1, *node.args[2:])
    editor.replace(node, editor.reshape(node, shares, [-1, *sizes]))
    return True


def _may_be_channels_last(node: Node) -> bool:
    """Whether a spatial call is among what ``node`` was made of, with nothing between that fixes the order."""
    waiting, seen = [node], set()
    while waiting:
        found = waiting.pop()
        if found in seen or not has_tensor(found) or rank_of(found) != 4:
            continue
        seen.add(found)
        if found.target in _CHANNELS_LAST:
            return True
        if found.target not in _CHANNELS_FIRST:
            waiting += found.all_input_nodes
    return False
