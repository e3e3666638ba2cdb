"""Write out the batch normalisations that no product took.

Needs: ``batch_norm`` in eval mode with constant statistics.
Guarantees: the same function as a depthwise convolution with a 1x1 kernel for images, as a product and a sum with
constants for the rest. XNNPACK's own decomposition under ExecuTorch names the new weights after the old scale: two
normalisations with one scale (a module used twice, or scales of equal value that were merged) end as one, or fail in
``Conv1dUnsqueezePass``.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.passes.fold_batch_norm import affine_of
from export.patterns import aten, operand, rank_of, value_of


@each_call(aten.batch_norm.default, done="batch normalisations written out")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Write out every batch normalisation that is left."""
    affine = affine_of(editor, node)
    if affine is None:
        return "its statistics, scale or shift are computed"
    dtype, rank, channels = value_of(node).dtype, rank_of(node), affine[0].shape[0]
    scale, shift = (part.to(dtype) for part in affine)
    if rank == 4:
        kernel = editor.add_constant(scale.reshape(channels, 1, 1, 1), node, "scale")
        bias = editor.add_constant(shift, node, "shift")
        window = [1, 1], [0, 0], [1, 1], channels
        new = editor.call(node, aten.conv2d.default, operand(node), kernel, bias, *window)
    else:
        per_channel = [channels, *[1] * (rank - 2)]
        factor = editor.add_constant(scale.reshape(per_channel), node, "scale")
        scaled = editor.call(node, aten.mul.Tensor, operand(node), factor)
        offset = editor.add_constant(shift.reshape(per_channel), node, "shift")
        new = editor.call(node, aten.add.Tensor, scaled, offset)
    editor.replace(node, new)
    return True
