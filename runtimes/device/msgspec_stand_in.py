"""Travels inside the runner's zip as ``msgspec.py``: frozen records with keyword constructors, nothing more.

The real package is compiled for one machine. A session only builds records and reads their fields; reading and
writing JSON stays with the real package, on the machine that drives the device.
"""

from __future__ import annotations

import copy


class MsgspecError(Exception):
    """Raised by nothing here; exists so that handlers that name it can be compiled."""


class ValidationError(MsgspecError):
    """As ``MsgspecError``."""


class Struct:
    """Keyword-only, frozen, compared by value; defaults are copied for each record."""

    _names: tuple[str, ...] = ()
    _defaults: dict[str, object] = {}  # noqa: RUF012 (ClassVar would need an import that costs start-up time)

    def __init_subclass__(cls, **options: object) -> None:
        own = cls.__dict__.get("__annotations__", {})
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
                self.__dict__[name] = copy.copy(self._defaults[name])
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
