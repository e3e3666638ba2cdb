"""Cells of a CSV file as numbers: which character is the decimal mark is decided for the file, or it is refused."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError
from runtimes.power.reading.sheet import Sheet

Doubles = NDArray[np.float64]

BEYOND = 1e30  # chosen: products and sums of smaller ones stay finite, and ns since 1970 are 2e18
_PLAIN_BYTES = (
    b"0123456789+-.eEna \n"  # of letters only those of 1e-3 and nan: no other word that numpy takes for a number
)
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GAP = re.compile(r"(?:[+-]?nan)?", re.IGNORECASE)
_BLANKS = " \u00a0\u202f'\u2019"  # thousands are also set apart by blanks and apostrophes, which can mean nothing else
_GROUPED = {  # by the decimal mark: thousands in threes, and a fraction
    mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}([{other}{_BLANKS}])\d{{3}}(?:\1\d{{3}})*([{mark}]\d*)?", re.ASCII)
    for mark, other in ((".", ","), (",", "."))
}
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)  # 1,200: one thousand two hundred, or a little over one
_DIGITS = re.compile(rf"[+-]?[\d.,{_BLANKS}]+", re.ASCII)
_SURE_COMMA = re.compile(rb"(?<![\d,])[+-]?0\d*,\d|\d{4},\d|,\d{1,2}(?!\d)|,\d{4}")
_SURE_POINT = re.compile(rb"(?<![\d.])[+-]?0\d*\.\d|\d{4}\.\d|\.\d{1,2}(?!\d)|\.\d{4}|\.\d+[eE]")
_OTHER = {".": ",", ",": "."}


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a sheet holds below its heading.

    Attributes:
        values: (rows, columns) float64 of the columns asked for; NaN where a cell is empty.
        lines: (rows,) int64, the line of each row in the file.
    """

    values: Doubles
    lines: NDArray[np.int64]


def read_numbers(sheet: Sheet, columns: Sequence[int], *, decimal: str | None = None) -> Numbers:
    """The numbers of some columns of ``sheet``; rows at the end that hold nothing are left out.

    Args:
        sheet: The sheet.
        columns: Places of the columns in the heading.
        decimal: The decimal mark, ``.`` or ``,``; None finds it out, or refuses.

    Raises:
        MeterError: A row of another length, a cell that is no finite number, or one that could be two; with its line.
    """
    numbers = _in_one_go(sheet, columns, decimal)
    if numbers is None:
        numbers = _row_by_row(sheet, columns, decimal)
    beyond = (np.abs(numbers.values) > BEYOND).any(axis=1)
    if np.any(beyond):
        raise MeterError(f"{sheet.origin}, line {numbers.lines[np.argmax(beyond)]}: a number beyond all bounds")
    filled = np.flatnonzero(~np.isnan(numbers.values).all(axis=1))
    count = int(filled[-1]) + 1 if len(filled) else 0
    return Numbers(numbers.values[:count], numbers.lines[:count])


def _in_one_go(sheet: Sheet, columns: Sequence[int], decimal: str | None) -> Numbers | None:
    """By numpy, in C, where it cannot read anything else than ``_row_by_row`` would; else None."""
    body, count = sheet.body.rstrip(b"\n"), len(sheet.names)
    delimiter = sheet.delimiter.encode()
    if not body.strip() or len(delimiter) != 1:
        return None
    if delimiter != b"," and b"," in body:
        if b"." in body or decimal == "." or not (decimal or _SURE_COMMA.search(body)):
            return None
        body = body.replace(b",", b".")
    elif b"." in body and (decimal == "," or (decimal is None and _unclear_points(delimiter, body))):
        return None
    if body.translate(None, _PLAIN_BYTES + delimiter):
        return None
    if not sheet.names[-1] and body.endswith(delimiter):
        ends = delimiter + b"\n"
        if body.count(ends) != body.count(b"\n"):
            return None
        body, count = body.replace(ends, b"\n")[: -len(delimiter)], count - 1
    if body.startswith(b"\n") or b"\n\n" in body or body.endswith(b"\n"):
        return None  # numpy would skip what is a row here
    with suppress(ValueError):
        table = np.loadtxt(BytesIO(body), delimiter=sheet.delimiter, comments=None, ndmin=2)
        if table.shape[1] == count:
            return Numbers(table[:, list(columns)], np.arange(len(table)) + sheet.first_line)
    return None


def _unclear_points(delimiter: bytes, body: bytes) -> bool:
    """Whether every point may set thousands apart: cells end in semicolons or tabs where commas begin fractions."""
    return delimiter != b"," and not _SURE_POINT.search(body)


def _row_by_row(sheet: Sheet, columns: Sequence[int], decimal: str | None) -> Numbers:
    """Every cell looked at by itself."""
    mark, grouped = (decimal, frozenset(columns)) if decimal else decimal_mark(sheet)
    values, lines = array("d"), array("q")
    for line, row in sheet.rows():
        lines.append(line)
        for column in columns:
            cell = row[column].strip()
            value = number_of(cell, mark, surely_grouped=column in grouped)
            if value is None:
                raise _no_number(sheet, line, column, cell, mark)
            values.append(value)
    table = np.frombuffer(values, np.float64) if values else np.zeros(0)
    return Numbers(table.reshape(-1, len(columns)), np.array(lines, np.int64))


def number_of(cell: str, mark: str, *, surely_grouped: bool) -> float | None:
    """The value of a cell under a decimal mark; None where it has none, or more than one."""
    if _GAP.fullmatch(cell):
        return float("nan")
    plain = cell if mark == "." else cell.translate({ord(","): ".", ord("."): ","})
    if _PLAIN.fullmatch(plain):
        return float(plain)
    found = _GROUPED[mark].fullmatch(cell)
    if found is None:
        return None
    separator, fraction = found.groups()
    if fraction or separator in _BLANKS or cell.count(separator) > 1 or surely_grouped:
        return float(cell.replace(separator, "").replace(mark, "."))
    return None


def decimal_mark(sheet: Sheet) -> tuple[str, frozenset[int]]:
    """The decimal mark that the cells of all columns show, and the columns that show thousands beside it."""
    commas = b"," in sheet.body and (sheet.delimiter != "," or b'"' in sheet.body)
    points = b"." in sheet.body and _unclear_points(sheet.delimiter.encode(), sheet.body)
    if not commas and not points:
        return ".", frozenset()
    shown: dict[str, tuple[int, str]] = {}
    grouped: set[int] = set()
    unclear: tuple[int, str] | None = None
    for line, row in sheet.rows():
        for column, text in enumerate(row):
            cell = text.strip()
            mark = _shown_mark(cell)
            if mark:
                shown.setdefault(mark, (line, cell))
                if _OTHER[mark] in cell:
                    grouped.add(column)
            elif unclear is None and _EITHER.fullmatch(cell) and ("," in cell or points):
                unclear = line, cell
    if len(shown) == 2:
        (line, cell), (other_line, other) = sorted(shown.values(), reverse=True)
        raise MeterError(
            f"{sheet.origin}, line {line}: '{cell}' has another decimal mark than '{other}' in line {other_line}",
            hint="write all numbers with the same mark",
        )
    if not shown and unclear is not None:
        line, cell = unclear
        raise MeterError(
            f"{sheet.origin}, line {line}: the {'comma' if ',' in cell else 'point'} in '{cell}' can be a decimal mark "
            "or set thousands apart",
            hint="--decimal ',' or --decimal '.'",
        )
    return next(iter(shown), "."), frozenset(grouped)


def _shown_mark(cell: str) -> str | None:
    """The decimal mark of which a cell leaves no doubt."""
    mantissa = re.split("[eE]", cell)[0]
    if not _DIGITS.fullmatch(mantissa):
        return None
    points, commas = mantissa.count("."), mantissa.count(",")
    if points and commas:
        mark = max(".,", key=mantissa.rfind)
        return mark if _GROUPED[mark].fullmatch(mantissa) else None
    if points + commas == 0 or (_EITHER.fullmatch(mantissa) and mantissa == cell):
        return None
    mark = "." if points else ","
    return mark if points + commas == 1 else _OTHER[mark]


def _no_number(sheet: Sheet, line: int, column: int, cell: str, mark: str) -> MeterError:
    name = sheet.names[column]
    if _EITHER.fullmatch(cell):
        return MeterError(
            f"{sheet.origin}, line {line}: '{cell}' under '{name}' can be a thousand or a fraction",
            hint=f"--decimal '{mark}' for thousands, --decimal '{_OTHER[mark]}' for a fraction",
        )
    return MeterError(
        f"{sheet.origin}, line {line}: '{cell[:60]}' under '{name}' is no number (decimal mark '{mark}')",
        hint="what is no sample (totals, remarks) has to go, or to begin with #",
    )
