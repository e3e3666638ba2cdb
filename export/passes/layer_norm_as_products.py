"""Phrase layer normalisation so that a delegate without that operator takes all of it.

Needs: ``layer_norm`` over the last axis.
Guarantees: the same function as products with a column of 1/C (the two means), subtraction, square, ``rsqrt`` and
products; the epsilon is the bias of the second mean. Nothing reduces an axis, so the delegate keeps the whole chain.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.passes.centre_before_norm import is_centred
from export.patterns import are_fixed, argument, aten, is_over_last_axis, operand, shape_of, value_of


@each_call(aten.layer_norm.default, done="normalisations as products")
def run(editor: GraphEditor, norm: Node) -> bool | str:
    """Phrase every layer normalisation over the last axis."""
    source = operand(norm)
    channels = shape_of(source)[-1]
    if not is_over_last_axis(norm) or norm.kwargs or not are_fixed([channels]):
        return "it normalises more than the last axis, or that axis is free"
    dtype = value_of(norm).dtype
    eps = torch.tensor([argument(norm, 4, "eps", 1e-5)], dtype=dtype)
    column = editor.add_constant(torch.full((1, channels), 1 / channels, dtype=dtype), norm, "mean")
    centred = source
    if not is_centred(norm):
        mean = editor.call(norm, aten.linear.default, source, column)
        centred = editor.call(norm, aten.sub.Tensor, source, mean)
    square = editor.call(norm, aten.mul.Tensor, centred, centred)
    offset = editor.add_constant(eps, norm, "eps")
    variance = editor.call(norm, aten.linear.default, square, column, offset)
    new = editor.call(norm, aten.mul.Tensor, centred, editor.call(norm, aten.rsqrt.default, variance))
    for target, index, name in ((aten.mul.Tensor, 2, "weight"), (aten.add.Tensor, 3, "bias")):
        if argument(norm, index, name) is not None:
            new = editor.call(norm, target, new, argument(norm, index, name))
    editor.replace(norm, new)
    return True
