"""Accuracies from CSV as spreadsheets write it.

Cells end in a comma, a semicolon or a tab, fractions begin with a point or a comma, quotes are kept together, lines may
stand above the heading, and a remark begins with ``#``. The heading has a column ``model``; ``Top-1 (%)`` is ``top1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgevit.errors import EdgevitExportError, MeterError, UsageError
from edgevit.text import decode, printable
from runtimes.power.reading.numbers import decimal_mark, number_of
from runtimes.power.reading.sheet import Sheet, find_heading, utf8

PERCENTAGES = ("top1", "ap", "miou")
NUMBERS = (*PERCENTAGES, "parameters_m", "multiply_adds_g")
_BRACKETED = re.compile(r"\s*[(\[].*[)\]]\s*$")


def parse_table(
    data: bytes, *, origin: str, failure: type[EdgevitExportError] = UsageError
) -> dict[str, dict[str, object]]:
    """Keys and values by model, as TOML would hold them.

    Args:
        data: The file.
        origin: Where it is from, for messages.
        failure: The class of the error.

    Raises:
        EdgevitExportError: As ``failure``: no column ``model``, a row that does not have its heading's cells, a cell
            that is no number or two of them; with the line.
    """
    text = utf8(decode(data, origin=origin, failure=failure).encode(), origin)
    try:
        sheet = find_heading(text, origin, is_heading=lambda names: "model" in _keys(names), delimiter=None, known="")
    except MeterError as error:
        raise failure(f"{origin}: no column 'model' in any heading; expected one like 'model,top1'") from error
    try:
        mark, grouped = decimal_mark(sheet)
        return dict(_rows(sheet, mark, grouped, failure))
    except MeterError as error:
        raise failure(error.message, hint="numbers all with the same decimal mark, in quotes or between ;") from error


def _keys(names: tuple[str, ...]) -> list[str]:
    """The headings as keys: in lower case, without a unit in brackets; ``top-1`` is ``top1``."""
    plain = [_BRACKETED.sub("", name).strip().lower() for name in names]
    known = {re.sub(r"[-_ ]", "", key): key for key in ("model", *NUMBERS)}
    return [known.get(re.sub(r"[-_ ]", "", name), name) for name in plain]


def _rows(
    sheet: Sheet, mark: str, grouped: frozenset[int], failure: type[EdgevitExportError]
) -> Iterator[tuple[str, dict[str, object]]]:
    """Each model with what its row says; empty cells say nothing."""
    keys = _keys(sheet.names)
    if twice := next((key for key in keys if key and keys.count(key) > 1), None):
        raise failure(f"{sheet.origin}: {keys.count(twice)} columns are called '{twice}'")
    seen: set[str] = set()
    for line, row in sheet.rows():
        where = f"{sheet.origin}, line {line}"
        cells = {key: cell.strip() for key, cell in zip(keys, row, strict=True)}
        name = cells.pop("model")
        if not name or name in seen:
            raise failure(f"{where} names '{printable(name)}' a second time" if name else f"{where} names no model")
        if surplus := cells.pop("", ""):
            raise failure(f"{where}: '{printable(surplus)[:80]}' stands in a column without a heading")
        seen.add(name)
        yield (
            name,
            {key: _value(key, cell, mark, keys.index(key) in grouped, where) for key, cell in cells.items() if cell},
        )


def _value(key: str, cell: str, mark: str, surely_grouped: bool, where: str) -> object:
    """What a cell says: a number where the key wants one, which may have its percent sign."""
    if key not in NUMBERS:
        return cell
    bare = cell.removesuffix("%").rstrip() if key in PERCENTAGES else cell
    number = number_of(bare, mark, surely_grouped=surely_grouped)
    if number is None:
        raise MeterError(f"{where}: '{printable(cell)[:80]}' under '{key}' is no number (decimal mark '{mark}')")
    return number
