"""Class names from the files in which people keep them.

Understood, in any encoding that ``edgevit.text`` knows:

- a text file with one name a line: ``tench, Tinca tinca``;
- the same with a number before or behind it (``0: tench``, ``0 tench``, ``tench 0``), with a WordNet id before it
  (``n01440764 tench``), or with both;
- JSON: a list of names, or an object of numbers and names either way round, Keras' ``{"0": ["n01440764", "tench"]}``
  and the ``id2label`` of a Hugging Face configuration; flat lists and dictionaries as Python prints them;
- ``.csv`` and ``.tsv``: see ``edgevit.label_table``.

What could be meant in two ways is refused; a list in JSON is always taken as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgevit.errors import UsageError
from edgevit.label_table import check_rising, in_order, names_of_table, unclear
from edgevit.text import decode, parse_json, printable, read_bytes

LABEL_BYTES = 16 * 2**20  # chosen: ImageNet's 21,843 classes with all their synonyms take 1.2 MB
_NUMBERED = re.compile(r"([\"']?)(\d{1,7})\1(?:\s*(?:[:,;)=|]|\.(?!\d))\s*|\s+(?:[-=]>?\s+)?)(\S.*)", re.ASCII)
_WORDNET = re.compile(r"()(n\d{8})(?:\s*[:,;]\s*|\s+)(\S.*)", re.ASCII)
_MARKED_END = re.compile(r"(.*\S)(?:\s*[:,;=|]\s*|\t\s*)(\d{1,7})", re.ASCII)  # no name ends so
_SPACED_END = re.compile(r"(.*\S)\s+(\d{1,7})", re.ASCII)  # some do: Boeing 747
_ANY_NUMBER = (re.compile(r"()\W*(\d{1,7})(?!\d)(.*)", re.ASCII), re.compile(r"(.*(?<!\d))(\d{1,7})(\W*)", re.ASCII))
_QUOTED = re.compile(r"([\"'])(.*)\1")
_STRING = r"""(?:'(?:[^'\\\r\n]|\\['"\\])*+'|"(?:[^"\\\r\n]|\\['"\\])*+")"""
_ITEM = re.compile(rf"\s*+(?:({_STRING}|\d{{1,7}}+)\s*+:\s*+)?({_STRING}|\d{{1,7}}+)\s*+(?:,\s*+|\Z)", re.ASCII)
_REFUSED = (
    ("<", "it begins as a web page or XML"),
    ("item {", "it is a label map of TensorFlow's detection API"),
    ("item{", "it is a label map of TensorFlow's detection API"),
    ("#", "line 1 begins with '#', and a remark is no name"),
)


def read_labels(path: Path | str) -> tuple[str, ...]:
    """The class names in ``path``, in the order of the logits.

    Raises:
        UsageError: Unreadable, no text, without names, or what the names are is not clear; with the line.
    """
    path = Path(path)
    origin = f"labels {printable(str(path))}"
    data = read_bytes(path, what="labels", limit_bytes=LABEL_BYTES, failure=UsageError)
    text = decode(data, origin=origin, failure=UsageError)
    names = _names(text, path.suffix.lower(), origin)
    if not names:
        raise unclear(origin, "hold no names")
    for number, name in enumerate(names, 1):
        if not name or name != printable(name):
            what = "is empty" if not name else f"holds characters that cannot be shown: '{printable(name)[:80]}'"
            raise unclear(origin, f"name {number} {what}")
    return names


def _names(text: str, suffix: str, origin: str) -> tuple[str, ...]:
    """The names, by what the file is called and how it begins."""
    if text.startswith("version https://git-lfs.github.com/spec/"):
        raise UsageError(f"{origin}: a git LFS pointer, not the file that it points to", hint="run git lfs pull")
    if suffix in (".yaml", ".yml"):
        raise unclear(origin, "YAML is not read")
    if suffix == ".json":
        return _from_json(parse_json(text, origin=origin, failure=UsageError), origin)
    if suffix in (".csv", ".tsv"):
        return names_of_table(text, origin)
    if text.lstrip().startswith(("{", "[")):
        printed = _printed(text.strip(), origin)
        return _from_json(parse_json(text, origin=origin, failure=UsageError), origin) if printed is None else printed
    return _from_lines(text, origin)


def _from_json(value: object, origin: str) -> tuple[str, ...]:
    """Names of a list, or of an object of numbers and names."""
    if isinstance(value, dict) and isinstance(value.get("id2label"), dict):
        value = value["id2label"]
    if isinstance(value, dict) and value:
        return _from_pairs(list(value.items()), origin)
    if isinstance(value, list) and value:
        return tuple(_plain(name, origin) for name in value)
    raise unclear(origin, "hold no names: JSON that is neither a list nor an object of them")


def _from_pairs(items: Sequence[tuple[object, object]], origin: str) -> tuple[str, ...]:
    """Names of an object by their numbers: the order in which it is written says nothing."""
    if all(isinstance(number, int) and not isinstance(number, bool) for _, number in items):
        items = [(str(number), name) for name, number in items]
    numbers = [key for key, _ in items if isinstance(key, str) and re.fullmatch(r"\d{1,7}", key, re.ASCII)]
    if len(numbers) < len(items):
        raise unclear(origin, "an object whose keys (or values) are no numbers of classes")
    names = [_plain(name, origin) for _, name in items]
    return in_order([int(number) for number in numbers], names, origin, any_order=True)


def _plain(name: object, origin: str) -> str:
    """A name, alone or behind its WordNet id in a pair."""
    if isinstance(name, list) and len(name) == 2 and re.fullmatch(r"n\d{8}", str(name[0])):
        name = name[1]
    if not isinstance(name, str):
        raise unclear(origin, f"{printable(str(name))[:80]!r} is no name")
    return name.strip()


def _printed(text: str, origin: str) -> tuple[str, ...] | None:
    """Names of a flat list or dictionary as Python prints it (JSON's are among them); None where it is none."""
    if text[0] + text[-1] not in ("{}", "[]"):
        return None
    inner, at, items = text[1:-1].strip(), 0, list[tuple[str, str]]()
    while at < len(inner):
        if not (found := _ITEM.match(inner, at)) or (found[1] is not None) != (text[0] == "{"):
            return None
        items.append((found[1] or "", found[2]))
        at = found.end()
    if not items or any(value.isdigit() for _, value in items if text[0] == "["):
        return None
    if text[0] == "[":
        return tuple(_unescaped(value) for _, value in items)
    if all(value.isdigit() for _, value in items):
        return _from_pairs([(_unescaped(key), int(value)) for key, value in items], origin)
    return _from_pairs([(_unescaped(key), _unescaped(value)) for key, value in items], origin)


def _unescaped(item: str) -> str:
    """A string without its quotes; a number as it is."""
    return item if item.isdigit() else re.sub(r"\\(.)", r"\1", item[1:-1]).strip()


def _from_lines(text: str, origin: str) -> tuple[str, ...]:
    """One name a line, perhaps with a number or a WordNet id."""
    lines = [line.strip() for line in re.split("\r\n|\r|\n", text.rstrip())]
    if lines == [""]:
        raise unclear(origin, "hold no names")
    for start, why in _REFUSED:
        if lines[0].startswith(start):
            raise unclear(origin, why)
    if "" in lines:
        raise unclear(origin, f"line {lines.index('') + 1} is empty")
    if len(lines) > 1 and all(line.startswith(("- ", "* ")) for line in lines):
        raise unclear(origin, "it is a list of YAML or Markdown, with a dash before each name")
    if len(lines) > 1 and all(line.endswith(",") for line in lines[:-1]):
        lines = [line.removesuffix(",") for line in lines]
    ids, rest = _taken(lines, _WORDNET, "WordNet id", origin) or ([], lines)
    numbers, names = _numbers(rest, origin) or ([], rest)
    if not ids:
        ids, names = _taken(names, _WORDNET, "WordNet id", origin) or ([], names)
    check_rising(ids, [int(number) for number in numbers], origin)
    if numbers:
        if all(_MARKED_END.fullmatch(name) for name in names):
            raise unclear(origin, f"numbers stand before and behind the names: '{printable(lines[0])[:80]}'")
        ordered = in_order([int(number) for number in numbers], names, origin)
        if 1 < len(names) >= 2 * len(set(names)):  # '1 euro', '2 euro': the number is the name
            raise unclear(origin, "numbers may number the lines or be part of the names")
        return _unquoted(ordered)
    for number, line in enumerate(names, 1):
        if "\t" in line:
            raise unclear(origin, f"line {number} has several columns (a tab)")
    return _unquoted(names)


def _numbers(lines: Sequence[str], origin: str) -> tuple[list[str], list[str]] | None:
    """The numbers of the lines, and the lines without them; None where they have none.

    Raises:
        UsageError: Numbers that count the lines (or all but a heading) in a way that is not known.
    """
    if found := _taken(lines, _NUMBERED, "number", origin):
        return found
    if found := _taken(lines, _MARKED_END, "number at its end", origin):
        return found[1], found[0]
    for pattern in (_SPACED_END, *_ANY_NUMBER):
        for first in (0, 1):
            numbers = _counting([pattern.fullmatch(line) for line in lines[first:]])
            if not numbers:
                continue
            others = [(number[1] + "".join(number.groups()[2:])).strip() for number in numbers]
            order = [int(number[2]) for number in numbers]
            if not any(others) or (order == sorted(order) and len(set(others)) == 1 and pattern is not _ANY_NUMBER[0]):
                return None  # '0', '1'; or 'class 0', 'class 1': names that are numbers, or hold them
            if first == 0 and pattern is _SPACED_END:
                return [number[2] for number in numbers], [number[1] for number in numbers]
            raise unclear(
                origin, f"numbers may number the lines or be part of the names: '{printable(lines[-1])[:80]}'"
            )
    return None


def _counting(found: Sequence[re.Match[str] | None]) -> list[re.Match[str]]:
    """What was found, where it was found in all lines and each number from 0 or 1 on stands once; else nothing."""
    matches = [match for match in found if match]
    numbers = sorted(int(match[2]) for match in matches)
    counts = 1 < len(matches) == len(found) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return matches if counts and numbers[0] < 2 else []


def _taken(
    lines: Sequence[str], pattern: re.Pattern[str], what: str, origin: str
) -> tuple[list[str], list[str]] | None:
    """The last two groups of ``pattern`` in each line; None where the lines are not like that."""
    found = [pattern.fullmatch(line) for line in lines]
    matches = [match for match in found if match]
    if len(lines) > 1 and 2 * len(matches) >= len(lines) > len(matches):
        at = found.index(None)
        raise unclear(origin, f"line {at + 1}, '{printable(lines[at])[:80]}', has no {what} as most others have")
    if len(matches) < len(lines):
        return None
    return [match.groups()[-2] for match in matches], [match.groups()[-1] for match in matches]


def _unquoted(names: Sequence[str]) -> tuple[str, ...]:
    """The names without the quotes that all of them have."""
    found = [_QUOTED.fullmatch(name) for name in names]
    return tuple(match[2] for match in found if match) if all(found) else tuple(names)
