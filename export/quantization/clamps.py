"""Activations that cut off what a product gives: they may become part of it."""

from __future__ import annotations

from collections.abc import Mapping

from torch.fx import Node

from export.patterns import VIEWS, argument, aten, has_tensor, is_call, is_number, only_user

_LIMITS: Mapping[object, tuple[float | None, float | None]] = {
    aten.relu.default: (0.0, None), aten.relu_.default: (0.0, None), aten.relu6.default: (0.0, 6.0),
}  # fmt: skip
_CLAMPS: Mapping[object, tuple[float | None, float | None]] = {
    aten.hardtanh.default: (-1.0, 1.0), aten.hardtanh_.default: (-1.0, 1.0), aten.clamp.default: (None, None),
}  # fmt: skip


def clamp_behind(node: Node) -> Node | None:
    """The activation that cuts off the result of ``node``, seen through views that nobody else reads."""
    user = only_user(node)
    while is_call(user, *VIEWS):
        user = only_user(user)
    if not is_call(user, *_LIMITS, *_CLAMPS) or not has_tensor(user):
        return None
    least, most = limits_of(user)
    if least is None and most is None:
        return None
    return None if least is not None and most is not None and least >= most else user


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
