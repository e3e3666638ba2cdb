"""Which input is number N of a reader under a seed: the kinds of changes, and how they are put together."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from random import Random

import fuzz_bytes
import fuzz_images
import fuzz_json
import fuzz_pickles
import fuzz_texts
import fuzz_zips
from fuzz_bytes import Change, splice, token_in


class Kind(StrEnum):
    """What a reader's inputs are, and so how they are changed."""

    BINARY = "binary"
    TEXT = "text"
    JSON = "json"
    JSON_LINES = "json lines"
    ZIP = "zip"
    PICKLE = "pickle"
    IMAGE = "image"


_CHANGES: dict[Kind, tuple[Change, ...]] = {
    Kind.BINARY: fuzz_bytes.CHANGES,
    Kind.TEXT: (*fuzz_texts.CHANGES, *fuzz_texts.CHANGES, *fuzz_bytes.CHANGES),
    Kind.JSON: fuzz_json.CHANGES,
    Kind.JSON_LINES: fuzz_json.LINES,
    Kind.ZIP: fuzz_zips.CHANGES,
    Kind.PICKLE: fuzz_pickles.CHANGES,
    Kind.IMAGE: fuzz_images.CHANGES,
}
_RARE: dict[Kind, tuple[Change, ...]] = {Kind.ZIP: fuzz_zips.RARE}
_RARELY = 0.01  # chosen: each takes some 20 times as long as another
_SPLICED, _TOKEN = 0.06, 0.08  # chosen: shares of inputs that begin so
_MOST = fuzz_bytes.LONGEST * 4


def mutated(seeds: Sequence[bytes], kind: Kind, tokens: Sequence[bytes], rng: Random) -> bytes:
    """One of ``seeds`` changed one to five times."""
    data = rng.choice(seeds)
    changes = _CHANGES[kind]
    if rng.random() < _SPLICED:
        data = splice(data, rng.choice(seeds), rng)
    if tokens and rng.random() < _TOKEN:
        data = token_in(data, tokens, rng)
    if kind in _RARE and rng.random() < _RARELY:
        return rng.choice(_RARE[kind])(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        data = rng.choice(changes)(data, rng)[:_MOST]
    return data


def input_for(
    reader: str, seeds: Sequence[bytes], kind: Kind, tokens: Sequence[bytes], *, seed: int, number: int
) -> bytes:
    """Input ``number`` of ``reader`` under ``seed``: the same on every machine for the same seeds."""
    return mutated(seeds, kind, tokens, Random(f"{seed}/{reader}/{number}"))
