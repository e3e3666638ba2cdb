"""What a network returns, as a list of tensors: out of lists, dicts and dataclasses, however deep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgevit.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor


def tensors_of(result: object) -> tuple[Tensor, ...]:
    """The tensors in ``result`` in their order; None, numbers, booleans and texts tell nothing of an input, and go.

    Raises:
        ExportError: Something else is among them; the message says where.
    """
    return tuple(_tensors(result, "its result"))


def _tensors(value: object, where: str) -> Iterator[Tensor]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for position, part in enumerate(value):
            yield from _tensors(part, f"{where}[{position}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name), f"{where}.{field.name}")
    elif value is not None and not isinstance(value, bool | int | float | str):
        raise ExportError(
            f"{where} is {type(value).__module__}.{type(value).__qualname__}: expected tensors, or tuples, lists, "
            "dicts and dataclasses of tensors"
        )
