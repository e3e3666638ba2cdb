"""Operators' schemas as old releases of PyTorch print them, and what changed from one to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_OPERATOR = re.compile(r"([\w:]+(?:\.\w+)?)\(")


@dataclass(frozen=True)
class Argument:
    """One argument of a schema, e.g. ``int`` ``dim``."""

    kind: str
    name: str


Schemas = Mapping[str, tuple[Argument, ...]]


def schemas_from(lines: Iterable[str]) -> dict[str, tuple[Argument, ...]]:
    """Arguments by operator, from lines such as ``aten::gelu(Tensor self, *, str approximate="none") -> Tensor``."""
    found = {}
    for line in lines:
        match = _OPERATOR.match(line)
        if match:
            found[match[1]] = tuple(_argument(text) for text in _split(line[match.end() :]) if text != "*")
    return found


def _split(text: str) -> list[str]:
    """The arguments in front of the bracket that closes the list; those inside brackets belong together."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _argument(text: str) -> Argument:
    kind, _, name = text.partition("=")[0].strip().rpartition(" ")
    # Wider types take all that narrower ones took; the marks of aliases and list sizes say nothing on operands.
    kind = re.sub(r"\(\w*!?( -> [\w*|]+)?!?\)|\d+|\?", "", kind)
    kind = re.sub(r"\b(SymInt|ScalarType|Layout|MemoryFormat)\b", "int", kind)  # as releases up to 1.12 print them
    return Argument(kind, name)


def history(versions: list[tuple[str, tuple[Argument, ...] | None]]) -> str:
    """``1.8:1 1.12:2`` from the arguments of each release, oldest first; "" if all have the same number."""
    counts: list[tuple[str, str]] = []
    later: tuple[Argument, ...] | None = None
    misread = False
    for release, arguments in reversed(versions):
        misread = misread or (arguments is not None and later is not None and _are_others(arguments, later))
        counts.insert(0, (release, "-" if arguments is None or misread else str(len(arguments))))
        later = arguments if arguments is not None else later
    kept = [pair for place, pair in enumerate(counts) if place == 0 or pair[1] != counts[place - 1][1]]
    return " ".join(f"{release}:{count}" for release, count in kept) if len(kept) > 1 else ""


def _are_others(older: tuple[Argument, ...], newer: tuple[Argument, ...]) -> bool:
    """Whether an operand of ``newer`` would be taken for another one by ``older``."""
    names = [argument.name for argument in newer]
    for place, (before, after) in enumerate(zip(older, newer, strict=False)):
        if before.kind != after.kind or (before.name != after.name and before.name in names[place:]):
            return True
    return False
