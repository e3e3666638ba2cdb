"""The text of a CSV file: its encoding, its heading below whatever stands above, and what separates its cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO, TextIOWrapper

from edgevit.errors import MeterError
from edgevit.text import encoding_of

DELIMITERS = (",", ";", "\t")
_RARE = ("|", " ", ":")  # never taken unasked: they may stand in a heading of one column
HEADING_WITHIN = 60  # lines; chosen: PowerTool writes none above its heading, other programs up to some 20
_WITHOUT_CONTROLS = bytes(
    code if code in b"\t\n" or (code >= 0x20 and code != 0x7F) else ord("?") for code in range(256)
)
_CONTROLS_ABOVE_ASCII = re.compile(rb"\xc2[\x80-\x9f]")
_LINE_SEPARATORS = re.compile(rb"\xe2\x80[\xa8\xa9]|\xc2\x85")  # of Unicode: U+2028, U+2029 and NEL
_NUMPY_REPR = re.compile(rb"np\.float(?:64|32)\(([^)]*)\)")
_LETTERS_OF_NUMBERS = re.compile(r"\bnan\b|(?<=[\d.])e(?=[+-]?\d)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # Excel's own way to tell it


@dataclass(frozen=True)
class Sheet:
    """A heading, and the lines below it, not yet read.

    Attributes:
        origin: The file, for messages.
        names: The cells of the heading, without blanks around them; an empty last one where it ends in a delimiter.
        delimiter: What separates cells.
        body: The lines below the heading, UTF-8, each ended by one LF but for the last.
        first_line: Number of the body's first line in the file.
    """

    origin: str
    names: tuple[str, ...]
    delimiter: str
    body: bytes
    first_line: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each line that is neither blank nor a comment (``#``).

        Raises:
            MeterError: A line has not as many cells as the heading, or its quotes do not close.
        """
        with TextIOWrapper(BytesIO(self.body), encoding="utf-8", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            try:
                for row in reader:
                    if not row or (len(row) == 1 and not row[0].strip()) or row[0].lstrip().startswith("#"):
                        continue
                    line = self.first_line + reader.line_num - 1
                    if len(row) != len(self.names):
                        raise self._of_another_length(line, row)
                    yield line, row
            except csv.Error as error:
                line = self.first_line + reader.line_num - 1
                raise MeterError(f"{self.origin}, line {line}: not a row of a CSV file: {error}") from error

    def without_first_line(self) -> Sheet:
        """The sheet whose body begins one line later."""
        return replace(self, body=self.body.partition(b"\n")[2], first_line=self.first_line + 1)

    def _of_another_length(self, line: int, row: list[str]) -> MeterError:
        shown = self.delimiter.join(row)[:120]
        hint = None
        if self.delimiter == "," and len(row) > len(self.names):
            hint = "numbers with commas in them need quotes, or another delimiter than the comma"
        return MeterError(
            f"{self.origin}, line {line}: '{shown}' has {len(row)} cells, its heading has {len(self.names)}", hint=hint
        )


def utf8(data: bytes, origin: str) -> bytes:
    """``data`` as UTF-8 without a byte order mark, with LF alone at the ends of lines, and ``?`` for other controls.

    What is quoted in a message cannot steer a terminal then.

    Raises:
        MeterError: It is not in the encoding that it begins in, or no text.
    """
    encoding, start = encoding_of(data)
    if encoding != "utf-8" or not data.isascii():
        try:
            data = data[start:].decode(encoding).encode()
        except UnicodeError as error:
            if encoding != "utf-8" or start:
                raise MeterError(f"{origin} begins as {encoding.upper()}, but is not: {error}") from error
            data = data.decode("latin-1").encode()  # only words above the numbers can be meant
    if b"\0" in data:
        raise MeterError(f"{origin} is no text: it holds NUL bytes", hint="expected: .csv or .npz")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n" not in data and _LINE_SEPARATORS.search(data):
        data = _LINE_SEPARATORS.sub(b"\n", data)
    data = data.translate(_WITHOUT_CONTROLS)
    if not data.isascii():
        data = _CONTROLS_ABOVE_ASCII.sub(b"?", data)
    return _NUMPY_REPR.sub(rb"\1", data) if b"np.float" in data else data


def find_heading(
    data: bytes,
    origin: str,
    *,
    is_heading: Callable[[tuple[str, ...]], bool],
    delimiter: str | None,
    known: str,
    lacking: Callable[[tuple[str, ...]], str | None] = lambda names: None,
) -> Sheet:
    """The sheet below the first line that is a heading under some delimiter.

    Args:
        data: As from ``utf8``.
        origin: The file, for messages.
        is_heading: Tells it from the cells of a line.
        delimiter: The only one to try; None tries all.
        known: Which headings there are, for messages.
        lacking: Which columns are missing in a line that is nearly a heading.

    Raises:
        MeterError: No such line near the top; says what there is.
    """
    start, told = 0, (delimiter,) if delimiter else DELIMITERS
    nearly: MeterError | None = None
    for number in range(1, HEADING_WITHIN + 1):
        end = data.find(b"\n", start)
        line = data[start : len(data) if end < 0 else end].decode(errors="replace")
        if delimiter is None and (separator := _SEPARATOR_LINE.fullmatch(line.strip("\n "))):
            told = (separator.group(1),)
        for tried in told:
            names = split(line.lstrip("# "), tried)
            if is_heading(names):
                return Sheet(origin, names, tried, b"" if end < 0 else data[end + 1 :], number + 1)
            if nearly is None and len(names) > 1 and (missing := lacking(names)):
                shown = ", ".join(f"'{name[:40]}'" for name in names[:8])
                nearly = MeterError(
                    f"{origin}, line {number}: the heading {shown} has no column of {missing}",
                    hint=f"known headings: {known}",
                )
        for tried in () if delimiter else _RARE:
            if nearly is None and is_heading(split(line.lstrip("# "), tried)):
                nearly = MeterError(
                    f"{origin}, line {number}: a heading only where it is split at '{tried}', which is never guessed",
                    hint=f"--delimiter '{tried}'",
                )
        if end < 0:
            break
        start = end + 1
    raise nearly or _without_heading(data, origin, told, known)


def split(line: str, delimiter: str) -> tuple[str, ...]:
    """The cells of one line, without blanks around them; of a line that is no CSV, the line."""
    try:
        return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return (line,)


def _without_heading(data: bytes, origin: str, told: tuple[str, ...], known: str) -> MeterError:
    lines = (line for line in data[:20_000].decode(errors="replace").split("\n") if line.strip())
    first = next(lines, "").strip()
    best = max(told, key=first.count)
    cells = split(first, best)
    shown = ", ".join(f"'{cell[:40]}'" for cell in cells[:6])
    hint = f"known headings: {known}; another delimiter than comma, semicolon and tab: --delimiter"
    if not first:
        return MeterError(f"{origin} is empty: no heading, no samples", hint=hint)
    if not _WORD.search(_LETTERS_OF_NUMBERS.sub("", first)):
        return MeterError(
            f"{origin} begins with numbers ({shown}): a heading has to say which column is what", hint=hint
        )
    return MeterError(
        f"{origin}: the heading {shown} (split at {best!r}) is of no known power trace, nor is any other of the first "
        f"{HEADING_WITHIN} lines",
        hint=hint,
    )
