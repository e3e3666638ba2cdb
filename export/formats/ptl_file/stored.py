"""Which values of a lite program are stored in its file, or may share memory with one that is.

Whatever writes into such a value changes what the next call computes with: a network that was proven on the first calls
would answer otherwise on a later one. ``flow`` marks the values on their way; here stands what each operator does to
the mark. An operator hands it on unless it is known to make a new tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

from export.formats.ptl_file.values import Items, PickleError, Value
from export.formats.ptl_file.versions import operator_table


class Unknown:
    """A value that only a run makes. ``stored``: it may share memory with what is stored in the file."""

    def __init__(self, *, stored: bool) -> None:
        self.stored = stored


UNKNOWN, STORED = Unknown(stored=False), Unknown(stored=True)
Known: TypeAlias = "Value | Unknown"
_PLAIN = (bool, int, float, str)


class Marks:
    """Looks values up; it keeps what it has found out of tuples, since those may hold one another many times over."""

    def __init__(self) -> None:
        self.tuples: dict[int, tuple[tuple[Value, ...], bool]] = {}

    def stored(self, value: Known) -> bool:
        """Whether writing into ``value`` may change what is stored."""
        if isinstance(value, Unknown):
            return value.stored
        if not isinstance(value, tuple):
            return value is not None and not isinstance(value, _PLAIN)
        if id(value) not in self.tuples:  # it is kept there, so that its id stays its own
            self.tuples[id(value)] = value, any(map(self.stored, value))
        return self.tuples[id(value)][1]

    def joined(self, one: Known, other: Known) -> Known:
        """What is known of a value that is ``one`` or ``other``."""
        if one is other:
            return one
        return STORED if self.stored(one) or self.stored(other) else UNKNOWN

    def result(self, name: str, given: Sequence[Known]) -> Unknown:
        """What the operator ``name`` gives for ``given``.

        Raises:
            PickleError: It writes into what is stored, or puts what is stored into a list.
        """
        self._require_kept(name, given)
        if name in _makes_new():
            return UNKNOWN
        if _answers_what_it_writes_into(name):
            given = given[:1]  # what is added to it is copied
        handed_on = given if name in _lists() else [value for value in given if not _numbers(value)]
        return STORED if any(map(self.stored, handed_on)) else UNKNOWN

    def _require_kept(self, name: str, given: Sequence[Known]) -> None:
        places = _writes().get(name, ())
        if not places or _is_off(name, given):
            return
        if any(self.stored(given[place]) for place in places if place < len(given)):
            raise PickleError(f"{name} writes into what is stored in the file: a second call answers otherwise")
        # A tensor copies what is written into it; a list holds the thing itself.
        if name in _lists() and any(map(self.stored, given)):
            raise PickleError(f"{name} puts what is stored in the file into a list: what is written later is not known")


def _answers_what_it_writes_into(name: str) -> bool:
    """Whether ``name`` is an ``add_`` or its like; ``set_`` takes over the memory of another tensor."""
    operator = name.partition(".")[0]
    return operator.endswith("_") and operator != "aten::set_" and name in _writes() and name not in _lists()


def _is_off(name: str, given: Sequence[Known]) -> bool:
    """Whether ``name`` is a batch norm that is told for certain not to train."""
    place = operator_table().trained.get(name)
    return place is not None and place < len(given) and given[place] in (False, 0)


def _numbers(value: Known) -> bool:
    """Whether this is a list of the file that holds no tensors, such as a shape."""
    return isinstance(value, Items) and all(item is None or isinstance(item, _PLAIN) for item in value.items)


@cache
def _writes() -> dict[str, tuple[int, ...]]:
    """The places of the arguments that operators write into, by name."""
    return {
        name: tuple(map(int, places.split())) for places, names in operator_table().writes.items() for name in names
    }


@cache
def _makes_new() -> frozenset[str]:
    return frozenset(operator_table().makes_new)


@cache
def _lists() -> frozenset[str]:
    return frozenset(operator_table().lists)
