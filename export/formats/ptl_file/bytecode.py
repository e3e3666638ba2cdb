"""``bytecode.pkl``: the functions of a lite program, each with its code and schema.

It holds ``(version, (function, (("instructions", ...), ("operators", ...), ...), schema), ...)``. torch goes by
position, so every part must stand where it belongs, and be a tuple where torch wants one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from export.formats.ptl_file.values import PickleError, Value, type_problem

CODE = ("instructions", "operators", "constants", "types", "register_size")
_MOST_X, _MOST_N = 2**31, 2**16  # what an instruction has room for: more would be cut off to another number


@dataclass(frozen=True)
class Instruction:
    """One step of the interpreter: its name and two numbers."""

    name: str
    x: int
    n: int


@dataclass(frozen=True)
class OperatorUse:
    """An operator in a function's table: ``aten::mean.dim``, and how many arguments it takes there, where said."""

    name: str
    arguments: int | None


@dataclass(frozen=True)
class Function:
    """One function of a program; ``arguments`` and ``returns`` count those of its schema."""

    name: str
    instructions: tuple[Instruction, ...]
    operators: tuple[OperatorUse, ...]
    constants: tuple[Value, ...]
    types: tuple[str, ...]
    registers: int
    arguments: int
    returns: int


def functions_of(program: Value) -> tuple[int, tuple[Function, ...]]:
    """The bytecode's version, and the functions.

    Raises:
        PickleError: It is no lite program.
    """
    version, *functions = _tuple(program, "the program", at_least=1)
    if type(version) is not int or not 0 <= version < _MOST_N:
        raise PickleError(f"the bytecode's version is {version!r:.80}")
    found = tuple(map(_function, functions))
    if len({function.name for function in found}) != len(found):
        raise PickleError("two functions have one name")
    return version, found


def _function(value: Value) -> Function:
    parts = _tuple(value, "a function", at_least=2)
    name, code = _text(parts[0], "a function's name"), _tuple(parts[1], f"the code of {parts[0]!r:.80}", at_least=0)
    fields = _fields(code, CODE, "a function's code")
    arguments, returns = _schema(parts[2], name) if len(parts) > 2 else (None, None)
    if arguments is None or returns is None:
        raise PickleError(f"{name} has no schema, as before PyTorch 1.8")
    registers = fields[4]
    instructions = tuple(map(_instruction, _tuple(fields[0], "the instructions")))
    # A register is for an argument or for what an instruction stored.
    if type(registers) is not int or not 0 <= registers <= len(instructions) + arguments:
        raise PickleError(f"{name} asks for {registers!r:.80} registers for {len(instructions)} instructions")
    types = _tuple(fields[3], "the types")
    for kind in types:
        if problem := type_problem(kind):
            raise PickleError(f"the type {str(kind)[:80]!r} {problem}")
    return Function(
        name=name,
        instructions=instructions,
        operators=tuple(map(_operator, _tuple(fields[1], "the operators"))),
        constants=_tuple(fields[2], "the constants"),
        types=tuple(map(str, types)),
        registers=registers,
        arguments=arguments,
        returns=returns,
    )


def _schema(value: Value, name: str) -> tuple[int, int]:
    """How many arguments a function takes, itself included, and how many values it returns."""
    fields = _fields(_tuple(value, f"the schema of {name}", at_least=0), ("arguments", "returns"), "a schema")
    counts = []
    for field in fields:
        entries = _tuple(field, "a schema's list")
        for entry in entries:
            parts = _fields(_tuple(entry, "an argument"), ("name", "type", "default_value"), "an argument")
            _text(parts[0], "an argument's name")
            if problem := type_problem(parts[1]):
                raise PickleError(f"the argument type {str(parts[1])[:80]!r} {problem}")
        counts.append(len(entries))
    return counts[0], counts[1]


def _instruction(value: Value) -> Instruction:
    name, x, n = _tuple(value, "an instruction", exactly=3)
    if type(x) is not int or type(n) is not int or not -_MOST_X <= x < _MOST_X or not 0 <= n < _MOST_N:
        raise PickleError("an instruction has other than two numbers that fit into it")
    return Instruction(_text(name, "an instruction's name"), x, n)


def _operator(value: Value) -> OperatorUse:
    parts = _tuple(value, "an operator", at_least=2)
    name, overload = (_text(part, "an operator's name") for part in parts[:2])
    count = parts[2] if len(parts) > 2 and parts[2] != -1 else None  # -1 of operators that take any number
    if count is not None and (type(count) is not int or not 0 <= count < _MOST_N):
        raise PickleError(f"{name} takes {count!r:.80} arguments")
    return OperatorUse(f"{name}.{overload}" if overload else name, count)


def _fields(rows: Sequence[Value], names: tuple[str, ...], what: str) -> list[Value]:
    """The values of ``(name, value)`` rows that must have these names in this order."""
    pairs = [_tuple(row, what, exactly=2) for row in rows]
    keys = [key if type(key) is str else "another value" for key, _ in pairs]
    if keys != [*names]:
        raise PickleError(f"{what} must hold {', '.join(names)}, but holds {', '.join(map(str, keys))[:200]}")
    return [value for _, value in pairs]


def _tuple(value: Value, what: str, *, at_least: int = 0, exactly: int | None = None) -> tuple[Value, ...]:
    if not isinstance(value, tuple) or len(value) < at_least or (exactly is not None and len(value) != exactly):
        raise PickleError(f"{what} is no tuple of {exactly if exactly is not None else f'{at_least} or more'} values")
    return value


def _text(value: Value, what: str) -> str:
    if type(value) is not str:
        raise PickleError(f"{what} is no text")
    return value
