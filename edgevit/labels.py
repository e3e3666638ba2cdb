"""Class names from the files in which people keep them.

Understood, in any encoding that ``edgevit.text`` knows:

- a text file with one name a line: ``tench, Tinca tinca``;
- the same behind a number (``0: tench``, ``0 tench``, the dictionary ``{0: 'tench', ...}`` too) or behind a WordNet id
  (``n01440764 tench``);
- JSON: a list of names, or an object of numbers and names either way round, Keras' ``{"0": ["n01440764", "tench"]}``
  and the ``id2label`` of a Hugging Face configuration;
- ``.csv`` and ``.tsv`` with a heading, or with one column.

What could be meant in two ways is refused; a list in JSON is always taken as it stands.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from edgevit.errors import UsageError
from edgevit.text import decode, parse_json, printable, read_bytes

LABEL_BYTES = 16 * 2**20  # chosen: ImageNet's 21,843 classes with all their synonyms take 1.2 MB
_NAME_COLUMNS = ("name", "label", "labels", "class_name", "classname", "class name", "class", "description")
_NUMBER_COLUMNS = ("index", "id", "class_id", "class_index", "idx", "class id", "number")
_NUMBERED = re.compile(r"(\d{1,7})(?:\s*[:,;.)]\s*|\s+)(\S.*)", re.ASCII)
_WORDNET = re.compile(r"(n\d{8})(?:\s*[:,;]\s*|\s+)(\S.*)", re.ASCII)
_QUOTED = re.compile(r"([\"'])(.*)\1,?")
_AS_IT_STANDS = 'a JSON list is taken as it stands: ["tench", "goldfish", ...]'
_REFUSED = (
    ("<", "it begins as a web page or XML"),
    ("item {", "it is a label map of TensorFlow's detection API"),
    ("item{", "it is a label map of TensorFlow's detection API"),
    ("#", "line 1 begins with '#', and a remark is no name"),
)


def read_labels(path: Path) -> tuple[str, ...]:
    """The class names in ``path``, in the order of the logits.

    Raises:
        UsageError: Unreadable, no text, without names, or what the names are is not clear; with the line.
    """
    origin = f"labels {printable(str(path))}"
    data = read_bytes(path, what="labels", limit_bytes=LABEL_BYTES, failure=UsageError)
    text = decode(data, origin=origin, failure=UsageError)
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        raise _unclear(origin, "YAML is not read")
    if suffix == ".json" or text.lstrip().startswith(("[", '{"')):
        names = _from_json(parse_json(text, origin=origin, failure=UsageError), origin)
    elif suffix in (".csv", ".tsv"):
        names = _from_table(text, origin)
    else:
        names = _from_lines(text, origin)
    if not names:
        raise _unclear(origin, "hold no names")
    for number, name in enumerate(names, 1):
        if not name or name != printable(name):
            what = "is empty" if not name else f"holds characters that cannot be shown: '{printable(name)[:80]}'"
            raise _unclear(origin, f"name {number} {what}")
    return names


def _unclear(origin: str, why: str) -> UsageError:
    return UsageError(f"{origin}: {why}; expected one class name a line", hint=_AS_IT_STANDS)


def _from_json(value: object, origin: str) -> tuple[str, ...]:
    """Names of a list, or of an object of numbers and names."""
    if isinstance(value, dict) and isinstance(value.get("id2label"), dict):
        value = value["id2label"]
    if isinstance(value, dict) and value:
        items = list(value.items())
        if all(isinstance(number, int) and not isinstance(number, bool) for _, number in items):
            items = [(str(number), name) for name, number in items]
        if not all(isinstance(key, str) and re.fullmatch(r"\d{1,7}", key, re.ASCII) for key, _ in items):
            raise _unclear(origin, "an object whose keys (or values) are no numbers of classes")
        return _in_order([(int(number), _plain(name, origin)) for number, name in items], origin)
    if isinstance(value, list) and value:
        return tuple(_plain(name, origin) for name in value)
    raise _unclear(origin, "hold no names: JSON that is neither a list nor an object of them")


def _plain(name: object, origin: str) -> str:
    """A name, alone or behind its WordNet id in a pair."""
    if isinstance(name, list) and len(name) == 2 and re.fullmatch(r"n\d{8}", str(name[0])):
        name = name[1]
    if not isinstance(name, str):
        raise _unclear(origin, f"{printable(str(name))[:80]!r} is no name")
    return name.strip()


def _from_table(text: str, origin: str) -> tuple[str, ...]:
    """Names of the column that is called so, in the order of the column of numbers if there is one."""
    delimiter = max("\t;,", key=text.partition("\n")[0].count)
    try:
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(re.split("\r\n|\r|\n", text), delimiter=delimiter, strict=True)
            if row
        ]
    except csv.Error as error:
        raise _unclear(origin, f"are no CSV: {error}") from error
    if not rows:
        return ()
    heading = [cell.lower() for cell in rows[0]]
    for number, row in enumerate(rows, 1):
        if len(row) != len(heading):
            raise _unclear(origin, f"row {number} has {len(row)} cells, the first has {len(heading)}")
    columns = [at for at, cell in enumerate(heading) if cell in _NAME_COLUMNS]
    numbers = [at for at, cell in enumerate(heading) if cell in _NUMBER_COLUMNS]
    if len(heading) == 1:
        return tuple(row[0] for row in rows[1 if columns else 0 :])
    if len(heading) == 2 and not columns and all(_NUMBERED.fullmatch(": ".join(row)) for row in rows):
        return _in_order([(int(number), name) for number, name in rows], origin)
    if len(columns) != 1 or len(numbers) > 1:
        known = f"{', '.join(_NAME_COLUMNS)}; for its number: {', '.join(_NUMBER_COLUMNS)}"
        raise _unclear(origin, f"the heading {printable(', '.join(rows[0]))[:80]!r} has no one column of: {known}")
    if not numbers:
        return tuple(row[columns[0]] for row in rows[1:])
    for line, row in enumerate(rows[1:], 2):
        if not re.fullmatch(r"\d{1,7}", row[numbers[0]], re.ASCII):
            raise _unclear(origin, f"row {line}: '{printable(row[numbers[0]])[:80]}' is no number of a class")
    return _in_order([(int(row[numbers[0]]), row[columns[0]]) for row in rows[1:]], origin)


def _from_lines(text: str, origin: str) -> tuple[str, ...]:
    """One name a line, perhaps behind a number or a WordNet id."""
    lines = [line.strip() for line in re.split("\r\n|\r|\n", text.rstrip())]
    if lines == [""]:
        raise _unclear(origin, "hold no names")
    for start, why in _REFUSED:
        if lines[0].startswith(start):
            raise _unclear(origin, why)
    lines = _without_braces(lines)
    if "" in lines:
        raise _unclear(origin, f"line {lines.index('') + 1} is empty")
    if found := _behind(lines, _WORDNET, "a WordNet id", origin):
        if (ids := [id for id, _ in found]) != sorted(ids):
            raise _unclear(origin, "its WordNet ids do not rise, as they do in the order of ImageNet's classes")
        return tuple(name for _, name in found)
    if found := _behind(lines, _NUMBERED, "a number", origin):
        names = _in_order([(int(number), name) for number, name in found], origin)
        if 1 < len(names) >= 2 * len(set(names)):  # '1 euro', '2 euro': the number is the name
            raise _unclear(origin, "numbers may number the lines or be part of the names")
        return _unquoted(names)
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            raise _unclear(origin, f"line {number} has several columns (a tab)")
    return _unquoted(lines)


def _without_braces(lines: list[str]) -> list[str]:
    """The lines without those of a dictionary around them: ``{0: 'tench',`` ... ``999: 'toilet tissue'}``."""
    if not (lines[0].startswith("{") and lines[-1].endswith("}")):
        return lines
    return [line for line in (lines[0][1:].strip(), *lines[1:-1], lines[-1][:-1].strip()) if line]


def _behind(lines: list[str], pattern: re.Pattern[str], what: str, origin: str) -> list[tuple[str, str]]:
    """What stands first in each line, and the rest; empty where the lines are not like that."""
    found = [pattern.fullmatch(line) for line in lines]
    count = sum(match is not None for match in found)
    if len(lines) > 1 and 2 * count >= len(lines) > count:
        at = found.index(None)
        raise _unclear(origin, f"line {at + 1}, '{printable(lines[at])[:80]}', has no {what[2:]} as most others have")
    return [(match[1], match[2]) for match in found if match] if len(lines) in (count, 0) else []


def _in_order(numbered: list[tuple[int, str]], origin: str) -> tuple[str, ...]:
    """Names by their numbers, which count from 0 or from 1 without a gap."""
    numbers = sorted(number for number, _ in numbered)
    first = min(numbers[0], 1) if numbers else 0
    for expected, number in enumerate(numbers, first):
        if number != expected:
            what = f"number {number} stands twice" if number < expected else f"number {expected} is missing"
            raise _unclear(origin, what)
    return tuple(name for _, name in sorted(numbered))


def _unquoted(names: Sequence[str]) -> tuple[str, ...]:
    """The names without the quotes that all of them have."""
    found = [_QUOTED.fullmatch(name) for name in names]
    return tuple(match[2] for match in found if match) if all(found) else tuple(names)
