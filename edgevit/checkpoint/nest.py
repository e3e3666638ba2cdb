"""How far the values of a pickle nest, followed by its operations without making them.

A few hundred bytes keep busy for ever whoever handles them: a tuple of a tuple twice, and so on, when it is hashed; and
a list of a list twice, when an error quotes it.
"""

from __future__ import annotations

import pickletools

_FILLS = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}


class _Value:
    """One value: ``width`` is that of a tuple with all tuples within, ``within`` what its text would hold."""

    __slots__ = ("size", "width", "within")

    def __init__(self, width: int, within: list[_Value]) -> None:
        self.width, self.within = width, within
        self.size = 0  # unfolded; 0 is not known, 1 also while it is counted: a value in itself


_PLAIN = _Value(1, [])


class Nest:
    """The values of one pickle. ``widest`` is the largest tuple with all within, in values."""

    def __init__(self) -> None:
        self.widest = 0
        self._stack: list[_Value | None] = []
        self._memo: dict[object, _Value] = {}
        self._made: list[_Value] = []

    def take(self, code: pickletools.OpcodeInfo, argument: object) -> int:
        """Follow one operation; ``widest`` after it.

        Raises:
            IndexError: There is nothing to take from: the pickle is damaged.
        """
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1] or _PLAIN
        elif code.name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo.get(argument, _PLAIN))
        elif code.name == "MARK":
            self._stack.append(None)
        else:
            taken = self._popped(code)
            if code.stack_after:
                self._stack += [self._value(code.name, taken)] * len(code.stack_after)
        return self.widest

    def _value(self, name: str, taken: list[_Value]) -> _Value:
        """What an operation leaves; ``taken`` begins with the topmost."""
        if not taken and not name.startswith("EMPTY_"):
            return _PLAIN
        if name == "BUILD":  # no text of an object holds its state
            return taken[-1]
        filled = taken[-1] if name in _FILLS else _PLAIN
        if filled is not _PLAIN:
            filled.within += [value for value in taken[:-1] if value is not _PLAIN]
            return filled
        width = 1
        if name.startswith("TUPLE"):
            width += sum(value.width for value in taken)
            self.widest = max(self.widest, width)
        made = _Value(width, [value for value in taken if value is not _PLAIN])
        self._made.append(made)
        return made

    def _popped(self, code: pickletools.OpcodeInfo) -> list[_Value]:
        taken = []
        before = list(code.stack_before)
        if pickletools.markobject in before:
            while (top := self._stack.pop()) is not None:
                taken.append(top)
            before = before[: before.index(pickletools.markobject)]
        return taken + [self._stack.pop() or _PLAIN for _ in before]

    def unfolds_beyond(self, most: int) -> bool:
        """Whether a value holds more than ``most`` containers when each is counted as often as it is met."""
        for start in self._made:
            path = [start]
            while path:
                value = path[-1]
                if value.size == 0:
                    value.size = 1
                    path += [inner for inner in value.within if inner.size == 0]
                    continue
                path.pop()
                if value.size == 1:
                    value.size = 1 + sum(inner.size for inner in value.within)
                    if value.size > most:
                        return True
        return False
