"""The pickles of a ``.ptl`` file as plain values, by torch's own rules, without importing or calling what they name.

torch's loader (``torch/csrc/jit/serialization/unpickler.cpp``) knows fewer opcodes than Python, means other things by
some, and trusts numbers: a tensor may claim to be larger than its storage, a storage larger than its record. Here only
what torch itself writes is read, every size is checked against the file, and nothing is taken on trust: time and memory
follow from the bytes that are read. A container that has gone into another one takes nothing more, so that none can
hold itself; what one name refers to twice is one value, never copied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from export.formats.ptl_file.values import (
    CALLS,
    CLASSES,
    INT8,
    STORAGES,
    Items,
    Name,
    Object,
    PickleError,
    Storage,
    Table,
    Value,
    built,
    known_name,
)

MOST_NESTED = 200  # chosen: objects in objects take two levels each; torch frees them by recursion, which has an end
_Entry: TypeAlias = tuple[Value, int]  # with how deep containers are nested in it


@dataclass
class Seen:
    """What a pickle holds anywhere, also where nobody can reach it any more.

    Attributes:
        storages: Their types and elements, by record.
        int8: The states of all int8 weights that are packed, by class.
        restored: Objects whose classes restore them by code of the program.
    """

    storages: dict[str, Storage] = field(default_factory=dict)
    int8: list[tuple[str, Value]] = field(default_factory=list)
    restored: list[Object] = field(default_factory=list)


def unpickle(data: bytes, record_bytes: Callable[[str], int | None], seen: Seen | None = None) -> Value:
    """The value in a pickle.

    Args:
        data: The pickle; protocol 2.
        record_bytes: The size of the record that a storage of this name is read from; None where there is none.
        seen: Is given what the pickle holds.

    Raises:
        PickleError: It holds what torch's loader does not read or what it must not be asked to read.
    """
    seen = Seen() if seen is None else seen
    try:
        value = _Machine(data, record_bytes, seen).run()
    except (struct.error, IndexError) as error:
        raise PickleError("it ends in the middle") from error
    if any(one is not value for one in seen.restored):
        raise PickleError("an object inside of it is restored by code of its own")
    return value


class _Machine:
    """torch's unpickler: a stack of values, marks in it, and numbered memories."""

    def __init__(self, data: bytes, record_bytes: Callable[[str], int | None], seen: Seen) -> None:
        self.data, self.at = data, 0
        self.record_bytes, self.seen = record_bytes, seen
        self.stack: list[_Entry] = []
        self.marks: list[int] = []
        self.memory: list[_Entry] = []

    def run(self) -> Value:
        if self.data[:2] != b"\x80\x02":
            raise PickleError("it does not begin as a pickle of protocol 2")
        self.at = 2
        data, opcodes = self.data, _OPCODES
        while (code := data[self.at]) != _STOP:
            self.at += 1
            if (work := opcodes.get(code)) is None:
                raise PickleError(f"opcode {code:#x} at byte {self.at - 1} is none that torch writes")
            work(self)
        if len(self.stack) != 1 or self.marks or isinstance(self.stack[0][0], Name):
            raise PickleError("it does not end with one value")
        if self.at + 1 != len(data):
            raise PickleError("something stands behind its end")
        return self.stack[0][0]

    def number(self, form: str) -> int | float:
        """The next number in the bytes, by its struct format."""
        value: int | float = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def push(self, value: Value, depth: int = 0) -> None:
        if depth > MOST_NESTED:
            raise PickleError(f"values are nested more than {MOST_NESTED} deep")
        self.stack.append((value, depth))

    def pop(self) -> Value:
        return self.take(1)[0]

    def take(self, count: int) -> list[Value]:
        """The ``count`` uppermost values above the last mark, off the stack."""
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise PickleError("an opcode takes more values than there are")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return [value for value, _ in taken]

    def peek(self) -> _Entry:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleError("an opcode needs a value, but there is none")
        return self.stack[-1]

    def since_mark(self) -> int:
        """How many values stand above the last mark, which is gone then."""
        if not self.marks:
            raise PickleError("an opcode needs a mark, but there is none")
        return len(self.stack) - self.marks.pop()

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def put(self, index: int) -> None:
        """Remember the uppermost value. torch writes the numbers in order; its loader makes room up to the highest."""
        entry = self.peek()
        if index > len(self.memory):
            raise PickleError(f"memory {index} is used before memory {len(self.memory)}")
        self.memory[index : index + 1] = [entry]

    def get(self, index: int) -> None:
        if index >= len(self.memory):
            raise PickleError(f"memory {index} is read, but never written")
        value, depth = self.memory[index]
        self.push(value, depth)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise PickleError("a tuple takes more values than there are")
        entries = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        depth = 1 + max(map(_depth, entries), default=0)
        self.push(tuple(_taken(value, in_tuple=True) for value, _ in entries), depth)

    def text(self) -> None:
        length = int(self.number("<I"))
        raw = self.data[self.at : self.at + length]
        if len(raw) != length:
            raise PickleError("a text ends outside of it")
        self.at += length
        try:
            self.push(raw.decode())
        except UnicodeDecodeError as error:
            raise PickleError(f"the text at byte {self.at - length} is no UTF-8") from error

    def long(self) -> None:
        if self.data[self.at] != 8:
            raise PickleError("a long number has another size than 8 bytes")
        self.at += 1
        self.push(self.number("<q"))

    def name(self) -> None:
        ends = self.data.find(b"\n", self.at)
        last = self.data.find(b"\n", ends + 1) if ends >= 0 else -1
        if last < 0:
            raise PickleError("a name ends outside of it")
        try:
            module, name = self.data[self.at : ends].decode("ascii"), self.data[ends + 1 : last].decode("ascii")
        except UnicodeDecodeError as error:
            raise PickleError("a class or function is named by other than ASCII") from error
        self.at = last + 1
        self.push(known_name(module, name))

    def append(self, count: int) -> None:
        """Move the ``count`` uppermost values into the list below them."""
        entries = self.stack[len(self.stack) - count :]
        values = [_taken(value) for value in self.take(count)]
        target = self.peek()[0]
        if not isinstance(target, Items) or target.taken:
            raise PickleError("values are appended to what is no list, or no longer open")
        target.items.extend(values)
        target.depth = max(target.depth, 1 + max(map(_depth, entries), default=0))
        _within(target.depth)

    def set_items(self, count: int) -> None:
        """Move the ``count`` uppermost values, keys and values by turns, into the dictionary below them."""
        if count % 2:
            raise PickleError("a dictionary is given a key without a value")
        entries = self.stack[len(self.stack) - count :]
        values = [_taken(value) for value in self.take(count)]
        target = self.peek()[0]
        if not isinstance(target, Table) or target.taken:
            raise PickleError("entries are added to what is no dictionary, or no longer open")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float) or key in target.entries:
                raise PickleError("a dictionary has a key twice, or one that is neither text nor number")
            target.entries[key] = value
        target.depth = max(target.depth, 1 + max(map(_depth, entries), default=0))
        _within(target.depth)

    def new(self) -> None:
        """Before an object is built: torch drops the empty tuple of arguments, the class stays on the stack."""
        if self.pop() != () or not isinstance(self.peek()[0], Name):
            raise PickleError("an object is made with arguments, or of what is no class")

    def call(self) -> None:
        """What torch does for REDUCE and BUILD alike."""
        argument = self.stack[-1] if self.stack else (None, 0)
        function, value = self.take(2)
        if not isinstance(function, Name):
            raise PickleError("what is called is no name")
        self.push(self.called(function, value), _depth(argument))

    def called(self, function: Name, argument: Value) -> Value:
        if function.module.startswith(CLASSES):
            return self.made(f"{function.module}.{function.name}", argument)
        if not isinstance(argument, tuple):
            raise PickleError(f"{function.module}.{function.name} is called with what are no arguments")
        return CALLS[function.name](argument)

    def made(self, kind: str, state: Value) -> Value:
        value = built(kind, state)
        if kind.startswith(INT8):
            self.seen.int8.append((kind, state))
        if isinstance(value, Object) and value.state is not None:
            self.seen.restored.append(value)
        return value

    def storage(self) -> None:
        """A record of the archive that holds a tensor's numbers; all of it, no more and no less."""
        value = self.pop()
        if not isinstance(value, tuple) or len(value) < 5:
            raise PickleError("a storage is not described by five values")
        kind, number_type, key, device, count = value[:5]
        if kind != "storage" or type(key) is not str or type(count) is not int or count < 0 or device != "cpu":
            raise PickleError("a storage is none in the file, for the CPU")
        if not isinstance(number_type, Name) or number_type.name not in STORAGES:
            raise PickleError("a storage has no type of numbers")
        needed, found = count * STORAGES[number_type.name], self.record_bytes(key)
        if count and found != needed:
            seen = "there is none" if found is None else f"it has {found}"
            raise PickleError(f"the storage {key!r:.80} must be a record of {needed} bytes: {seen}")
        made = Storage(count, number_type.name, key)
        if self.seen.storages.setdefault(key, made).dtype != made.dtype:
            raise PickleError(f"the storage {key!r:.80} is of two types")
        self.push(made)


def _depth(entry: _Entry) -> int:
    value, depth = entry
    return value.depth if isinstance(value, Items | Table) else depth


def _within(depth: int) -> None:
    if depth > MOST_NESTED:
        raise PickleError(f"values are nested more than {MOST_NESTED} deep")


def _taken(value: Value, *, in_tuple: bool = False) -> Value:
    """``value`` on its way into a container: a list or dictionary takes nothing more after that."""
    if isinstance(value, Items | Table):
        value.taken = True
    elif isinstance(value, Name) and not (in_tuple and value.module == "torch"):
        raise PickleError(f"{value.module}.{value.name} stands where a value should")
    return value


_STOP = ord(".")
_OPCODES: dict[int, Callable[[_Machine], None]] = {
    ord("("): _Machine.mark,
    ord(")"): lambda machine: machine.push((), 1),
    ord("]"): lambda machine: machine.push(Items()),
    ord("}"): lambda machine: machine.push(Table()),
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),
    0x89: lambda machine: machine.push(False),
    ord("K"): lambda machine: machine.push(machine.number("<B")),
    ord("M"): lambda machine: machine.push(machine.number("<H")),
    ord("J"): lambda machine: machine.push(machine.number("<i")),
    0x8A: _Machine.long,
    ord("G"): lambda machine: machine.push(machine.number(">d")),
    ord("X"): _Machine.text,
    ord("t"): lambda machine: machine.tuple_of(machine.since_mark()),
    0x85: lambda machine: machine.tuple_of(1),
    0x86: lambda machine: machine.tuple_of(2),
    0x87: lambda machine: machine.tuple_of(3),
    ord("a"): lambda machine: machine.append(1),
    ord("e"): lambda machine: machine.append(machine.since_mark()),
    ord("s"): lambda machine: machine.set_items(2),
    ord("u"): lambda machine: machine.set_items(machine.since_mark()),
    ord("q"): lambda machine: machine.put(int(machine.number("<B"))),
    ord("r"): lambda machine: machine.put(int(machine.number("<I"))),
    ord("h"): lambda machine: machine.get(int(machine.number("<B"))),
    ord("j"): lambda machine: machine.get(int(machine.number("<I"))),
    ord("c"): _Machine.name,
    0x81: _Machine.new,
    ord("b"): _Machine.call,
    ord("R"): _Machine.call,
    ord("Q"): _Machine.storage,
}
