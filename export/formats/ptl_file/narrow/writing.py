"""Elementwise calls that write into an operand: which those are, and for which operands of a graph that is right."""

from __future__ import annotations

from collections.abc import Collection

from torch._ops import OpOverload
from torch.fx import Node

from export.formats.ptl_file.narrow.int8_call import CALL as INT8_CALL
from export.formats.ptl_file.releases import BY_BYTECODE, runs
from export.graph_editor import GraphEditor
from export.patterns import VIEWS, aten, has_tensor, is_call, only_user, operand, operator_name, value_of

_ONE = (
    "gelu", "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "hardswish", "hardsigmoid",
    "hardtanh", "sigmoid", "tanh", "erf", "exp", "sqrt", "rsqrt", "neg", "abs", "clamp", "clamp_min", "clamp_max",
)  # fmt: skip
_TWO = ("add", "mul", "sub", "div")
_OF_TWO = (aten.add.Tensor, aten.mul.Tensor, aten.sub.Tensor, aten.div.Tensor)
_IN_ANY_ORDER = (aten.add.Tensor, aten.mul.Tensor)


def _writing(name: str, overload: str) -> tuple[OpOverload, OpOverload]:
    """A call and the one that writes."""
    return getattr(getattr(aten, name), overload), getattr(getattr(aten, f"{name}_"), overload)


WRITING: dict[object, OpOverload] = dict(
    [_writing(name, "default") for name in _ONE]
    + [_writing(name, overload) for name in _TWO for overload in ("Tensor", "Scalar")]
)
FRESH = (
    aten.linear.default, aten.conv2d.default, aten.conv_transpose2d.input, aten.matmul.default, aten.bmm.default,
    aten.layer_norm.default, aten.batch_norm.default, aten.dequantize.self, INT8_CALL,
    *WRITING.keys(), *WRITING.values(),
)  # fmt: skip
"""Calls whose result is never a view of what they take."""


def let_write(editor: GraphEditor, bytecode: int | None = None, fresh: Collection[object] = FRESH) -> int:
    """Rewrite every call that has such an operand, and that the runtimes of ``bytecode`` (None: torch's own) have.

    Args:
        editor: The graph.
        bytecode: Of the file to be.
        fresh: Calls whose result is never a view of what they take.

    Returns:
        How many calls write into an operand now.
    """
    found = 0
    computed = _computed(editor)
    for node in editor.nodes(*WRITING):
        writing = WRITING[node.target]
        if bytecode is not None and not runs(BY_BYTECODE[bytecode], operator_name(writing), bytecode):
            continue
        target = next((arg for arg in _choice(node) if arg in computed and _is_free(arg, node, fresh)), None)
        if target is not None:
            others = [arg for arg in node.args if arg is not target]
            new = editor.call(node, writing, target, *others, kwargs=node.kwargs)
            editor.replace(node, new)
            computed.add(new)
            found += 1
    return found


def _choice(node: Node) -> list[Node]:
    """The operands that ``node`` could write into, by what it computes."""
    operands = [arg for arg in node.args if has_tensor(arg)]
    if len(set(operands)) != len(operands) or (node.target in _OF_TWO and len(operands) != len(node.args)):
        return []
    return operands if node.target in _IN_ANY_ORDER and not node.kwargs else operands[:1]  # alpha is the second's


def _computed(editor: GraphEditor) -> set[Node]:
    """Nodes that depend on an input; what depends on constants only may be folded, and must not be written into."""
    computed: set[Node] = set()
    for node in editor.graph.nodes:
        if node.op == "placeholder" or not computed.isdisjoint(node.all_input_nodes):
            computed.add(node)
    return computed


def _is_free(source: Node, node: Node, fresh: Collection[object]) -> bool:
    """Whether ``source`` is memory of its own that ends with ``node``."""
    result, value = value_of(node), value_of(source)
    if value.shape != result.shape or value.dtype != result.dtype or only_user(source) is not node:
        return False
    while is_call(source, *VIEWS):
        inner = operand(source)
        if only_user(inner) is not source:
            return False
        source = inner
    return is_call(source, *fresh)
