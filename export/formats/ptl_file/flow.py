"""Whether a function of a lite program stays within its own stack, registers, constants, types and attributes.

The lite interpreter checks none of that: an instruction that pops from an empty stack or loads register 10,000 takes
whatever lies there in memory. So every way through a function is walked here with the height of the stack, and with
what is known of the values on it: constants, the objects whose attributes are read, and what may share memory with
something stored (``stored``). Where two ways meet, the heights must agree. Instructions that call other code, wait,
print, or change an object are not on the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from export.formats.ptl_file.bytecode import Function, Instruction
from export.formats.ptl_file.stored import STORED, UNKNOWN, Known, Marks
from export.formats.ptl_file.values import Object, PickleError, Value

Idle: TypeAlias = Mapping[str, int]
"""Operators that draw random numbers unless an argument, at this place, is False or 0."""
# Chosen, far above what networks have, so that the walk's time and memory follow from the number of instructions.
_MOST_STACK, _MOST_REGISTERS, _MOST_WAYS, _MOST_IN_LOOPS = 1000, 1000, 1000, 20
_LISTS_OF_NUMBERS = {"List[int]", "List[float]", "List[bool]", "List[str]"}


@dataclass
class _State:
    """What is known at one instruction; registers that are not named hold what is not known."""

    stack: list[Known]
    marks: Marks
    registers: dict[int, Known] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State([*self.stack], self.marks, dict(self.registers))

    def agrees(self, head: _State) -> bool:
        """Whether all that was known at the head of a loop holds here, too; ``spoils`` has the rest."""
        return (
            len(self.stack) == len(head.stack)
            and all(_covers(known, value) for known, value in zip(head.stack, self.stack, strict=True))
            and all(_covers(known, self.registers.get(place, UNKNOWN)) for place, known in head.registers.items())
        )

    def spoils(self, head: _State) -> bool:
        """Whether what is stored would come where the head of a loop knows of none."""
        places = [(value, head.registers.get(place, UNKNOWN)) for place, value in self.registers.items()]
        places += zip(self.stack, head.stack, strict=True)
        return any(known is UNKNOWN and self.marks.stored(value) for value, known in places)

    def met(self, other: _State, where: str) -> None:
        """Keep only what both know."""
        if len(self.stack) != len(other.stack):
            raise PickleError(f"{where}: the stack holds {len(self.stack)} or {len(other.stack)} values there")
        joined = self.marks.joined
        self.stack = [joined(mine, its) for mine, its in zip(self.stack, other.stack, strict=True)]
        places = self.registers.keys() | other.registers.keys()
        both = {
            place: joined(self.registers.get(place, UNKNOWN), other.registers.get(place, UNKNOWN)) for place in places
        }
        self.registers = {place: value for place, value in both.items() if value is not UNKNOWN}


def _covers(known: Known, value: Known) -> bool:
    """Whether what is ``known`` at the head of a loop is no more than what holds for ``value``."""
    return known is UNKNOWN or known is STORED or known is value


class _Spoiled(Exception):
    """A turn of a loop hands on what is stored where its head knew of none."""


def check_flow(function: Function, root: Value, arity: Mapping[str, tuple[int, int]], idle: Idle) -> None:
    """Walk ``function``.

    Args:
        function: What is walked.
        root: The object that it is a method of, its first argument; None where it is none's.
        arity: How many values each operator takes and gives, by name; what is missing here was refused before.
        idle: See ``Idle``.

    Raises:
        PickleError: It would leave what is its own, holds an instruction that is not allowed, or would write into what
            is stored in the file.
    """
    try:
        _Walk(function, root, arity, idle).run()
    except _Spoiled:
        _Walk(function, root, arity, idle, turned=STORED).run()


class _Walk:
    """One function being walked, instruction by instruction; a way that goes back ends where it has been."""

    def __init__(
        self,
        function: Function,
        root: Value,
        arity: Mapping[str, tuple[int, int]],
        idle: Idle,
        turned: Known = UNKNOWN,
    ) -> None:
        """``turned`` is what the head of a loop takes for known of all that its turns change."""
        self.function, self.arity, self.idle, self.turned, self.marks = function, arity, idle, turned, Marks()
        first: list[Known] = [root if isinstance(root, Object) else STORED] if function.arguments else []
        self.state: _State | None = _State(first + [UNKNOWN] * (function.arguments - 1), self.marks)
        self.waiting: dict[int, _State] = {}
        self.loops: dict[int, _State] = {}
        self.looked_through = 0
        self.at = 0

    def run(self) -> None:
        for place, instruction in enumerate(self.function.instructions):
            self.at = place
            if (arrived := self.waiting.pop(self.at, None)) is not None:
                if self.state is not None:
                    arrived.met(self.state, self.where)
                self.state = arrived
            if instruction.name not in INSTRUCTIONS:
                raise PickleError(f"{self.where}: the instruction {instruction.name!r:.40} is not allowed")
            if self.state is not None:  # else no way leads here
                INSTRUCTIONS[instruction.name](self, instruction)
        if self.state is not None or self.waiting:
            raise PickleError(f"{self.function.name} runs beyond its last instruction")

    @property
    def where(self) -> str:
        return f"{self.function.name}, instruction {self.at}"

    @property
    def now(self) -> _State:
        assert self.state is not None
        return self.state

    def pop(self, count: int) -> list[Known]:
        stack = self.now.stack
        if count > len(stack):
            raise PickleError(f"{self.where} takes {count} values off a stack of {len(stack)}")
        taken = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        return taken

    def push(self, *values: Known) -> None:
        self.now.stack.extend(values)
        if len(self.now.stack) > _MOST_STACK:
            raise PickleError(f"{self.where} has more than {_MOST_STACK} values on its stack")

    def entry(self, table: tuple[Value, ...] | tuple[str, ...] | tuple[object, ...], index: int, what: str) -> int:
        """``index``, which must be one of ``table``."""
        if not 0 <= index < len(table):
            raise PickleError(f"{self.where} uses {what} {index} of {len(table)}")
        return index

    def register(self, first: int, count: int = 1) -> int:
        """``first``, where it and those behind it are registers: they count from 1."""
        if not 1 <= first <= self.function.registers - count + 1:
            raise PickleError(f"{self.where} uses register {first} of {self.function.registers}")
        return first

    def jump(self, distance: int) -> None:
        """Another way to the instruction ``distance`` further; backwards only to the head of a loop around this one."""
        target = self.at + distance
        if 0 < distance < len(self.function.instructions) - self.at:
            if target in self.waiting:
                self.waiting[target].met(self.now, self.where)
            else:
                self.waiting[target] = self.now.copy()
        elif target not in self.loops or not self.now.agrees(self.loops[target]):
            raise PickleError(f"{self.where} jumps to {target}, which is no place for it")
        elif self.now.spoils(self.loops[target]):
            if self.turned is STORED:
                raise PickleError(f"{self.where} jumps to {target} from outside of its loop with what is stored")
            raise _Spoiled
        if len(self.waiting) > _MOST_WAYS:
            raise PickleError(f"{self.where}: more than {_MOST_WAYS} jumps have not met")

    def remember(self, place: int, value: Known) -> None:
        """Note what a register holds; what does not fit is not known."""
        registers = self.now.registers
        if value is UNKNOWN or (place not in registers and len(registers) >= _MOST_REGISTERS):
            if self.marks.stored(value):
                raise PickleError(f"{self.where}: more than {_MOST_REGISTERS} registers hold what is stored")
            registers.pop(place, None)
        else:
            registers[place] = value

    def at_head(self, before: Known) -> Known:
        """What is known at the head of a loop of what was ``before`` it, and is changed by its turns."""
        return STORED if self.marks.stored(before) else self.turned

    def enter_loop(self, length: int) -> None:
        """What is stored inside of a loop is not known at its head, where every further turn begins."""
        body = self.function.instructions[self.at + 1 : self.at + length]
        self.looked_through += len(body)
        if self.looked_through > _MOST_IN_LOOPS * len(self.function.instructions):
            raise PickleError(f"{self.where}: more than {_MOST_IN_LOOPS} loops lie in each other")
        for step in body:
            if step.name in {"STORE", "MOVE", "DROPR", "STOREN"}:
                count = min(step.n, _MOST_STACK) if step.name == "STOREN" else 1
                for place in range(step.x, step.x + count):
                    self.remember(place, self.at_head(self.now.registers.get(place, UNKNOWN)))
        self.loops[self.at] = self.now.copy()


def _load(walk: _Walk, step: Instruction) -> None:
    walk.push(walk.now.registers.get(walk.register(step.x), UNKNOWN))
    if step.name == "MOVE":
        walk.now.registers.pop(step.x, None)


def _store(walk: _Walk, step: Instruction) -> None:
    walk.remember(walk.register(step.x), walk.pop(1)[0])


def _store_several(walk: _Walk, step: Instruction) -> None:
    walk.register(step.x, max(1, step.n))
    for place, value in enumerate(walk.pop(step.n), step.x):
        walk.remember(place, value)


def _drop_register(walk: _Walk, step: Instruction) -> None:
    walk.now.registers.pop(walk.register(step.x), None)


def _constant(walk: _Walk, step: Instruction) -> None:
    walk.push(walk.function.constants[walk.entry(walk.function.constants, step.x, "constant")])


def _attribute(walk: _Walk, step: Instruction) -> None:
    (owner,) = walk.pop(1)
    if not isinstance(owner, Object) or owner.slots is None:
        raise PickleError(f"{walk.where} reads an attribute of what is no object of the file")
    walk.push(owner.slots[walk.entry(owner.slots, step.x, "attribute")])


def _branch(walk: _Walk, step: Instruction) -> None:
    """A condition that is known, such as ``self.training``, leads one way only: no attribute is ever set."""
    (condition,) = walk.pop(1)
    if condition is not True:
        walk.jump(step.x)
    if condition is False:
        walk.state = None


def _jump(walk: _Walk, step: Instruction) -> None:
    walk.jump(step.x)
    walk.state = None


def _loop(walk: _Walk, step: Instruction) -> None:
    """Above the values that a turn hands on stand the number of turns, their most, and whether to go on."""
    if step.n < 2 or len(walk.now.stack) < step.n + 1:
        raise PickleError(f"{walk.where} is a loop without its counters")
    handed_on = [walk.at_head(value) for value in walk.pop(step.n + 1)[3:]]
    left = walk.now.copy()
    left.stack.extend(handed_on)
    walk.push(*[UNKNOWN] * 3, *handed_on)
    walk.enter_loop(step.x)
    left.registers = dict(walk.now.registers)
    inside, walk.state = walk.now, left
    if step.x < 1:
        raise PickleError(f"{walk.where} is a loop that ends before it begins")
    walk.jump(step.x)
    walk.state = inside


def _end(walk: _Walk, _step: Instruction) -> None:
    if len(walk.now.stack) != 1:
        raise PickleError(f"{walk.where} returns {len(walk.now.stack)} values, expected 1")
    walk.state = None


def _raise(walk: _Walk, _step: Instruction) -> None:
    walk.pop(2)
    walk.state = None


def _list(walk: _Walk, step: Instruction) -> None:
    kind = walk.function.types[walk.entry(walk.function.types, step.x, "type")]
    if not kind.startswith("List["):
        raise PickleError(f"{walk.where} makes a list of the type {kind[:80]}")
    holds_stored = any(map(walk.marks.stored, walk.pop(step.n))) and kind not in _LISTS_OF_NUMBERS
    walk.push(STORED if holds_stored else UNKNOWN)


def _unpack_list(walk: _Walk, step: Instruction) -> None:
    (values,) = walk.pop(1)
    walk.push(*[STORED if walk.marks.stored(values) else UNKNOWN] * _counted(walk, step.x))


def _tuple(walk: _Walk, step: Instruction) -> None:
    made: Known = tuple(walk.pop(_counted(walk, step.x)))  # type: ignore[arg-type]  # it may hold what is not known
    walk.marks.stored(made)  # looked up now, so that tuples in tuples never cost more than one step
    walk.push(made)


def _counted(walk: _Walk, count: int) -> int:
    if not 0 <= count <= _MOST_STACK:
        raise PickleError(f"{walk.where} counts {count} values")
    return count


def _index_tuple(walk: _Walk, _step: Instruction) -> None:
    values, index = walk.pop(2)
    if not isinstance(values, tuple) or type(index) is not int or not -len(values) <= index < len(values):
        raise PickleError(f"{walk.where} takes a value from a tuple that does not have it for certain")
    walk.push(values[index])


def _format(walk: _Walk, step: Instruction) -> None:
    walk.pop(max(1, _counted(walk, step.x)))
    walk.push(UNKNOWN)


def _call(walk: _Walk, step: Instruction) -> None:
    """``OP``: it takes as many values as the file says, at most all arguments; torch adds the defaults of the rest."""
    use = walk.function.operators[walk.entry(walk.function.operators, step.x, "operator")]
    if use.name == "prim::TupleUnpack":
        (values,) = walk.pop(1)
        if not isinstance(values, tuple):
            raise PickleError(f"{walk.where} unpacks a tuple whose length is not certain")
        walk.push(*values)
        return
    takes, gives = walk.arity[use.name]
    if use.arguments is not None and use.arguments > takes:
        raise PickleError(f"{walk.where}: {use.name} has {takes} arguments, not {use.arguments}")
    given = walk.pop(takes if use.arguments is None else use.arguments)
    if (place := walk.idle.get(use.name)) is not None and place < len(given):
        switch = given[place]
        if not isinstance(switch, bool | int | float) or switch:
            raise PickleError(f"{walk.where}: {use.name} is told to draw random numbers, or may be")
    try:
        result = walk.marks.result(use.name, given)
    except PickleError as error:
        raise PickleError(f"{walk.where}: {error}") from error
    walk.push(*[result] * gives)
    if use.name == "prim::RaiseException":
        walk.state = None


def _call_counted(walk: _Walk, step: Instruction) -> None:
    """``OPN``: the number of values stands in the instruction."""
    use = walk.function.operators[walk.entry(walk.function.operators, step.x, "operator")]
    if use.name != "aten::format":
        raise PickleError(f"{walk.where}: {use.name} takes no changing number of values that can be checked")
    walk.pop(max(1, step.n))
    walk.push(UNKNOWN)


def _effect(takes: int, gives: int) -> Callable[[_Walk, Instruction], None]:
    """An instruction that only takes and gives values."""

    def work(walk: _Walk, _step: Instruction) -> None:
        walk.pop(takes)
        walk.push(*[UNKNOWN] * gives)

    return work


INSTRUCTIONS: dict[str, Callable[[_Walk, Instruction], None]] = {
    "OP": _call,
    "OPN": _call_counted,
    "LOAD": _load,
    "MOVE": _load,
    "STORE": _store,
    "STOREN": _store_several,
    "DROP": _effect(1, 0),
    "DROPR": _drop_register,
    "LOADC": _constant,
    "GET_ATTR": _attribute,
    "JF": _branch,
    "JMP": _jump,
    "LOOP": _loop,
    "RET": _end,
    "RAISE_EXCEPTION": _raise,
    "LIST_CONSTRUCT": _list,
    "LIST_UNPACK": _unpack_list,
    "TUPLE_CONSTRUCT": _tuple,
    "TUPLE_INDEX": _index_tuple,
    "FORMAT": _format,
    "DIM": _effect(1, 1),
    "DTYPE": _effect(1, 1),
    "DEVICE": _effect(1, 1),
    "IS_CUDA": _effect(1, 1),
    "NUM_TO_TENSOR": _effect(1, 1),
    "UNCHECKED_CAST": _effect(0, 0),
    "UN_INITIALIZED": _effect(0, 1),
    "__IS__": _effect(2, 1),
    "__ISNOT__": _effect(2, 1),
    "__NOT__": _effect(1, 1),
}
"""What of ``torch/csrc/jit/runtime/instruction.h`` a network needs. Not here: calls of other functions, threads and
futures, warnings (they print), attributes that are set, objects that are made, slices of tuples (unchecked)."""
