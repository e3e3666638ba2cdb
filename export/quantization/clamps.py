"""Activations that cut off what a product gives: they may become part of it, or stand between two convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch.fx import Graph, Node

from export.int8.plan import Range
from export.patterns import (
    VIEWS,
    argument,
    aten,
    has_tensor,
    is_call,
    is_number,
    only_user,
    operand,
    shape_of,
    window_of,
)

_LIMITS: Mapping[object, tuple[float | None, float | None]] = {
    aten.relu.default: (0.0, None), aten.relu_.default: (0.0, None), aten.relu6.default: (0.0, 6.0),
}  # fmt: skip
_CLAMPS: Mapping[object, tuple[float | None, float | None]] = {
    aten.hardtanh.default: (-1.0, 1.0), aten.hardtanh_.default: (-1.0, 1.0), aten.clamp.default: (None, None),
}  # fmt: skip


def clamp_behind(node: Node) -> Node | None:
    """The activation that cuts off the result of ``node``, seen through views that nobody else reads.

    Zero is among what it lets through, as it is among the values that any range is rounded to.
    """
    user = only_user(node)
    while is_call(user, *VIEWS):
        user = only_user(user)
    if not is_call(user, *_LIMITS, *_CLAMPS) or not has_tensor(user):
        return None
    least, most = limits_of(user)
    if (least is None and most is None) or least == most:
        return None
    return user if (least or 0.0) <= 0.0 <= (most or 0.0) else None


def limits_of(clamp: Node) -> tuple[float | None, float | None]:
    """The least and the most that ``clamp`` lets through; both None where a limit is computed."""
    if clamp.target in _LIMITS:
        return _LIMITS[clamp.target]
    standard = _CLAMPS[clamp.target]
    names = ("min", "max") if clamp.target is aten.clamp.default else ("min_val", "max_val")
    given = [argument(clamp, place, names[place - 1], standard[place - 1]) for place in (1, 2)]
    if any(value is not None and not is_number(value) for value in given):
        return None, None
    least, most = (float(value) if is_number(value) else None for value in given)
    return least, most


def cut_range(node: Node, shown: Range) -> Range:
    """What the activation behind ``node`` leaves of its range: 256 values of the rest are cut off just as it does."""
    clamp = clamp_behind(node)
    if clamp is None:
        return shown
    least, most = limits_of(clamp)
    low = shown.low if least is None else max(shown.low, least)
    high = shown.high if most is None else min(shown.high, most)
    return Range(low, max(low, high))


def cut(node: Node, value: torch.Tensor) -> torch.Tensor:
    """``value``, what ``node`` gives, as the activation behind it leaves it."""
    clamp = clamp_behind(node)
    return value if clamp is None else value.clamp(*limits_of(clamp))


def in_chains(graph: Graph, *, through_views: bool = False) -> set[Node]:
    """The convolutions of images between which nothing but an activation that cuts off stands (``clamp_behind``).

    What passes from one to the next can stay int8. Grouped ones are none, but for depthwise. ``through_views`` lets
    views stand between them too, and counts linear layers, which views turn convolutions into.
    """
    targets = (aten.conv2d.default, aten.linear.default) if through_views else (aten.conv2d.default,)
    products = {node for node in graph.nodes if is_call(node, *targets) and _is_one_or_all(node)}
    found: set[Node] = set()
    for node in products:
        clamp = clamp_behind(node)
        if clamp is not None and (through_views or operand(clamp) is node):
            behind = {user for user in _readers(clamp, through_views=through_views) if user in products}
            found |= {node, *behind} if behind else set[Node]()
    return found


def _readers(source: Node, *, through_views: bool) -> Iterator[Node]:
    """Who takes ``source`` as its first operand, or such a view of it."""
    for user in source.users:
        if through_views and is_call(user, *VIEWS):
            yield from _readers(user, through_views=True)
        elif user.args and user.args[0] is source:
            yield user


def _is_one_or_all(product: Node) -> bool:
    """Whether the channels of ``product`` are in one group, or in one each."""
    if not is_call(product, aten.conv2d.default):
        return True
    return window_of(product).groups == 1 or shape_of(operand(product, 1))[1] == 1
