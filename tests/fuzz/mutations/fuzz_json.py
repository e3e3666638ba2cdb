"""Changes to JSON by its structure: one value becomes impossible, a key goes, comes twice, or is another's.

Values that ``json`` would not write (numbers of 5,000 digits, NaN, half of a surrogate pair) are put in as they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from fuzz_bytes import Change, cut_off, flip_bits, random_bytes
from fuzz_texts import encoded, word_in

Place = tuple[list[object] | dict[str, object], int | str]

RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-400", "9" * 5000, "-" + "9" * 5000, "0." + "3" * 5000,
    "9223372036854775808", "18446744073709551616", "-9223372036854775809", "4294967295", "2147483648", "1e308", "-1",
    "0",
    "-0.0", "1.5", "300", "9000000000000000000000", "null", "true", "false", '""', '" "', "[]", "{}", "[[]]", "[null]",
    '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\u001b[31m"', '"../../x"', '".."', '"/etc/passwd"', '"a\\nb"',
    '"%s"', '"²"', '"NaN"', '"' + "A" * 5000 + '"', '"\ufeff"', '"\u202e"', "[" * 500 + "]" * 500,
    '{"a":' * 500 + "1" + "}" * 500,
    "[" * 100_000, "1.0", "01", "'a'", "/* */", "[1,]", '{"a":1,"a":2}', '[' + ",".join(["0"] * 10_000) + "]",
)  # fmt: skip

TEXTS = tuple(value for value in RAW if value.startswith('"'))
NUMBERS = tuple(value for value in RAW if value[0] in "-0123456789NI")
LIKE = 0.7  # chosen: what has the right type gets past the first check, and into what makes use of it


def _like(value: object) -> tuple[str, ...]:
    """Values of the type of ``value``, where that is a text or a number."""
    return TEXTS if isinstance(value, str) else NUMBERS if isinstance(value, int | float) else RAW


def change_value(data: bytes, rng: Random) -> bytes:
    """One to three values replaced, moved, removed or doubled; bytes that are no JSON are changed as a text."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return word_in(data, rng)
    raw: dict[str, str] = {}
    for turn in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return rng.choice(RAW).encode("utf-8", "surrogatepass")
        _change(places, f"@RAW{turn}@", raw, rng)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    for mark, value in raw.items():
        text = text.replace(f'"{mark}"', value)
    return text.encode("utf-8", "surrogatepass")


def _change(places: list[Place], mark: str, raw: dict[str, str], rng: Random) -> None:
    parent, key = rng.choice(places)
    kind = rng.randrange(10)
    if kind < 6:
        raw[mark] = rng.choice(_like(parent[key]) if rng.random() < LIKE else RAW)  # type: ignore[index]
        parent[key] = mark  # type: ignore[index]
    elif kind == 6:
        other_parent, other_key = rng.choice(places)
        parent[key] = json.loads(json.dumps(other_parent[other_key]))  # type: ignore[index]
    elif kind == 7:
        del parent[key]  # type: ignore[arg-type]
    elif isinstance(parent, list):
        parent[:] = parent * rng.choice((2, 2, 300 if len(places) < 200 else 3))  # several turns must not multiply
    else:
        name = rng.choice((str(key) + "x", "", "\0", "schema_version", "A" * 300, "\ud800"))
        parent[name] = parent.pop(str(key)) if rng.random() < 0.5 else parent[str(key)]


def _places(tree: object) -> Iterator[Place]:
    """Every value that can be replaced, by its parent and its key; 2,000 at most."""
    waiting, found = [tree], 0
    while waiting and found < 2000:
        node = waiting.pop()
        if isinstance(node, dict | list):
            for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
                found += 1
                yield node, key
                waiting.append(value)


def change_line(data: bytes, rng: Random) -> bytes:
    """The same to one line of several, each a JSON text."""
    rows = data.split(b"\n")
    at = rng.randrange(len(rows))
    rows[at] = change_value(rows[at], rng)
    return b"\n".join(rows)


CHANGES: tuple[Change, ...] = (change_value,) * 8 + (word_in, encoded, cut_off, flip_bits, random_bytes)
LINES: tuple[Change, ...] = (change_line,) * 8 + (word_in, encoded, cut_off, flip_bits)
