"""Talk to a person: tables and data on stdout, progress and errors on stderr, colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from edgevit.errors import EdgevitExportError
from edgevit.records import Record

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    **dict.fromkeys(("passed", "valid", "yes"), "green"),
    **dict.fromkeys(("not verified", "unverified", "noisy", "throttled"), "yellow"),
    **dict.fromkeys(("failed", "error", "no"), "bold red"),
}
_WIDE_COLUMNS = 400  # what is piped into a file or another program must not be wrapped


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, width=_WIDE_COLUMNS, no_color=True, force_terminal=False)


def _own_stderr() -> TextIO:
    """A descriptor of its own for stderr, so that progress stays visible while a converter's output is silenced."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return sys.stderr
    return os.fdopen(descriptor, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


def print_line(text: str = "") -> None:
    """One line of data to stdout, never wrapped, without markup."""
    sys.stdout.write(text + "\n")


def print_record(record: Record) -> None:
    """A record as JSON to stdout."""
    print_line(record.to_json().rstrip())


def print_records(records: Sequence[Record]) -> None:
    """Records as one JSON list to stdout."""
    print_line(json.dumps([json.loads(record.to_json()) for record in records], indent=2))


def print_note(text: str) -> None:
    """One line for the person to stderr."""
    sys.stderr.write(text + "\n")


LEAST_WORDS = 12  # characters of a column of words: names and verdicts stay readable when folded to it


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None, right: Sequence[str] = ()
) -> None:
    """A table to stdout. ``right`` names the columns of numbers: aligned right, never broken. Cells are literal.

    Where it is too wide for the terminal, each row is a list of its cells, one a line.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = _console(sys.stdout)
    if rows and _least_width(columns, rows, right) > console.width:
        _print_stacked(columns, rows, title)
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        numbers = column in right
        table.add_column(column, justify="right" if numbers else "left", overflow="fold", no_wrap=numbers)
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    console.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> int:
    """What a table needs at least: numbers whole, words folded down to ``LEAST_WORDS`` characters."""
    total = 0
    for index, column in enumerate(columns):
        width = max(len(column), *(len(row[index]) for row in rows))
        total += width if column in right else min(width, LEAST_WORDS)
    return total + 2 * (len(columns) - 1)


def _print_stacked(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> None:
    if title:
        print_line(title)
    width = max(map(len, columns))
    for number, row in enumerate(rows):
        if number:
            print_line()
        for column, cell in zip(columns, row, strict=True):
            print_line(f"{column:<{width}}  {cell}")


def print_shortfalls(found: Sequence[tuple[str, Sequence[str]]]) -> None:
    """What was not done as asked, by what it concerns (a format, a file), as a table to stdout; nothing if all was."""
    rows = [(about, line) for about, lines in found for line in lines]
    if rows:
        print_line()
        print_table(("not as asked", "what and why"), rows)


def _style(cell: str) -> str:
    """Colour of a verdict cell; every other cell stays plain."""
    word = cell.split(":", 1)[0].strip().lower()
    return _STYLES.get(word, "")


def print_error(error: EdgevitExportError) -> None:
    """``error: …``, a blank line, ``hint: …`` to stderr."""
    from rich.text import Text

    console = _console(sys.stderr)
    console.print(Text.assemble(("error", "bold red"), ": ", error.message), soft_wrap=True)
    if error.hint:
        console.print()
        console.print(Text.assemble(("hint", "bold cyan"), ": ", error.hint), soft_wrap=True)


@dataclass
class Step:
    """A running step; the block may replace how it ended, ``ok``, by a verdict."""

    result: str = "ok"


class Progress:
    """Steps with elapsed time on stderr.

    On a terminal the running step is a live line that is replaced by its result; elsewhere (CI logs) each step prints
    one line when it starts and one when it ends. ``quiet`` prints nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._stream = sys.stderr if quiet else _own_stderr()
        if self._stream is not sys.stderr:
            weakref.finalize(self, self._stream.close)
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not quiet
        self._start_s = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show ``title`` while the block runs, then its result or ``failed`` with the seconds that it took."""
        step = Step()
        if self._quiet:
            yield step
            return
        started_s = time.monotonic()
        with self._running(title):
            try:
                yield step
            except BaseException:
                self._end(title, "failed", started_s)
                raise
        self._end(title, step.result, started_s)

    def note(self, text: str) -> None:
        """One line between steps."""
        if not self._quiet:
            self._print(text)

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    @contextmanager
    def _running(self, title: str) -> Iterator[None]:
        if not self._live:
            self._print(f"[{time.monotonic() - self._start_s:7.1f}s] {title} ...")
            yield
            return
        from rich.progress import Progress as RichProgress
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with RichProgress(*columns, console=_console(self._stream), transient=True) as live:
            live.add_task(title, total=None)
            yield

    def _end(self, title: str, result: str, started_s: float) -> None:
        now_s = time.monotonic()
        self._print(f"[{now_s - self._start_s:7.1f}s] {title}: {result} ({now_s - started_s:.1f} s)")

    @contextmanager
    def bytes_bar(self, title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """A bar for a transfer; the block calls what it gets with the bytes done so far."""
        if not self._live:
            yield lambda done_bytes: None
            return
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with RichProgress(*columns, console=_console(self._stream), transient=True) as live:
            task = live.add_task(title, total=total_bytes)
            yield lambda done_bytes: live.update(task, completed=done_bytes)


def format_bytes(size_bytes: int) -> str:
    """``15.6 MB``: decimal units, as app stores count."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
