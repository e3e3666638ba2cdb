"""What a forward returned, as tensors with names: the order is that of capture, the names are those of the code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgevit.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def named_tensors(result: object, single: str) -> list[tuple[str, Tensor]]:
    """The tensors in ``result`` in the order in which capture takes them, each with a name of its own.

    A mapping and a dataclass name what is in them, a tuple or a list counts from 1; names within names are joined by
    ``_``, which also stands for blanks. A dataclass is made known to torch, which else takes it for one value.

    Args:
        result: A tensor, or tensors in mappings, tuples, lists and dataclasses, however nested.
        single: Name of the output where there is only one that nothing names; ``stage`` gives ``stage1``, ``stage2``.

    Raises:
        UsageError: Something in it is no tensor, or nothing is in it.
    """
    found = list(_walk(result, ()))
    if not found:
        raise UsageError("forward returns nothing: expected a tensor, or tensors in a tuple, list, dict or dataclass")
    names: dict[str, Tensor] = {}
    for path, tensor in found:
        name = _visible("_".join(part for part in path if part)) or single
        if name[:1].isdecimal():
            name = f"{single}{name}"
        while name in names:
            name += "_"
        names[name] = tensor
    return list(names.items())


def _visible(name: str) -> str:
    """``name`` with a ``_`` for blanks and for what is not seen: no file can name a tensor by them."""
    return "".join(char if char.isprintable() and char != " " else "_" for char in name)


def _walk(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    import torch

    if isinstance(value, torch.Tensor):
        yield path, value
        return
    for key, inner in _parts(value, path):
        yield from _walk(inner, (*path, key))


def _parts(value: object, path: tuple[str, ...]) -> list[tuple[str, object]]:
    """What a container holds, by key."""
    if isinstance(value, Mapping):  # a ``ModelOutput`` as well
        return [(str(key), inner) for key, inner in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        alone = len(value) == 1
        return [("" if alone else str(number), inner) for number, inner in enumerate(value, 1)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _make_known(type(value))
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return [(name, inner) for name, inner in fields if inner is not None]  # as torch leaves them out
    where = "_".join(path) or "its result"
    raise UsageError(
        f"forward returns {type(value).__name__} for {where}: expected a tensor, or tensors in a tuple, list, dict or "
        "dataclass",
        hint="wrap the module in one whose forward returns tensors alone",
    )


def _make_known(kind: type) -> None:
    """Let torch see the fields of a dataclass, once."""
    from torch.export import register_dataclass
    from torch.utils._pytree import SUPPORTED_NODES

    if kind not in SUPPORTED_NODES:
        register_dataclass(kind)
