"""Write the whole numbers beside floating tensors as floating numbers.

Needs: a sum, difference, product or quotient of a floating tensor and a number.
Guarantees: the same values, since the number takes the tensor's dtype anyhow. ExecuTorch stores 2 as an integer tensor
and casts it at run time, outside of the delegate.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import aten, has_tensor, is_number, value_of


@each_call(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, done="numbers as floating ones")
def run(editor: GraphEditor, node: Node) -> bool:
    """Rewrite every such call in place of its number."""
    source, number = node.args[0], node.args[1]
    if not has_tensor(source) or not value_of(source).dtype.is_floating_point:
        return False
    if not is_number(number) or isinstance(number, float) or float(number) != number:
        return False
    editor.replace(node, editor.repeat(node, source, float(number), *node.args[2:]))
    return True
