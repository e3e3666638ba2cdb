"""Divisions with a rest, exact where a format's own form is not.

Each function takes a call and gives the node that stands for it; None for a call that may stay.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor
from export.patterns import aten, is_number, operand, value_of


def floor_divide(editor: GraphEditor, node: Node) -> Node | None:
    """A quotient rounded down, as torch has it: by the rest, since the quotient may round up to a whole number."""
    if node.target in (aten.div.Tensor_mode, aten.div.Scalar_mode) and node.kwargs.get("rounding_mode") != "floor":
        return None
    source, divisor = node.args[0], node.args[1]
    if not value_of(node).is_floating_point():
        if node.target is aten.div.Tensor_mode:
            return None
        return editor.call(node, aten.div.Tensor_mode, source, divisor, kwargs={"rounding_mode": "floor"})
    rest, is_below = _rest(editor, node, source, divisor)
    whole = editor.call(node, aten.div.Tensor, editor.call(node, aten.sub.Tensor, source, rest), divisor)
    lower = editor.call(node, aten.where.self, is_below, editor.call(node, aten.sub.Tensor, whole, 1), whole)
    quotient = editor.call(node, aten.round.default, lower)
    return quotient if is_number(divisor) and divisor != 0 else _or_quotient(editor, node, quotient)


def floor_divide_by_rest(editor: GraphEditor, node: Node) -> Node | None:
    """The same for numbers that are not whole, by a tensor, of the rest that has the sign of the divisor."""
    source, divisor = node.args[0], node.args[1]
    if node.target is aten.div.Tensor_mode and node.kwargs.get("rounding_mode") != "floor":
        return None
    if not value_of(node).is_floating_point() or not isinstance(divisor, Node):
        return None
    rest = editor.call(node, aten.remainder.Tensor, source, divisor)
    whole = editor.call(node, aten.div.Tensor, editor.call(node, aten.sub.Tensor, source, rest), divisor)
    return _or_quotient(editor, node, editor.call(node, aten.round.default, whole))


def remainder(editor: GraphEditor, node: Node) -> Node | None:
    """The rest with the sign of the divisor, of the exact one that has the sign of the input."""
    if not value_of(node).is_floating_point() or not isinstance(node.args[0], Node):
        return None
    rest, is_below = _rest(editor, node, node.args[0], node.args[1])
    return editor.call(node, aten.where.self, is_below, editor.call(node, aten.add.Tensor, rest, node.args[1]), rest)


def whole_remainder(editor: GraphEditor, node: Node) -> Node | None:
    """The rest of whole numbers, by the quotient rounded down."""
    if value_of(node).is_floating_point() or not isinstance(node.args[0], Node):
        return None
    source, divisor = node.args
    quotient = editor.call(node, aten.div.Tensor_mode, source, divisor, kwargs={"rounding_mode": "floor"})
    return editor.call(node, aten.sub.Tensor, source, editor.call(node, aten.mul.Tensor, quotient, divisor))


def fmod(editor: GraphEditor, node: Node) -> Node | None:
    """The rest with the sign of the input, of the exact one of what both are without their signs."""
    divisor = node.args[1]
    if not value_of(node).is_floating_point():
        return None
    source = operand(node)
    size = editor.call(node, aten.abs.default, source)
    if isinstance(divisor, Node):
        rest = editor.call(node, aten.remainder.Tensor, size, editor.call(node, aten.abs.default, divisor))
    else:
        assert is_number(divisor), node.format_node()
        rest = editor.call(node, aten.remainder.Scalar, size, abs(divisor))
    is_below = editor.call(node, aten.lt.Scalar, source, 0)
    return editor.call(node, aten.where.self, is_below, editor.call(node, aten.neg.default, rest), rest)


def right_shift(editor: GraphEditor, node: Node) -> Node | None:
    """As a division by a power of two, rounded down."""
    bits = node.args[1]
    if not isinstance(bits, int) or bits < 0:
        return None
    return editor.call(node, aten.div.Tensor_mode, operand(node), 2**bits, kwargs={"rounding_mode": "floor"})


def _rest(editor: GraphEditor, node: Node, source: object, divisor: object) -> tuple[Node, Node]:
    """The exact rest with the sign of ``source``, and where the divisor has the other sign and it is not 0."""
    target = aten.fmod.Tensor if isinstance(divisor, Node) else aten.fmod.Scalar
    rest = editor.call(node, target, source, divisor)
    negative = editor.call(node, aten.lt.Scalar, rest, 0)
    if isinstance(divisor, Node):
        other = editor.call(node, aten.ne.Tensor, negative, editor.call(node, aten.lt.Scalar, divisor, 0))
    else:
        assert is_number(divisor), node.format_node()
        other = editor.call(node, aten.logical_not.default, negative) if divisor < 0 else negative
    left = editor.call(node, aten.ne.Scalar, rest, 0)
    return rest, editor.call(node, aten.logical_and.default, left, other)


def _or_quotient(editor: GraphEditor, node: Node, rounded: Node) -> Node:
    """``rounded``, and the infinite quotient where the divisor is 0."""
    source, divisor = node.args[0], node.args[1]
    if not isinstance(divisor, Node):
        return editor.call(node, aten.div.Tensor, source, divisor)
    by_zero = editor.call(node, aten.eq.Scalar, divisor, 0)
    return editor.call(node, aten.where.self, by_zero, editor.call(node, aten.div.Tensor, source, divisor), rounded)
