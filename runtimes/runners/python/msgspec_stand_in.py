"""Travels inside the runner's zip as ``msgspec.py``: frozen records with keyword constructors, read from JSON.

The real package is compiled for one machine. A session only builds records, reads their fields and reads the tensor
lists that some formats store as JSON; writing records stays with the real package, on the machine that drives the
device.
"""

from __future__ import annotations

import copy
import json as _json
import types
import typing
from collections.abc import Callable


class MsgspecError(Exception):
    """Raised by nothing here; exists so that handlers that name it can be compiled."""


class ValidationError(MsgspecError):
    """As ``MsgspecError``."""


class Field:
    """A default that is made anew for each record."""

    def __init__(self, default_factory: Callable[[], object]) -> None:
        self.default_factory = default_factory


def field(*, default_factory: Callable[[], object]) -> Field:
    """As in the real package, for the one form that records here use."""
    return Field(default_factory)


class StructMeta(type):
    """Takes the class options of the real package, all of which ``Struct`` has anyway."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, object], **config: object) -> StructMeta:
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object], **config: object) -> None:
        super().__init__(name, bases, namespace)


class Struct(metaclass=StructMeta):
    """Keyword-only, frozen, compared by value; defaults are copied for each record."""

    _names: tuple[str, ...] = ()
    _defaults: dict[str, object] = {}  # noqa: RUF012 (ClassVar would need an import that costs start-up time)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = cls.__annotations__
        names = [name for name in own if name not in cls._names and not str(own[name]).startswith("ClassVar")]
        cls._names = (*cls._names, *names)
        cls._defaults = {**cls._defaults, **{name: cls.__dict__[name] for name in own if name in cls.__dict__}}

    def __init__(self, **values: object) -> None:
        if unknown := sorted(values.keys() - set(self._names)):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}")
        for name in self._names:
            if name in values:
                self.__dict__[name] = values[name]
            elif name in self._defaults:
                default = self._defaults[name]
                self.__dict__[name] = default.default_factory() if isinstance(default, Field) else copy.copy(default)
            else:
                raise TypeError(f"{type(self).__name__} is missing field {name}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(repr(self.__dict__[name]) for name in self._names)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._names)
        return f"{type(self).__name__}({fields})"


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
        except (ValueError, TypeError, KeyError) as error:
            raise ValidationError(str(error)) from error


def _convert(value: object, wanted: object) -> object:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return (
            None if value is None else _convert(value, next(kind for kind in arguments if kind is not types.NoneType))
        )
    if origin is dict and isinstance(value, dict):
        return {_convert(key, arguments[0]): _convert(item, arguments[1]) for key, item in value.items()}
    if origin is list and isinstance(value, list):
        return [_convert(item, arguments[0]) for item in value]
    if origin is tuple and isinstance(value, list):
        each = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_convert(item, kind) for item, kind in zip(value, each, strict=True))
    if isinstance(wanted, type) and issubclass(wanted, Struct) and isinstance(value, dict):
        hints = typing.get_type_hints(wanted)
        return wanted(**{name: _convert(item, hints[name]) for name, item in value.items()})
    if isinstance(wanted, type) and origin is None and not isinstance(value, wanted):
        if not isinstance(value, str) or wanted is str:
            raise TypeError(f"expected {wanted.__name__}, got {value!r}")
        return wanted(value)
    return value
