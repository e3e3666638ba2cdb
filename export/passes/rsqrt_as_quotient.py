"""Phrase the reciprocal square root as one divided by the square root.

Needs: ``rsqrt``.
Guarantees: the same function. Older delegates have the square root and the quotient, but not the reciprocal root: it
would tear the graph apart at every layer normalisation.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, operand, value_of


@each_call(aten.rsqrt.default, done="reciprocal roots as quotients")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every reciprocal root."""
    dtype = value_of(node).dtype
    one = editor.add_constant(torch.ones(1, dtype=dtype), node, "one")
    root = editor.call(node, aten.sqrt.default, operand(node))
    editor.replace(node, editor.call(node, aten.div.Tensor, one, root))
    return True
