"""Phrase sums over the last axis as products with a column of ones.

Needs: ``sum`` or ``mean`` over the last axis alone, or the Euclidean ``linalg_vector_norm`` over it, in the tensor's
own dtype, of a floating tensor with more than one axis.
Guarantees: the same function as ``linear`` with one row of ones (of 1/C for the mean), for the norm of the squares and
with a square root behind it. Delegates that reduce no axis but those of an image keep the whole chain.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, ints, operand, rank_of, shape_of, sizes_of, value_of

SUM, MEAN, NORM = aten.sum.dim_IntList, aten.mean.dim, aten.linalg_vector_norm.default


@each_call(SUM, MEAN, NORM, done="sums as products")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every such sum."""
    source, sizes = operand(node), sizes_of(node)
    shape, dtype = shape_of(source), value_of(source).dtype
    first = 2 if node.target is NORM else 1
    axes, order = argument(node, first, "dim"), argument(node, 1, "ord", 2)
    rank = rank_of(source)
    if axes is None or [axis % rank for axis in ints(axes)] != [rank - 1] or rank < 2:
        return False
    if sizes is None or not are_fixed(shape[-1:]) or not dtype.is_floating_point or value_of(node).dtype != dtype:
        return "a size is free, or it sums in another dtype"
    if node.target is NORM and order != 2:
        return "it is no Euclidean norm"
    weight = 1 / shape[-1] if node.target is MEAN else 1.0
    row = editor.add_constant(torch.full((1, shape[-1]), weight, dtype=dtype), node, "ones")
    terms = editor.call(node, aten.mul.Tensor, source, source) if node.target is NORM else source
    total = editor.call(node, aten.linear.default, terms, row)
    if node.target is NORM:
        total = editor.call(node, aten.sqrt.default, total)
    kept = bool(argument(node, first + 1, "keepdim", False))
    editor.replace(node, total if kept else editor.reshape(node, total, sizes))
    return True
