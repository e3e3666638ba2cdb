"""Remove calls that hand their input through.

Needs: an eval-mode graph.
Guarantees: dropout that is off, ``contiguous``, ``clone``, ``alias``, ``detach``, ``lift_fresh``, casts to the same
dtype, additions of the number 0 or products with the number 1, a ``cat`` of one tensor, a slice of all, padding by
nothing, a ``roll`` all around, a ``repeat`` once, and means, sums and extremes over axes of size 1 that are kept are
gone; values and shapes are the same. An ``expand`` to the same shape stays: there ``dynamic_batch`` frees the batch.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import argument, aten, has_tensor, ints, is_number, shape_of, value_of

DROPOUTS = (aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default)
COPIES = (
    aten.contiguous.default,
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.detach_.default,
    aten.lift_fresh_copy.default,
    aten.lift_fresh.default,
)
CASTS = (aten.to.dtype, aten.to.dtype_layout, aten._to_copy.default, aten.type_as.default)
NEUTRAL: dict[object, int] = {aten.add.Tensor: 0, aten.sub.Tensor: 0, aten.mul.Tensor: 1, aten.div.Tensor: 1}
REDUCTIONS = (aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default)
WHOLES = (
    aten.cat.default, aten.slice.Tensor, aten.pad.default, aten.constant_pad_nd.default, aten.roll.default,
    aten.repeat.default, *REDUCTIONS,
)  # fmt: skip
"""Calls that hand their input through for some arguments only; its shape alone does not tell, as a roll shows."""


@each_call(*DROPOUTS, *COPIES, *CASTS, *NEUTRAL, *WHOLES, done="calls removed")
def run(editor: GraphEditor, node: Node) -> bool:
    """Remove every call that changes nothing."""
    source = _source(node)
    if not has_tensor(node) or source is None or not _hands_through(node, source):
        return False
    editor.replace(node, source)
    return True


def _source(node: Node) -> Node | None:
    """The one tensor that ``node`` might hand through."""
    first = node.args[0]
    if node.target is aten.cat.default and isinstance(first, (list, tuple)) and len(first) == 1:
        first = first[0]
    return first if has_tensor(first) else None


def _hands_through(node: Node, source: Node) -> bool:
    if node.target in COPIES:
        return True
    if node.target in DROPOUTS:
        return argument(node, 2, "train") is False or argument(node, 1, "p") == 0
    before, after = value_of(source), value_of(node)
    if before.dtype != after.dtype:
        return False
    if node.target in CASTS:
        return before.device.type == after.device.type
    if node.target in WHOLES:
        return before.shape == after.shape and _takes_all(node)
    number = argument(node, 1, "other")
    return is_number(number) and number == NEUTRAL[node.target]


def _takes_all(node: Node) -> bool:
    """Whether a call of ``WHOLES`` that keeps its input's shape keeps every value at its place too."""
    if node.target is aten.roll.default:
        axes = ints(argument(node, 2, "dims", []))
        sizes = [shape_of(node)[axis] for axis in axes] or [value_of(node).numel()]
        return all(shift % size == 0 for shift, size in zip(ints(node.args[1]), sizes, strict=True))
    if node.target in (aten.pad.default, aten.constant_pad_nd.default):
        return not any(ints(node.args[1]))
    # of the same shape: a slice has all, one part or one copy is all, and reduced axes that are kept had one value
    return True
