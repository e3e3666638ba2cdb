"""What may run while a file is being loaded: a ``__setstate__`` that widens tensors (``widen``), and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from export.formats.ptl_file.bytecode import Function
from export.formats.ptl_file.values import QUANTISED, Object, Opaque, PickleError

SETSTATE = "__setstate__"
Row: TypeAlias = tuple[str, str, int]
"""An operator of a function's table: name, overload, how many operands it is given."""
Step: TypeAlias = tuple[str, int, int]
_UNPACK: Row = ("prim::TupleUnpack", "", 1)
_CAST: Row = ("aten::to", "dtype", 5)
_DEQUANTISE: Row = ("aten::dequantize", "self", 1)
CONSTANTS = (6, False, None)  # 6 is at::ScalarType::Float
_CASTS_TO_FLOAT32 = (0, 1, 1, 2)  # the operands of _CAST behind the tensor, by their place in CONSTANTS
TAIL: tuple[Step, ...] = (("LOADC", 2, 0), ("RET", 0, 0))


def head(count: int) -> tuple[Step, ...]:
    """The first steps: the object into register 1, the ``count`` tensors of its state into those from 3 on."""
    return (("STOREN", 1, 2), ("LOAD", 2, 0), ("OP", 0, 0), ("STOREN", 3, count))


def operators_for(casts: Iterable[bool]) -> tuple[Row, ...]:
    """The table of operators, of tensors that are cast or else dequantised."""
    kinds = {*casts}
    return (_UNPACK, *((_CAST,) if True in kinds else ()), *((_DEQUANTISE,) if False in kinds else ()))


def widened(place: int, rows: Sequence[Row], *, casts: bool) -> tuple[Step, ...]:
    """The steps that make tensor ``place`` of the state an attribute of float32."""
    operands = tuple(("LOADC", index, 0) for index in _CASTS_TO_FLOAT32) if casts else ()
    called = ("OP", rows.index(_CAST if casts else _DEQUANTISE), 0)
    return (("LOAD", 1, 0), ("LOAD", 3 + place, 0), *operands, called, ("SET_ATTR", place, 0))


def restored(function: Function, root: Object) -> int:
    """How many attributes ``function`` gives to ``root``, the one object that it is run for.

    It must be, step by step, what ``widen`` writes: unpack the state, give each of its tensors as float32 to one
    attribute, in their order.

    Raises:
        PickleError: It does anything else.
    """
    state = root.state or ()
    if not state or not all(isinstance(value, Opaque) and value.what == "tensor" for value in state):
        raise PickleError(f"{function.name} would run while the file is being loaded, on what are no tensors")
    casts = [isinstance(value, Opaque) and value.dtype not in QUANTISED for value in state]
    rows = operators_for(casts)
    expected = [
        *head(len(state)),
        *(step for at, cast in enumerate(casts) for step in widened(at, rows, casts=cast)),
        *TAIL,
    ]
    steps = [(step.name, step.x, step.n) for step in function.instructions]
    if steps != expected or not _has_tables(function, rows) or function.registers < 2 + len(state):
        raise PickleError(f"{function.name} would run while the file is being loaded, and does not only widen tensors")
    return len(state)


def _has_tables(function: Function, rows: Sequence[Row]) -> bool:
    """Whether its operators, constants, arguments and results are those of ``widen``."""
    names = [f"{name}.{overload}" if overload else name for name, overload, _ in rows]
    counted = all(use.arguments in (None, row[2]) for use, row in zip(function.operators, rows, strict=False))
    constants = [(type(value), value) for value in function.constants]
    return (
        [use.name for use in function.operators] == names
        and counted
        and constants == [(type(value), value) for value in CONSTANTS]
        and (function.arguments, function.returns) == (2, 1)
    )
