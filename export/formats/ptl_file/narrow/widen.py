"""Weights that are stored narrower than they are computed with, and widened once, while the file is being loaded.

The lite interpreter gives the state of an object to its class's ``__setstate__``, if the program has that function, and
runs it before anything else. Ours takes a tuple of narrow tensors and makes float32 attributes of them, which
``forward`` reads in place of constants. A cast in front of each use would cost 15 % of every call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from export.formats.ptl_file.narrow.pack_int8 import quantised_tensor, tensor
from export.formats.ptl_file.narrow.restore import CONSTANTS, SETSTATE, TAIL, head, operators_for, widened
from export.formats.ptl_file.rewrite import Called, Made, Named, Stored, Tree, dump

_FOLDER = "data/"
_LEAST_SQNR_DB = 60.0
"""Chosen: rounding to half precision gives some 73 dB; less means numbers outside of its range, which keep float32."""


@dataclass(frozen=True)
class Int8:
    """Weights of a layer that computes in float: ``values`` of int8, one scale an index of ``axis``."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    axis: int


@dataclass
class Widening:
    """Decides for each stored tensor of a program whether it is narrowed, and collects those that are.

    Attributes:
        kind: The class of the program's object, e.g. ``__torch__.M``.
        data_of: The bytes of a record that the program takes a tensor from.
        halves: Whether every tensor of float32 becomes one of half precision.
        int8: By the SHA-256 of a tensor's float32 bytes, in memory's order, what it is stored as.
    """

    kind: str
    data_of: Callable[[str], bytes]
    halves: bool = False
    int8: Mapping[str, Int8] = field(default_factory=dict)
    state: list[Called] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    _stored: dict[str, bytes] = field(default_factory=dict)
    _places: dict[Tree, int | None] = field(default_factory=dict)

    def attribute(self, constant: Tree) -> int | None:
        """The attribute that ``forward`` reads in the place of ``constant``; None where that stays as it is."""
        if not isinstance(constant, Called) or constant.function.name != "_rebuild_tensor_v2":
            return None
        key = constant.arguments[:4]
        if key not in self._places:
            narrow = self._narrow(constant)
            self._places[key] = None if narrow is None else len(self.state)
            if narrow is not None:
                self.state.append(narrow)
        return self._places[key]

    def _narrow(self, constant: Called) -> Called | None:
        storage, offset, sizes, strides = constant.arguments[:4]
        assert isinstance(storage, Stored) and isinstance(sizes, tuple) and isinstance(strides, tuple)
        kind = storage.description[1]
        if not isinstance(kind, Named) or kind.name != "FloatStorage" or storage.description[4] == 1:
            return None
        data = self.data_of(storage.key)
        digest = hashlib.sha256(data).hexdigest()
        if digest in self.int8 and offset == 0:
            self.found.add(digest)
            return self._as_int8(self.int8[digest], sizes, strides)
        return self._as_half(data, constant) if self.halves else None

    def _as_int8(self, found: Int8, sizes: tuple[Tree, ...], strides: tuple[Tree, ...]) -> Called:
        count = found.values.size
        shape, steps = (tuple(int(str(size)) for size in values) for values in (sizes, strides))
        values = tensor("CharStorage", self._key(found.values.tobytes()), shape, steps, count)
        number = len(found.scales)
        scales = tensor("FloatStorage", self._key(found.scales.tobytes()), (number,), (1,), number)
        added: dict[str, bytes] = {}
        narrow = quantised_tensor(added, values, scales, found.axis, zero="zero")
        self._stored |= added
        return narrow

    def _as_half(self, data: bytes, constant: Called) -> Called | None:
        wide = np.frombuffer(data, np.float32)
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float16)
        noise, signal = np.sum((wide - narrow.astype(np.float64)) ** 2), np.sum(wide.astype(np.float64) ** 2)
        if not np.isfinite(narrow).all() or noise * 10 ** (_LEAST_SQNR_DB / 10) > signal:
            return None
        storage, *rest = constant.arguments
        assert isinstance(storage, Stored)
        kind, _, _, device, count = storage.description
        stored = Stored((kind, Named("torch", "HalfStorage"), self._key(narrow.tobytes()), device, count))
        return constant.function(stored, *rest)

    def _key(self, data: bytes) -> str:
        """The name of a record below ``data/`` that holds ``data``; equal ones are one."""
        known = next((name for name, other in self._stored.items() if other == data), None)
        if known is None:
            known = str(len(self._stored))
            self._stored[known] = data
        return known

    def records(self) -> dict[str, bytes]:
        """``data.pkl``, the object with its state, and the tensors of that."""
        module, _, name = self.kind.rpartition(".")
        value = Made(Named(module, name), tuple(self.state))
        return {"data.pkl": dump(value), **{_FOLDER + key: data for key, data in self._stored.items()}}

    def restoring(self, version: int) -> Tree:
        """``__setstate__`` of the program's class, in a bytecode of this version."""
        rows = operators_for(narrow.function.name == "_rebuild_tensor_v2" for narrow in self.state)
        steps: list[tuple[str, int, int]] = [*head(len(self.state))]
        for place, narrow in enumerate(self.state):
            steps += widened(place, rows, casts=narrow.function.name == "_rebuild_tensor_v2")
        steps += TAIL
        operators = tuple((*row[:2], *((row[2],) if version > 5 else ())) for row in rows)
        code = (
            ("instructions", tuple(steps)),
            ("operators", operators),
            ("constants", CONSTANTS),
            ("types", ()),
            ("register_size", 2 + len(self.state)),
        )
        # It returns None, whose type is called None up to 1.8 and NoneType from 1.9 on.
        arguments, returns = _schema(("self", self.kind), ("state", "Any")), _schema(("", "Any"))
        return (f"{self.kind}.{SETSTATE}", code, (("arguments", arguments), ("returns", returns)))


def _schema(*named: tuple[str, str]) -> Tree:
    return tuple((("name", name), ("type", kind), ("default_value", None)) for name, kind in named)
