"""The harness finds planted faults, and finds none where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fuzz_campaign import Tally, keep, run
from planted_readers import READERS, SEED

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits and tells the memory of one input")


def tally_of(name: str, count: int = 6, deadline_s: float = 10.0) -> Tally:
    return run(READERS[name], seed=1, end=count, registry="planted_readers", deadline_s=deadline_s)


def faulty(name: str, count: int) -> int:
    """How many of the first inputs show the fault: all but those that a change left as they were."""
    return sum(READERS[name].mutated(seed=1, number=number) != SEED for number in range(count))


def test_a_sound_reader_has_no_findings() -> None:
    tally = tally_of("sound", 300)
    assert (tally.inputs, tally.findings) == (300, [])
    assert tally.accepted + tally.refused == 300
    assert tally.refused > 200


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("key-error", "KeyError"),
        ("outside", "Trespass: writes '/tmp/planted-by-a-reader'"),
        ("native", "Trespass: a file 'planted' appeared"),
        ("program", "Trespass: subprocess.Popen"),
        ("connect", "Trespass: connects to ('127.0.0.1', 9)"),
        ("unpickle", "Trespass: a pickle names ('os', 'getcwd')"),
        ("crash", "Died: signal 11"),
        ("leave", "Died: it left before its end"),
        ("usage", "UsageError"),
        ("infinite", "cannot be saved"),
        ("deep", "RecursionError"),
        pytest.param("touch", "Memory", marks=LINUX),
        ("reserve", "MemoryError behind a refusal"),
    ],
)
def test_every_planted_fault_is_found_each_time(name: str, told: str) -> None:
    tally = tally_of(name)
    assert tally.inputs == 6
    assert [finding.error[: len(told)] for finding in tally.findings] == [told] * faulty(name, 6)
    assert not Path("/tmp/planted-by-a-reader").exists()


@pytest.mark.parametrize("name", ["loop", "sleep"])
def test_what_does_not_end_is_ended_from_outside(name: str) -> None:
    tally = tally_of(name, 2, deadline_s=0.5)
    assert [finding.error.partition(":")[0] for finding in tally.findings] == ["Hang", "Hang"]
    assert tally.inputs == 2


def test_inputs_in_files_are_read_to_the_last_behind_one_that_kills(tmp_path: Path) -> None:
    for name, data in (("0", SEED), ("1", b"x"), ("2", SEED), ("3", b"y"), ("4", SEED)):
        (tmp_path / name).write_bytes(data)
    files = sorted(tmp_path.iterdir())
    tally = run(READERS["crash"], seed=1, end=2, files=files, registry="planted_readers")
    assert [finding.number for finding in tally.findings] == [0, 1, 3, 5]
    assert (tally.inputs, tally.accepted) == (7, 3)


def test_inputs_that_failed_are_kept_the_smallest_first(tmp_path: Path) -> None:
    tally = tally_of("key-error", 40)
    ((finding, times, path),) = keep(READERS["key-error"], tally, seed=1, target=tmp_path)
    assert (finding.error, times) == ("KeyError", faulty("key-error", 40))
    kept = sorted(len(each.read_bytes()) for each in path.parent.iterdir())
    every = sorted(
        len(data) for number in range(40) if (data := READERS["key-error"].mutated(seed=1, number=number)) != SEED
    )
    assert kept == every[:3]
