"""Change a pickle that torch has just written here, and write it again with the opcodes that its loader reads.

For files of our own making only: ``pickled`` reads those from elsewhere. What a pickle would call or make stands as it
is written there, as ``Named``, ``Called``, ``Made`` and ``Stored``; nothing is imported.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Named:
    """A class or function."""

    module: str
    name: str

    def __call__(self, *arguments: Tree) -> Called:
        """What REDUCE makes of it."""
        return Called(self, arguments)


@dataclass(frozen=True)
class Called:
    """The result of a call."""

    function: Named
    arguments: tuple[Tree, ...]


@dataclass(frozen=True)
class Made:
    """An object of a class, with the state that it is restored from."""

    kind: Named
    state: Tree


@dataclass(frozen=True)
class Stored:
    """The storage of a tensor: ``("storage", type, key, "cpu", elements)``."""

    description: tuple[Tree, ...]

    @property
    def key(self) -> str:
        """The name of its record."""
        return str(self.description[2])


Tree: TypeAlias = "bool | int | float | str | tuple[Tree, ...] | list[Tree] | Named | Called | Made | Stored | None"


def load(data: bytes) -> Tree:
    """The value in a pickle without objects, such as ``bytecode.pkl`` of a frozen program."""
    value: Tree = _Reader(io.BytesIO(data)).load()
    return value


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Named:
        return Named(module_name, global_name)

    def persistent_load(self, pid: tuple[Tree, ...]) -> Stored:
        return Stored(pid)


def dump(value: Tree) -> bytes:
    """``value`` as a pickle of protocol 2; texts and names are written once and remembered, as torch does."""
    writer = _Writer()
    writer.put(value)
    return b"\x80\x02" + bytes(writer.out) + b"."


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()
        self.memory: dict[str | Named, int] = {}

    def put(self, value: Tree) -> None:
        match value:
            case None | bool():
                self.out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
            case int():
                self.number(value)
            case float():
                self.out += b"G" + struct.pack(">d", value)
            case str():
                raw = value.encode()
                self.remembered(value, b"X" + struct.pack("<I", len(raw)) + raw)
            case Named():
                self.remembered(value, f"c{value.module}\n{value.name}\n".encode())
            case tuple():
                self.tuple(value)
            case list():
                self.several(b"](", value, b"e")
            case Called():
                self.several(b"", (value.function, value.arguments), b"R")
            case Made():
                self.put(value.kind)
                self.several(b")\x81", (value.state,), b"b")
            case Stored():
                self.several(b"", (value.description,), b"Q")
            case _:
                raise TypeError(f"{type(value).__name__} is no part of a program")

    def remembered(self, value: str | Named, spelled: bytes) -> None:
        if value in self.memory:
            index = self.memory[value]
            self.out += b"h%c" % index if index < 256 else b"j" + struct.pack("<I", index)
            return
        index = self.memory[value] = len(self.memory)
        self.out += spelled + (b"q%c" % index if index < 256 else b"r" + struct.pack("<I", index))

    def number(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += b"K%c" % value
        elif -(2**31) <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            self.out += b"\x8a\x08" + struct.pack("<q", value)

    def tuple(self, value: tuple[Tree, ...]) -> None:
        if not value:
            self.out += b")"
        elif len(value) < 4:
            self.several(b"", value, (b"\x85", b"\x86", b"\x87")[len(value) - 1])
        else:
            self.several(b"(", value, b"t")

    def several(self, before: bytes, values: Sequence[Tree], behind: bytes) -> None:
        self.out += before
        for value in values:
            self.put(value)
        self.out += behind
