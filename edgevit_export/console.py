"""Talk to a person: tables and data on stdout, progress and errors on stderr, colour only on a terminal."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

import msgspec

from edgevit.errors import EdgevitExportError
from edgevit.records import Record
from edgevit.text import printable
from edgevit_export.streams import unfailing

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    **dict.fromkeys(("passed", "valid", "yes"), "green"),
    **dict.fromkeys(("not verified", "unverified", "noisy", "throttled"), "yellow"),
    **dict.fromkeys(("failed", "error", "no"), "bold red"),
}
_PRINTED = "\n  "  # as runtimes.runners.exits.show_tail has it
_ROLES = {"title": "italic", "head": "bold", "rule": "dim"}
_PIPED_COLUMNS = 120  # what is piped into a file or another program: as wide as code and mails are


LISTING_VERSION = 1
"""``schema_version`` of a JSON object that only lists records, which have versions of their own."""


@dataclass
class _Voice:
    """How the command that runs speaks: ``quiet`` as asked, ``told_json`` once its JSON document is printed."""

    quiet: bool = False
    told_json: bool = False


_VOICE = _Voice()


def begin() -> None:
    """A command begins: not quiet yet, nothing told yet."""
    _VOICE.quiet = _VOICE.told_json = False


def hush() -> None:
    """From here on nothing but errors to stderr."""
    _VOICE.quiet = True


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    class Told(Console):
        """Leaves it to the front door what a closed pipe means; rich would exit with 1, which is a verdict's code."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    if stream.isatty():
        return Told(file=stream, highlight=False)
    return Told(file=stream, highlight=False, width=_PIPED_COLUMNS, no_color=True, force_terminal=False)


def _own_stderr() -> TextIO | None:
    """A descriptor of its own for stderr, so that progress stays visible while a converter's output is silenced."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return None
    return os.fdopen(descriptor, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


def print_line(text: str = "") -> None:
    """One line of data to stdout, never wrapped, without markup."""
    _write(sys.stdout, printable(text))


def print_command(command: str) -> None:
    """A shell line to stdout, to be copied, two spaces in: where it is too wide it is broken behind ``&&`` alone."""
    line, stream = printable(command), sys.stdout
    if stream.isatty() and len(line) + 2 > _console(stream).width:
        line = line.replace(" && ", " &&\n  ")
    _write(stream, f"  {line}")


def print_text(text: str = "") -> None:
    """A sentence to stdout; on a terminal folded at its spaces."""
    for line in _lines(sys.stdout, text):
        _write(sys.stdout, line)


def print_json(text: str) -> None:
    """A JSON document to stdout; what could steer a terminal is escaped as JSON has it."""
    _VOICE.told_json = True
    for line in text.rstrip().split("\n"):
        plain = line.isprintable() and _encodable(line, sys.stdout) == line
        sys.stdout.write((line if plain else "".join(map(_json_char, line))) + "\n")


def _json_char(char: str) -> str:
    return char if char.isprintable() and char.isascii() else json.dumps(char)[1:-1]


def print_record(record: Record, *failures: Failure) -> None:
    """A record as JSON to stdout; the first of ``failures``, of what the command was to do besides, is ``error``."""
    _print_object(_plain(record), failures)


def print_records(*failures: Failure, **lists: Sequence[Record]) -> None:
    """Lists of records as one JSON object to stdout, by their names, with a ``schema_version`` of its own."""
    _print_object(_plain({"schema_version": LISTING_VERSION, **lists}), failures)


def _print_object(fields: object, failures: Sequence[Failure]) -> None:
    if failures and isinstance(fields, dict):
        fields = {**fields, "error": _plain(failures[0])}
    print_json(json.dumps(fields, indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    """A record as JSON has it; a name that is no UTF-8 stays, which no file could hold, and null is no number."""
    built = msgspec.to_builtins(value) if isinstance(value, Record) else value
    if isinstance(built, dict):
        return {key: _plain(each) for key, each in built.items()}
    if isinstance(built, list | tuple):
        return [_plain(each) for each in built]
    return None if isinstance(built, float) and not math.isfinite(built) else built


def print_note(text: str, *, is_error: bool = False) -> None:
    """One line for the person to stderr; on a terminal folded at its spaces. With ``--quiet`` only what is an error.

    An error is also the reason of an exit code that is not 0.
    """
    if _VOICE.quiet and not is_error:
        return
    for line in _lines(sys.stderr, text):
        _write(sys.stderr, line)


def print_next(command: str) -> None:
    """``next: command`` to stderr: one line, since it is there to be copied. Nothing with ``--quiet``."""
    if not _VOICE.quiet:
        _write(sys.stderr, f"next: {printable(command)}")


def _write(stream: TextIO, line: str) -> None:
    stream.write(_encodable(line, stream) + "\n")


def _encodable(text: str, stream: TextIO) -> str:
    """``text`` with escapes for what the stream's encoding does not have."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _lines(stream: TextIO, text: str, label: str = "") -> list[str]:
    """``text`` made printable; on a terminal folded at its spaces, so that no word is broken at the edge.

    What programs printed stands in messages as lines of their own, two spaces in: so it is shown. Any other end of a
    line is an escape, as all that could steer a terminal.
    """
    first, *printed = text.split(_PRINTED)
    shown = [label + printable(first), *(f"  {printable(line)}" for line in printed)]
    if not stream.isatty():
        return shown
    from edgevit_export.layout import folded

    lines = []
    for line in shown:
        indent = " " * (len(line) - len(line.lstrip()))
        head, *rest = folded(line.lstrip(), _console(stream).width - len(indent) - 2, fold=False)
        lines += [indent + head, *(f"{indent}  {each}" for each in rest)]
    return lines


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    right: Sequence[str] = (),
    alike: Sequence[str] = (),
    names: Sequence[str] = (),
) -> None:
    """A table to stdout, as wide as the terminal at most; see ``layout``. Cells are literal.

    ``right`` names the columns of numbers, ``alike`` those that may be said once where all rows have the same,
    ``names`` those that say which row it is, instead of the first one alone.
    """
    from rich.text import Text

    from edgevit_export.layout import Table, lay_out

    console, stream = _console(sys.stdout), sys.stdout
    shown = tuple(tuple(_encodable(printable(cell), stream) for cell in row) for row in rows)
    told = None if title is None else _encodable(printable(title), stream)
    rule = _encodable("─", stream)
    heads, *sets = (tuple(_encodable(name, stream) for name in group) for group in (columns, right, alike, names))
    numbers, shared, named = map(frozenset, sets)
    table = Table(heads, shown, numbers, shared, named, told)
    for line in lay_out(table, console.width, fold=stream.isatty()):
        spans = [(span.text if rule == "─" else span.text.replace("─", "-"), span) for span in line]
        styled = [(text, _ROLES.get(span.role) or _style(span.of)) for text, span in spans]
        console.print(Text.assemble(*styled), no_wrap=True, overflow="ignore", crop=False)


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
    """``error: …``, a blank line, ``hint: …`` to stderr. A hint stays one line, since it may be a command to copy."""
    message, *rest = _lines(sys.stderr, error.message, "error: ")
    _print_labelled(message, "bold red")
    for line in rest:
        _write(sys.stderr, line)
    if error.hint:
        _write(sys.stderr, "")
        _print_labelled(f"hint: {printable(error.hint)}", "bold cyan")


class Failure(Record):
    """Why a command failed; ``kind`` is the error's class in ``edgevit.errors``, such as ``missing-dependency``."""

    kind: str
    message: str
    hint: str | None = None
    exit_code: int


class FailureDocument(Record):
    """What a command prints as its JSON when it failed before it had any other."""

    schema_version: Literal[1] = 1
    error: Failure


def failure_of(error: EdgevitExportError) -> Failure:
    """An error as a record."""
    words = re.findall("[A-Z][a-z]+", type(error).__name__.removesuffix("Error"))
    return Failure(kind="-".join(words).lower(), message=error.message, hint=error.hint, exit_code=error.exit_code)


def print_failure(failure: Failure) -> None:
    """``failure`` as the command's JSON document, unless that was printed already and holds what failed."""
    if not _VOICE.told_json:
        print_record(FailureDocument(error=failure))


def _print_labelled(line: str, style: str) -> None:
    """A line whose first word is in colour where there is colour."""
    from rich.text import Text

    label, _, rest = _encodable(line, sys.stderr).partition(":")
    _console(sys.stderr).print(Text.assemble((label, style), ":", rest), soft_wrap=True)


@dataclass
class Step:
    """A running step; the block may replace how it ended, ``ok``, by a verdict."""

    result: str = "ok"


class Progress:
    """Steps with elapsed time on stderr.

    On a terminal the running step is a live line that is replaced by its result; elsewhere (CI logs) each step prints
    one line when it starts and one when it ends. ``quiet``, and ``--quiet`` on the command line, prints nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        quiet = quiet or _VOICE.quiet
        self._quiet = quiet
        own = None if quiet else _own_stderr()
        self._stream = unfailing(sys.stderr if own is None else own)
        if own is not None:
            weakref.finalize(self, self._stream.close)
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb" and not quiet
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
        for line in _lines(self._stream, text):
            _write(self._stream, line)
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
            live.add_task(printable(title), total=None)
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
            task = live.add_task(printable(title), total=total_bytes)
            yield lambda done_bytes: live.update(task, completed=done_bytes)


def format_bytes(size_bytes: int) -> str:
    """``15.6 MB``: decimal units, as app stores count."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
