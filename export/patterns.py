"""What passes ask about a captured graph: its calls, their arguments and shapes, each read with a check at run time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Node
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
VIEWS = (aten.reshape.default, aten.permute.default)
PROVENANCE = ("nn_module_stack", "stack_trace", "source_fn_stack")


class Window(NamedTuple):
    """How a ``conv2d`` moves over its image, each time for (rows, columns)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def is_call(node: object, *targets: object) -> TypeGuard[Node]:
    """Whether ``node`` is a call of one of ``targets``, or any call if none is given."""
    return isinstance(node, Node) and node.op == "call_function" and (not targets or node.target in targets)


def operator_name(target: object) -> str:
    """What TorchScript calls an operator, with its overload: ``aten::add_.Tensor``."""
    assert isinstance(target, OpOverload)
    overload = target._schema.overload_name
    return f"{target._schema.name}.{overload}" if overload else str(target._schema.name)


def is_permute(node: object, axes: tuple[int, ...]) -> TypeGuard[Node]:
    """Whether ``node`` is a permute into the order ``axes``."""
    return is_call(node, aten.permute.default) and axes_of(node) == axes


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether an argument is a plain number; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def has_tensor(node: object) -> TypeGuard[Node]:
    """Whether ``node`` is a graph node whose value is one tensor."""
    return isinstance(node, Node) and isinstance(node.meta.get("val"), Tensor)


def value_of(node: Node) -> Tensor:
    """The fake tensor that tells shape and dtype of ``node``.

    Raises:
        TypeError: ``node`` has no tensor as its value.
    """
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        raise TypeError(f"{node.format_node()} has no tensor as its value")
    return value


def shape_of(node: Node) -> tuple[int, ...]:
    """Shape of ``node``; a free axis is a ``SymInt``."""
    return tuple(value_of(node).shape)


def rank_of(node: Node) -> int:
    """How many axes ``node`` has."""
    return value_of(node).dim()


def are_fixed(sizes: Iterable[object]) -> bool:
    """Whether no axis is free."""
    return all(isinstance(size, int) for size in sizes)


def sizes_of(node: Node) -> list[int] | None:
    """Shape of ``node`` as an argument for reshape, with -1 for axis 0; None if another axis is free.

    Leading with -1 keeps the graph valid for every batch size.
    """
    shape = shape_of(node)
    if not shape or not are_fixed(shape[1:]) or 0 in shape:
        return None
    return [-1, *shape[1:]]


def operand(node: Node, index: int = 0) -> Node:
    """Argument ``index`` of a call, which is a node of the graph.

    Raises:
        TypeError: It is none.
    """
    found = node.args[index]
    if not isinstance(found, Node):
        raise TypeError(f"argument {index} of {node.format_node()} is no node")
    return found


def argument(node: Node, index: int, name: str, default: object = None) -> object:
    """Positional or keyword argument of a call, or ``default`` where the schema's default stands."""
    if len(node.args) > index:
        return node.args[index]
    return node.kwargs.get(name, default)


def ints(value: object) -> tuple[int, ...]:
    """An argument of sizes or axes, given once or as a list.

    Raises:
        TypeError: It holds something else.
    """
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not are_fixed(found):
        raise TypeError(f"expected integers, but found {value!r}")
    return found


def pair(value: object) -> tuple[int, int]:
    """An argument for (rows, columns) of an image, given once or for each."""
    values = ints(value)
    return values[0], values[-1]


def window_of(conv: Node) -> Window:
    """How the ``conv2d`` ``conv`` moves over its image."""
    (groups,) = ints(argument(conv, 6, "groups", 1))
    return Window(
        stride=pair(argument(conv, 3, "stride", 1)),
        padding=pair(argument(conv, 4, "padding", 0)),
        dilation=pair(argument(conv, 5, "dilation", 1)),
        groups=groups,
    )


def axes_of(permute: Node) -> tuple[int, ...]:
    """The order into which ``permute`` brings the axes, counted from 0."""
    rank = rank_of(operand(permute))
    return tuple(axis % rank for axis in ints(permute.args[1]))


def axis_of(node: Node) -> int:
    """The axis, counted from 0, that a slice, select or softmax names."""
    (axis,) = ints(argument(node, 1, "dim", 0))
    return axis % rank_of(operand(node))


def mean_axes(mean: Node) -> list[int] | None:
    """The axes, counted from 0, over which ``mean.dim`` averages; None for all of them, or in another dtype."""
    dims = argument(mean, 1, "dim")
    if not dims or argument(mean, 3, "dtype") is not None:
        return None
    return [axis % rank_of(operand(mean)) for axis in ints(dims)]


def is_over_last_axis(norm: Node) -> bool:
    """Whether a ``layer_norm`` normalises over the last axis alone."""
    return len(ints(norm.args[1])) == 1


def keeps_last_axis(node: object) -> TypeGuard[Node]:
    """Whether ``node`` is a reshape or a slice of its first operand that leaves the last axis as it is."""
    if is_call(node, aten.slice.Tensor):
        return axis_of(node) != rank_of(node) - 1
    if not is_call(node, aten.reshape.default) or sizes_of(node) is None:
        return False
    return rank_of(node) > 1 and shape_of(node)[-1] == shape_of(operand(node))[-1]


def only_user(node: Node) -> Node | None:
    """The one node that uses ``node``, or None if there are several or none, or it uses it twice."""
    if len(node.users) != 1:
        return None
    user = next(iter(node.users))
    uses = sum(item is node for item in tree_leaves((user.args, user.kwargs)))
    return user if uses == 1 else None


def inherit(node: Node, like: Node) -> None:
    """Let ``node`` count as coming from where ``like`` comes from."""
    for key in PROVENANCE:
        if key in like.meta:
            node.meta[key] = like.meta[key]


def without_storage(value: object) -> object:
    """A meta tensor of the same shape: passes ask for thousands of shapes, and a fake tensor's cost far more."""
    if isinstance(value, Tensor) and are_fixed(value.shape):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return value


def as_double(tensor: Tensor) -> Tensor:
    """``tensor`` in float64, in which weights are folded; of the same shape."""
    return tensor.to(torch.float64)
