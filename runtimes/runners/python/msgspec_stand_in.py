"""Travels inside the runner's zip as ``msgspec.py``: frozen records with keyword constructors, read from JSON.

The real package is compiled for one machine. A session only builds records, reads their fields and reads the tensor
lists that some formats store as JSON; writing records stays with the real package, on the machine that drives the
device.
"""

from __future__ import annotations

import json as _json
import types
import typing
from dataclasses import dataclass, field

__all__ = ["MsgspecError", "Struct", "StructMeta", "ValidationError", "field", "json"]


class MsgspecError(Exception):
    """As in the real package."""


class ValidationError(MsgspecError):
    """Raised for JSON that is not what was asked for."""


class StructMeta(type):
    """As in the real package, for what derives from it."""


class Struct(metaclass=StructMeta):
    """Keyword-only, frozen, compared by value. The class options of the real package say what it has anyway."""

    def __init_subclass__(cls, **config: object) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)


class json:
    """Stands for the module ``msgspec.json``."""

    @staticmethod
    def decode(text: str | bytes, *, type: object) -> object:
        """Read JSON as ``type``: records, tuples, unions with None, enums and plain values.

        Raises:
            ValidationError: The text is no JSON, or holds something else.
        """
        try:
            return _convert(_json.loads(text), type)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValidationError(str(error)) from error


def _convert(value: object, wanted: object) -> object:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        kind = next(kind for kind in arguments if kind is not types.NoneType)
        return None if value is None else _convert(value, kind)
    if origin is dict and isinstance(value, dict):
        return {_convert(key, arguments[0]): _convert(item, arguments[1]) for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_convert(item, kind) for item, kind in zip(value, each, strict=True))
    if not isinstance(wanted, type):
        raise TypeError(f"expected {wanted}, got {value!r}")
    if issubclass(wanted, Struct) and isinstance(value, dict):
        hints = typing.get_type_hints(wanted)
        return wanted(**{name: _convert(item, hints[name]) for name, item in value.items()})
    if isinstance(value, wanted):
        return value
    if not isinstance(value, str) or wanted is str:
        raise TypeError(f"expected {wanted.__name__}, got {value!r}")
    return wanted(value)
