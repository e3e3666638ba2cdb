"""Let elementwise calls write into an operand that nobody else reads.

Needs: ``gelu``, ``erf``, ``tanh``, or ``add`` or ``mul`` of two tensors or by their overload for a number; one operand
of the result's shape and dtype and just computed (by a product, a normalisation or another such call, also seen through
views) from an input, for this call alone.
Guarantees: the same function with ``gelu_``, ``add_`` and so on. For a runtime that allocates every result anew: fewer
tensors live at once, and no fresh memory is touched. The last pass of a list: no other one may run on calls that write.
"""

from __future__ import annotations

from collections.abc import Callable

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.passes import prepacked
from export.patterns import VIEWS, aten, has_tensor, is_call, only_user, operand, value_of

WRITING: dict[object, Callable[..., object]] = {
    aten.gelu.default: aten.gelu_.default,
    aten.erf.default: aten.erf_.default,
    aten.tanh.default: aten.tanh_.default,
    aten.add.Tensor: aten.add_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.add.Scalar: aten.add_.Scalar,
    aten.mul.Scalar: aten.mul_.Scalar,
}
WITH_NUMBER = (aten.add.Scalar, aten.mul.Scalar)
SINCE_8 = (aten.gelu.default,)
"""Calls whose writing form no runtime of an older bytecode than 8 has."""
FRESH = (
    aten.linear.default, aten.conv2d.default, aten.matmul.default, aten.bmm.default, aten.layer_norm.default,
    prepacked.CALL,
    *WRITING.keys(), *WRITING.values(),
)  # fmt: skip
"""Calls whose result is never a view of what they take."""


def run(editor: GraphEditor, bytecode: int | None = None) -> PassLog:
    """Rewrite every call that has such an operand, and that the runtimes of ``bytecode`` (None: torch's own) have."""
    found = 0
    computed = _computed(editor)
    for node in editor.nodes(*(call for call in WRITING if bytecode is None or call not in SINCE_8)):
        operands = [arg for arg in node.args if has_tensor(arg)]
        tensors = 1 if node.target in WITH_NUMBER else len(node.args)
        if len(operands) != tensors or len(set(operands)) != len(operands):
            continue
        choice = operands[:1] if node.kwargs else operands  # alpha belongs to the second operand
        target = next((arg for arg in choice if arg in computed and _is_free(arg, node)), None)
        if target is not None:
            others = [arg for arg in node.args if arg is not target]
            new = editor.call(node, WRITING[node.target], target, *others, kwargs=node.kwargs)
            editor.replace(node, new)
            computed.add(new)
            found += 1
    return PassLog(name="in_place", rewrites=found, detail=f"{found} calls write into an operand")


def _computed(editor: GraphEditor) -> set[Node]:
    """Nodes that depend on an input; what depends on constants only may be folded, and must not be written into."""
    computed: set[Node] = set()
    for node in editor.graph.nodes:
        if node.op == "placeholder" or not computed.isdisjoint(node.all_input_nodes):
            computed.add(node)
    return computed


def _is_free(source: Node, node: Node) -> bool:
    """Whether ``source`` is memory of its own that ends with ``node``."""
    result, value = value_of(node), value_of(source)
    if value.shape != result.shape or value.dtype != result.dtype or only_user(source) is not node:
        return False
    while is_call(source, *VIEWS):
        inner = operand(source)
        if only_user(inner) is not source:
            return False
        source = inner
    return is_call(source, *FRESH)
