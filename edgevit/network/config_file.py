"""A user's own variant from a TOML or JSON file.

Four numbers stand for the four stages::

    channels      required  width of each stage, e.g. [24, 48, 96, 192]
    blocks        required  blocks per stage, e.g. [1, 1, 2, 1]
    heads         attention heads per stage               } exactly one of the two
    head_dim      channels per head, the same everywhere  }
    sample_rates  side of the window that a delegate stands for, default [4, 2, 2, 1]
    ffn_ratio     hidden width of the FFN in multiples of the channels, one number or four, default 4
    delegate      "center" (default), "avg" or "max"
    propagation   "transposed-conv" (default), "bilinear" or "none"
    aggregation   true (default) or false
    name          stem of the artifacts' names, default: the file's stem
    description   free text for listings

Every finding in a file is reported at once. This module imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edgevit.errors import UsageError, parse_choice
from edgevit.network.variants import STAGES, Delegate, Propagation, VariantConfig, VariantTable, variants
from edgevit.text import TOML_BYTES, parse_json, parse_toml, read_bytes

_LARGEST = 65536  # chosen, because no image network is as wide or as deep, and a slip of the finger shows
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def read_config(path: Path | str) -> VariantConfig:
    """Read a configuration file; the suffix tells TOML (``.toml``) from JSON (``.json``).

    Raises:
        UsageError: Unreadable, not TOML or JSON, an unknown key, a wrong type or length, or numbers that are no
            EdgeViT; all findings in one message.
    """
    path = Path(path)
    table = _read_table(path)
    problems = [*_key_problems(table), *_length_problems(table)]
    if problems:
        raise _error(path, problems)
    try:
        read = msgspec.convert(_four_ratios(table), VariantTable)
    except msgspec.ValidationError as error:
        raise _error(path, [str(error)]) from error
    name = path.stem if read.name is None else read.name
    problems = [
        *range_problems(read),
        *_name_problems(name),
        *_choice_problems("delegate", Delegate, read.delegate),
        *_choice_problems("propagation", Propagation, read.propagation),
    ]
    if problems:
        raise _error(path, problems)
    return replace(read, description=read.description or "user's configuration").config(name)


def _error(path: Path, problems: list[str]) -> UsageError:
    """One error for all problems of a file."""
    return UsageError(f"configuration {path} is not valid: {'; '.join(problems)}", hint=_HINT)


_HINT = "a minimal file: channels = [24, 48, 96, 192], blocks = [1, 1, 2, 1], head_dim = 24"


def _read_table(path: Path) -> dict[str, object]:
    """The file as a table of keys."""
    parse = {".toml": parse_toml, ".json": parse_json}.get(path.suffix.lower())
    if parse is None:
        raise UsageError(f"configuration {path} ends in '{path.suffix}', expected .toml or .json")
    data = read_bytes(path, what="configuration", limit_bytes=TOML_BYTES, failure=UsageError)
    table = parse(data, origin=f"configuration {path}", failure=UsageError)
    if not isinstance(table, dict):
        raise UsageError(f"configuration {path} holds a {type(table).__name__}, expected a table of keys")
    return table


def _key_problems(table: dict[str, object]) -> Iterator[str]:
    """Unknown and missing keys."""
    known = [name for name in VariantTable.__struct_fields__ if name != "paper_model"]
    for key in table:
        if key not in known:
            close = get_close_matches(key.lower(), known, n=1, cutoff=0.5)
            yield f"unknown key '{key}'" + (
                f", did you mean '{close[0]}'?" if close else f" (known: {', '.join(known)})"
            )
    for key in ("channels", "blocks"):
        if key not in table:
            yield f"'{key}' is missing"
    if ("heads" in table) == ("head_dim" in table):
        yield "exactly one of 'heads' and 'head_dim' is needed" + (", both are given" if "heads" in table else "")


def _length_problems(table: dict[str, object]) -> Iterator[str]:
    """Lists that do not have one number for each stage."""
    for key in ("channels", "blocks", "heads", "sample_rates", "ffn_ratio"):
        value = table.get(key)
        if isinstance(value, list) and len(value) != STAGES:
            yield f"'{key}' has {len(value)} numbers, expected {STAGES}, one for each stage"


def _four_ratios(table: dict[str, object]) -> dict[str, object]:
    """The table with a single ``ffn_ratio`` repeated for every stage."""
    ratio = table.get("ffn_ratio")
    single = isinstance(ratio, (int, float)) and not isinstance(ratio, bool)
    return table | {"ffn_ratio": [ratio] * STAGES} if single else table


def range_problems(read: VariantTable) -> list[str]:
    """Numbers out of range; only when none is, those that do not divide."""
    numbers: dict[str, tuple[float, ...]] = {
        "channels": read.channels,
        "blocks": read.blocks,
        "heads": read.heads or (),
        "head_dim": () if read.head_dim is None else (read.head_dim,),
        "sample_rates": read.sample_rates,
        "ffn_ratio": read.ffn_ratio,
    }
    found = [
        f"'{key}' holds {number:g}, expected more than 0 and at most {_LARGEST}"
        for key, values in numbers.items()
        for number in dict.fromkeys(values)
        if not 0 < number <= _LARGEST
    ]
    return found or [problem for stage in range(STAGES) for problem in _stage_problems(read, stage)]


def _name_problems(name: str) -> Iterator[str]:
    """Names that cannot stand in file names or belong to another variant."""
    if not _NAME.fullmatch(name):
        yield f"name '{name}' cannot be part of a file name: letters, digits, '.', '_' and '-' only"
    if name.lower() in variants():
        yield f"name '{name}' belongs to a built-in variant; set another 'name'"


def _choice_problems(kind: str, choices: type[StrEnum], word: str) -> Iterator[str]:
    """Words that are no member of an enum."""
    try:
        parse_choice(kind, choices, word)
    except UsageError as error:
        yield error.message


def _stage_problems(read: VariantTable, stage: int) -> Iterator[str]:
    """Channels of one stage (0..3) that do not divide or vanish."""
    channels = read.channels[stage]
    parts = read.heads[stage] if read.heads else read.head_dim or 1
    if channels % parts:
        what = f"{parts} heads" if read.heads else f"head_dim {parts}"
        yield f"stage {stage + 1}: {channels} channels cannot be divided by {what}"
    if int(channels * read.ffn_ratio[stage]) < 1:
        ratio = read.ffn_ratio[stage]
        yield f"stage {stage + 1}: {channels} channels times ffn_ratio {ratio:g} leave no hidden channel"
