"""Tables as lines of text: no line wider than asked, no number and no name broken.

What fits stands as a plain table. Otherwise whatever takes the fewest lines: sentences folded at their spaces; the
columns in bands one below the other, each with the row's names again; or each row as a list of its cells. What may be
said once (``alike``) then stands above the table instead of in a column. Nothing is ever left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

GAP = "  "
LEAST_WORDS = 16
"""Cells that a column of words keeps when it is folded: chosen, because ``not verified:`` and a comma fit into it."""
ABSENT = ("", "-")
_KEPT = "\N{NO-BREAK SPACE}"  # of what is said once: a name stays with its number
_HEADING = 2  # lines that a grid may take more than a list: its heading and rule, which are no loss to a reader
_NATURAL = re.compile(r"(?<=[-_/,:;=&?])(?![\d\s])")  # never before a digit: 7.07e-06 and 1,200 are numbers


@dataclass(frozen=True)
class Span:
    """A piece of a line; ``role`` is ``title``, ``head``, ``rule`` or ``cell``, ``of`` the whole cell that it is of."""

    text: str
    role: str = "cell"
    of: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True)
class Table:
    """What is to be laid out.

    Attributes:
        columns: Headings; a newline parts a heading into lines.
        rows: Cells without newlines or control characters, as many in each row as there are columns.
        right: Columns of numbers: aligned right, never broken.
        alike: Columns that may be said once where all rows have the same.
        names: Columns that say which row it is, the first ones; every band has them.
        title: Stands above.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    alike: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    title: str | None = None


def lay_out(table: Table, width: int, *, fold: bool = True) -> list[Line]:
    """The lines of ``table``, each at most ``width`` cells of a terminal wide.

    ``fold`` says what becomes of a word that is wider than a line: folded at its ``-``, ``/`` and the like, or, for
    readers that are programs, left whole on a line of its own.
    """
    title = [] if table.title is None else [(Span(line, "title"),) for line in folded(table.title, width, fold=fold)]
    if sum(_natural_widths(table)) + len(GAP) * (len(table.columns) - 1) <= width:
        return title + _grid(table, _natural_widths(table))
    table, said_once = _without_alike(table, width)
    above = [(Span(line.replace(_KEPT, " ")),) for line in folded(said_once, width, fold=fold)] if said_once else []
    grid, bands, stacked = _one_grid(table, width), _bands(table, width), _stacked(table, width, fold=fold)
    ways = [(len(lines) - extra, lines) for lines, extra in ((grid, _HEADING), (bands, 0), (stacked, 0)) if lines]
    return title + above + min(ways, key=itemgetter(0))[1]


def folded(text: str, width: int, *, fold: bool = True) -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken at spaces; see ``lay_out`` for words that are wider."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        joined = f"{current} {word}" if current else word
        if cells(joined) <= width:
            current = joined
            continue
        lines += [current] if current.strip() else []
        *whole, current = _broken(word, width) if fold else [word]
        lines += whole
    return [*lines, current] if current or not lines else lines


def _broken(word: str, width: int) -> list[str]:
    """A word in pieces of at most ``width`` cells: at natural places, anywhere only where there is none."""
    from rich.cells import chop_cells

    pieces: list[str] = []
    for piece in _NATURAL.split(word):
        if pieces and cells(pieces[-1] + piece) <= width:
            pieces[-1] += piece
        else:
            pieces += [piece] if cells(piece) <= width else chop_cells(piece, width)
    return pieces or [""]


def cells(text: str) -> int:
    """How many cells of a terminal ``text`` takes: two for most of East Asia's characters."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _heading(column: str) -> list[str]:
    return column.split("\n")


def _natural_widths(table: Table) -> list[int]:
    heads = [max(map(cells, _heading(column))) for column in table.columns]
    return [max([head, *(cells(row[at]) for row in table.rows)]) for at, head in enumerate(heads)]


def _least_widths(table: Table) -> list[int]:
    """Numbers whole; words whole, and not fewer than ``LEAST_WORDS`` cells of them side by side."""
    least = []
    for at, natural in enumerate(_natural_widths(table)):
        column = table.columns[at]
        if column in table.right:
            least.append(natural)
            continue
        words = [word for row in table.rows for word in row[at].split(" ")]
        least.append(max(map(cells, [*_heading(column), *words, " " * min(natural, LEAST_WORDS)])))
    return least


def _without_alike(table: Table, width: int) -> tuple[Table, str]:
    """The table without the columns that say the same in all rows, and the sentence that says it instead."""
    same = [
        at
        for at, column in enumerate(table.columns)
        if column in table.alike and len(table.rows) > 1 and len({row[at] for row in table.rows}) == 1
    ]
    if not same:
        return table, ""
    told = [at for at in same if table.rows[0][at] not in ABSENT]
    said = [f"{' '.join(_heading(table.columns[at]))} {table.rows[0][at]}" for at in told]
    said = [each.replace(" ", _KEPT) if cells(each) < width else each for each in said]
    kept = [at for at in range(len(table.columns)) if at not in same]
    return _taken(table, kept), f"in all rows: {'; '.join(said)}" if told else ""


def _taken(table: Table, columns: Sequence[int]) -> Table:
    """The table of some of its columns."""
    rows = tuple(tuple(row[at] for at in columns) for row in table.rows)
    return replace(table, columns=tuple(table.columns[at] for at in columns), rows=rows)


def _one_grid(table: Table, width: int) -> list[Line] | None:
    """All columns side by side, the widest ones of words folded; None where even that is too wide."""
    least = _least_widths(table)
    widths = [min(size, max(width, low)) for size, low in zip(_natural_widths(table), least, strict=True)]
    surplus = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while surplus > 0:
        widest = max(range(len(widths)), key=lambda at: (widths[at] > least[at], widths[at]))
        if widths[widest] <= least[widest]:
            return None
        widths[widest] -= 1
        surplus -= 1
    return _grid(table, widths)


def _bands(table: Table, width: int) -> list[Line] | None:
    """The columns in bands, each with the row's names in front; None for a single row, or where one does not fit."""
    natural, least = _natural_widths(table), _least_widths(table)
    names = [at for at, column in enumerate(table.columns) if column in table.names] or [0]
    others = [at for at in range(len(natural)) if at not in names]
    room = width - sum(natural[at] + len(GAP) for at in names)
    if len(table.rows) < 2 or max((least[at] for at in others), default=0) > room:
        return None
    bands: list[list[int]] = []
    left = 0
    for at in others:
        needed = min(natural[at], room) + len(GAP)
        if not bands or needed > left:
            bands.append([])
            left = room + len(GAP)
        bands[-1].append(at)
        left -= needed
    lines: list[Line] = []
    for band in bands:
        lines += [()] if lines else []
        widths = [natural[at] for at in names] + [min(natural[at], room) for at in band]
        lines += _grid(_taken(table, [*names, *band]), widths)
    return lines


def _grid(table: Table, widths: Sequence[int]) -> list[Line]:
    """Heading, rule and rows with columns of these widths; cells of words folded to them."""
    total = sum(widths) + len(GAP) * (len(widths) - 1)
    lines = _row_lines(table, [_heading(column) for column in table.columns], widths, ["head"] * len(widths))
    lines.append((Span("─" * total, "rule"),))
    for row in table.rows:
        parts = [folded(cell, size) for cell, size in zip(row, widths, strict=True)]
        lines += _row_lines(table, parts, widths, ["cell"] * len(widths), row)
    return lines


def _row_lines(
    table: Table, parts: Sequence[Sequence[str]], widths: Sequence[int], roles: Sequence[str], row: Sequence[str] = ()
) -> list[Line]:
    """Cells of one or more lines side by side."""
    lines: list[Line] = []
    for level in range(max(map(len, parts))):
        spans = []
        for at, size in enumerate(widths):
            text = parts[at][level] if level < len(parts[at]) else ""
            blank = " " * (size - cells(text))
            aligned = blank + text if table.columns[at] in table.right else text + blank
            spans.append(Span(aligned + GAP * (at < len(widths) - 1), roles[at], row[at] if row else ""))
        lines.append(_stripped(spans))
    return lines


def _stripped(spans: list[Span]) -> Line:
    """Without blanks at the end of the line."""
    while spans and not (text := spans[-1].text.rstrip()):
        spans.pop()
    return (*spans[:-1], replace(spans[-1], text=text)) if spans else ()


def _stacked(table: Table, width: int, *, fold: bool) -> list[Line]:
    """Each row as a list of its cells, one a line, folded behind the headings, or below them where it is too long."""
    heads = [" ".join(_heading(column)) for column in table.columns]
    margin = max(map(cells, heads)) + len(GAP)
    lines: list[Line] = [] if table.rows else [(Span(line, "head"),) for line in folded(", ".join(heads), width)]
    for row in table.rows:
        lines += [()] if lines else []
        for column, head, cell in zip(table.columns, heads, row, strict=True):
            label = head + " " * (margin - cells(head))
            needed = cells(cell) if column in table.right else max(map(cells, cell.split(" ")))
            fits = needed <= width - margin
            parts = folded(cell, width - margin if fits else max(width - len(GAP), 1), fold=fold)
            if fits:
                lines.append(_stripped([Span(label, "head"), Span(parts[0], of=cell)]))
            else:
                lines += [(Span(line, "head"),) for line in folded(head, width)]
            lines += [(Span(" " * (margin if fits else len(GAP))), Span(part, of=cell)) for part in parts[int(fits) :]]
    return lines
