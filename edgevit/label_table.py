"""Class names in a table, and in the order of their numbers.

What a column is shows in its cells: the numbers from 0 (or 1) on, each once, are the class numbers whatever the heading
says (pandas writes none), ``n01440764`` is a WordNet id, and the one other column holds the names. Nothing is left out:
a table with a column that is none of these is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from edgevit.errors import UsageError
from edgevit.text import printable

_NAME_COLUMNS = ("name", "label", "labels", "class_name", "classname", "class name", "class", "description")
_AS_IT_STANDS = 'a JSON list is taken as it stands: ["tench", "goldfish", ...]'
_COLUMNS = "keep the column of names, and perhaps one of class numbers from 0 on; remove the others"
_MOST_COLUMNS = 64  # chosen: a table of classes has a few
Column = tuple[str, ...]


def unclear(origin: str, why: str, hint: str = _AS_IT_STANDS) -> UsageError:
    """The error for labels that may be meant in two ways, or in none."""
    return UsageError(f"{origin}: {why}; expected one class name a line", hint=hint)


def names_of_table(text: str, origin: str) -> tuple[str, ...]:
    """The names in a text of CSV or TSV, in the order of its class numbers if it has them.

    Raises:
        UsageError: No table, or one of which not every column is known.
    """
    rows = _rows(text, origin)
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise unclear(origin, f"row {number} has {len(row)} cells, the first has {len(rows[0])}")
    if rows and len(rows[0]) > _MOST_COLUMNS:
        raise unclear(origin, f"have {len(rows[0]):,} columns, expected at most {_MOST_COLUMNS}")
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    if len(columns) < 2:
        return tuple(columns[0][1 if columns[0][0].lower() in _NAME_COLUMNS else 0 :]) if columns else ()
    if any(_numbers(column) or _are_ids(column) for column in columns):
        headings: Column = tuple(f"column {at}" for at in range(1, len(columns) + 1))
    else:
        headings = tuple(f"'{printable(column[0])[:40]}'" for column in columns)
        columns = [column[1:] for column in columns]
    return _of_columns(headings, columns, origin) if columns[0] else ()


def _rows(text: str, origin: str) -> list[Column]:
    """The rows that are not empty, their cells without blanks around them."""
    lines = re.split("\r\n|\r|\n", text)
    delimiter = max("\t;,", key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise unclear(origin, f"are no CSV: {error}") from error
    return [tuple(cell.strip() for cell in row) for row in rows if row]


def _of_columns(headings: Column, columns: Sequence[Column], origin: str) -> tuple[str, ...]:
    """The names of at least two columns, each of the same length, without heading."""
    numbers = [at for at, column in enumerate(columns) if _numbers(column)]
    ids = [at for at, column in enumerate(columns) if _are_ids(column)]
    names = [at for at in range(len(columns)) if at not in numbers and at not in ids]
    if not names and (called := [at for at in numbers if headings[at][1:-1].lower() in _NAME_COLUMNS]):
        names, numbers = called, [at for at in numbers if at not in called]  # digits: their names are numbers too
    orders = {_order(columns[at]) for at in numbers}
    if len(names) != 1 or len(ids) > 1 or len(orders) > 1:
        shown = ", ".join(headings[:8])
        why = "the names" if len(names) != 1 else "the class numbers" if len(orders) > 1 else "the WordNet ids"
        what = _missing([columns[at] for at in names]) if len(columns) == 2 else ""
        raise unclear(origin, f"which of the columns {shown} holds {why} is not clear{what}", _COLUMNS)
    number = _numbers(columns[numbers[0]]) if numbers else []
    check_rising(columns[ids[0]] if ids else (), number, origin)
    return in_order(number, columns[names[0]], origin) if numbers else columns[names[0]]


def _missing(columns: Sequence[Column]) -> str:
    """What keeps a column of whole numbers from being class numbers, as a remark; empty where there is none."""
    for column in columns:
        if all(re.fullmatch(r"\d{1,7}", cell, re.ASCII) for cell in column):
            numbers = {int(cell) for cell in column}
            lacking = next(at for at in range(min(1, *numbers, len(column)), len(column) + 2) if at not in numbers)
            return f" (number {lacking} is missing)"
    return ""


def _numbers(column: Column) -> list[int]:
    """The numbers of a column that holds each from 0 or 1 on once; else none."""
    if not all(re.fullmatch(r"\d{1,7}", cell, re.ASCII) for cell in column):
        return []
    numbers = [int(cell) for cell in column]
    first = min(numbers, default=2)
    return numbers if first < 2 and sorted(numbers) == list(range(first, first + len(numbers))) else []


def _are_ids(column: Column) -> bool:
    return bool(column) and all(re.fullmatch(r"n\d{8}", cell, re.ASCII) for cell in column)


def _order(column: Column) -> tuple[int, ...]:
    """The rows in the order of their numbers."""
    return tuple(sorted(range(len(column)), key=lambda row: int(column[row])))


def check_rising(ids: Sequence[str], numbers: Sequence[int], origin: str) -> None:
    """Refuse WordNet ids that do not rise in the order of the numbers, or of the lines where there are none.

    The classes of ImageNet are in that order; the numbers of its development kit, also from 1 to 1000, are another.
    """
    ordered = [id for _, id in sorted(zip(numbers, ids, strict=True))] if ids and numbers else list(ids)
    if ordered != sorted(ordered):
        raise unclear(origin, "its WordNet ids do not rise, as they do in the order of ImageNet's classes")


def in_order(numbers: Sequence[int], names: Sequence[str], origin: str, *, any_order: bool = False) -> tuple[str, ...]:
    """Names by their numbers, which count from 0 or from 1 without a gap.

    Args:
        numbers: One for each name.
        names: In the order of the file.
        origin: The file, for messages.
        any_order: Whether numbers from 1 on may be in any order. In lines and columns they may be a rank or a count.
    """
    ordered = sorted(numbers)
    first = min(ordered[0], 1) if ordered else 0
    for expected, number in enumerate(ordered, first):
        if number != expected:
            what = f"number {number} stands twice" if number < expected else f"number {expected} is missing"
            raise unclear(origin, what)
    if first == 1 and ordered != list(numbers) and not any_order:
        raise unclear(
            origin,
            f"numbers from 1 to {len(ordered)} in another order than the lines: class numbers, or a rank or count",
            "number the classes from 0 on, or sort the lines and leave the numbers out",
        )
    return tuple(name for _, name in sorted(zip(numbers, names, strict=True), key=lambda item: item[0]))
