"""Phrase the hard sigmoid by the sum, the bounds and the factor that it is made of.

Needs: ``hardsigmoid`` of floating numbers.
Guarantees: the same function, clamp(x + 3, 0, 6) / 6, with floating constants: ExecuTorch's own decomposition writes
integers, which it casts at run time outside of the delegate.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, operand, value_of


@each_call(aten.hardsigmoid.default, done="hard sigmoids as bounded sums")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every hard sigmoid."""
    dtype = value_of(node).dtype
    three, six = (editor.add_constant(torch.tensor([number], dtype=dtype), node, "number") for number in (3, 6))
    moved = editor.call(node, aten.add.Tensor, operand(node), three)
    bounded = editor.call(node, aten.hardtanh.default, moved, 0.0, 6.0)
    editor.replace(node, editor.call(node, aten.div.Tensor, bounded, six))
    return True
