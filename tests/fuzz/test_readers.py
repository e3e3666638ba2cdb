"""The readers in CI: their seeds are valid, inputs that failed once are read, and a fixed budget of mutated ones.

The budget takes about a minute of one core; ``run.py`` does the long run.
"""

from __future__ import annotations

import pytest
from fuzz_campaign import run
from fuzz_reader import HOSTILE, Reader
from fuzz_registry import READERS

BUDGET, SEED = 80, 2205  # inputs a reader; chosen: with starting the processes that is a minute for all readers


@pytest.mark.parametrize("reader", READERS.values(), ids=list(READERS))
def test_every_input_is_accepted_or_refused(reader: Reader) -> None:
    """See a mutated one again: ``python tests/fuzz/run.py --show READER 2205 NUMBER``."""
    files = reader.corpus()
    tally = run(reader, seed=SEED, end=BUDGET, files=files)
    names = [str(number) for number in range(BUDGET)] + [path.name for path in files]
    assert [f"input {names[each.number]}: {each.kind}: {each.said}" for each in tally.findings] == []
    assert tally.inputs == BUDGET + len(files)


def test_every_folder_of_hostile_inputs_has_a_reader() -> None:
    folders = {path.name for path in HOSTILE.iterdir() if path.is_dir()} if HOSTILE.is_dir() else set()
    read = {name for reader in READERS.values() for name in (reader.name, *reader.corpora)}
    assert sorted(folders - read) == []
