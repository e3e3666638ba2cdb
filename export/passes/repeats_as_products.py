"""Phrase the repetition of a tensor as a product with ones, and leave out what broadcasting does anyhow.

Needs: ``expand``, ``expand_as``, ``repeat``, or a ``cat`` of one tensor with itself, of floating numbers, fixed sizes
and a fixed batch.
Guarantees: the same values (x * 1 is x). A repetition of nothing disappears; one whose readers broadcast by themselves
does too. ExecuTorch's partitioner takes no ``expand``, and counts the different tensors of a ``cat``: it leaves one of
a single tensor outside.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import are_fixed, argument, aten, has_tensor, ints, is_call, operand, shape_of, value_of

EXPANDS = (aten.expand.default, aten.expand_as.default)
BROADCAST = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)
MOST_AXES = 6
"""XNN_MAX_TENSOR_DIMS: XNNPACK broadcasts over no more."""


@each_call(*EXPANDS, aten.repeat.default, aten.cat.default, done="repetitions as products")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Rewrite every repetition."""
    if node.target is aten.cat.default:
        parts = node.args[0]
        if not isinstance(parts, (list, tuple)) or len(set(parts)) != 1 or not has_tensor(parts[0]):
            return False
        source = parts[0]
        (axis,) = ints(argument(node, 1, "dim", 0))
        times = [1] * len(shape_of(source))
        times[axis] = len(parts)
    else:
        source = operand(node)
        if not are_fixed((*shape_of(source), *shape_of(node))):
            return "its sizes are free"
        times = _times(node)
    return _repeat(editor, node, source, times)


def _times(node: Node) -> list[int]:
    """How often each axis of the result of an ``expand`` or ``repeat`` holds that of its operand."""
    new = len(shape_of(node)) - len(shape_of(operand(node)))
    if node.target is aten.repeat.default:
        return list(ints(node.args[1]))
    return [there // here for there, here in zip(shape_of(node), (1,) * new + shape_of(operand(node)), strict=True)]


def _repeat(editor: GraphEditor, node: Node, source: Node, times: list[int]) -> bool | str:
    shape = (1,) * (len(times) - len(shape_of(source))) + shape_of(source)
    if 0 in times or not are_fixed(shape):
        return "its sizes are free"
    same = source if shape == shape_of(source) else editor.reshape(node, source, list(shape))
    if all(count == 1 for count in times) or all(_broadcasts(user, node) for user in node.users):
        editor.replace(node, same)
        return True
    if not value_of(source).dtype.is_floating_point:
        return "its numbers are integers"
    inner: list[int] = []
    ones: list[int] = []
    for size, count in zip(shape, times, strict=True):
        # an axis of size 1 is broadcast itself; any other gets one in front of it
        inner += [1, size] if count > 1 and size > 1 else [size]
        ones += [count, 1] if count > 1 and size > 1 else [count]
    if len(inner) > MOST_AXES:
        return f"it takes more than {MOST_AXES} axes"
    spread = same if tuple(inner) == shape else editor.reshape(node, source, inner)
    factor = editor.add_constant(torch.ones(ones, dtype=value_of(source).dtype), node, "ones")
    product = editor.call(node, aten.mul.Tensor, spread, factor)
    done = shape_of(product) == shape_of(node)
    editor.replace(node, product if done else editor.reshape(node, product, list(shape_of(node))))
    return True


def _broadcasts(user: Node, node: Node) -> bool:
    """Whether ``user`` gives the same if it reads the operand of ``node``, since its other one has all axes."""
    if not is_call(user, *BROADCAST) or len(user.args) != 2 or user.kwargs:
        return False
    return any(arg is not node and has_tensor(arg) and shape_of(arg) == shape_of(user) for arg in user.args)
