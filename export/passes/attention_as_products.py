"""Write attention out as the two products and the softmax that it is.

Needs: ``scaled_dot_product_attention`` of three tensors with the same leading axes, without dropout; no mask, a causal
one, or a constant one that leaves every row something to look at.
Guarantees: the same function, softmax(scale q k^T + mask) v. The scale stands on the query as a number, so that it
folds into its projection; torch's own decomposition scales query and key, expands all operands and looks for rows that
are masked out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, is_number, operand, rank_of, shape_of, value_of


@each_call(aten.scaled_dot_product_attention.default, done="attentions as products")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Write every attention out."""
    query, key, value = (operand(node, index) for index in range(3))
    leading = shape_of(query)[:-2]
    if argument(node, 4, "dropout_p", 0.0) != 0.0:
        return "it draws random numbers"
    if shape_of(key)[:-2] != leading or shape_of(value)[:-2] != leading:
        return "its operands have unlike leading axes"
    mask = _mask(editor, node, (shape_of(query)[-2], shape_of(key)[-2]))
    if isinstance(mask, str):
        return mask
    given = argument(node, 6, "scale")
    scale = float(given) if is_number(given) else 1 / math.sqrt(shape_of(query)[-1])
    rank = rank_of(key)
    scaled = editor.call(node, aten.mul.Tensor, query, scale)
    transposed = editor.permute(node, key, [*range(rank - 2), rank - 1, rank - 2])
    scores = editor.call(node, aten.matmul.default, scaled, transposed)
    if mask is not None:
        scores = editor.call(node, aten.add.Tensor, scores, editor.add_constant(mask, node, "mask"))
    shares = editor.call(node, aten.softmax.int, scores, -1)
    editor.replace(node, editor.call(node, aten.matmul.default, shares, value))
    return True


def _mask(editor: GraphEditor, node: Node, sizes: tuple[int, int]) -> Tensor | str | None:
    """What is added to the scores, None for nothing; why not if it cannot be told or shuts a row out altogether."""
    given, causal = argument(node, 3, "attn_mask"), argument(node, 5, "is_causal", False)
    if given is None and not causal:
        return None
    if given is not None and editor.constant(given) is None:
        return "its mask is computed"
    if not are_fixed(sizes):
        return "its number of tokens is free"
    mask = torch.ones(sizes, dtype=torch.bool).tril() if given is None else editor.constant(given)
    assert mask is not None
    dtype = value_of(node).dtype
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -math.inf)
    if bool((mask == -math.inf).all(-1).any()):
        return "its mask leaves a row nothing to look at"
    return mask.to(dtype)
