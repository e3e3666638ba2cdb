"""No reader is forgotten: every function that calls a primitive of reading runs under the table, or says why not."""

from __future__ import annotations

import functools
import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest
from fuzz_reader import Reader
from fuzz_registry import READERS
from not_fuzzed import REASONS
from primitives import uses

ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")
ROOT = Path(__file__).resolve().parents[3]
MUTATED = 10  # inputs beside the seeds: what only runs where something is wrong must run as well
SMALL = 1 << 20  # bytes; bombs are larger, and this process has no limit


def called_by(reader: Reader, room: Path) -> Iterator[str]:
    """The functions of the project that run while ``reader`` reads its seeds and some other inputs."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            name = frame.f_code.co_qualname.partition(".<locals>")[0]
            seen.add(f"{frame.f_code.co_filename[len(str(ROOT)) + 1 :]}:{name}")

    others = (reader.mutated(seed=1, number=number) for number in range(MUTATED))
    for number, data in enumerate([*reader.inputs, *(data for data in others if len(data) < SMALL)]):
        directory = room / f"{reader.name}-{number}"
        directory.mkdir()
        sys.setprofile(note)
        try:
            with suppress(Exception):  # whether it ends well is not asked here
                reader.call(data, directory)
        finally:
            sys.setprofile(None)
    yield from seen


def forget_what_is_cached() -> None:
    """Tables are read once a process, and tests that ran before may have done it, or imported what reads one."""
    importlib.import_module("export.formats.onnx_file.protobuf")
    gc.unfreeze()  # what is frozen is not among the objects
    for each in gc.get_objects():
        if type(each) is functools._lru_cache_wrapper and each.__module__.partition(".")[0] in ROOMS:
            each.cache_clear()


def test_every_function_that_reads_is_fuzzed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    forget_what_is_cached()
    run = {name for reader in READERS.values() for name in called_by(reader, tmp_path)}
    reading: dict[str, set[str]] = {}
    for use in uses(ROOT):
        reading.setdefault(use.function, set()).add(use.primitive)
    open_ends = {name: sorted(found) for name, found in reading.items() if name not in run and name not in REASONS}
    assert open_ends == {}
    assert sorted(set(REASONS) - set(reading)) == [], "these read nothing any more"
    assert sorted(set(REASONS) & run) == [], "these need no reason any more"


def test_a_new_reader_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "edgevit").mkdir()
    (tmp_path / "edgevit" / "new.py").write_text(
        "import json\nclass A:\n    def b(self, path):\n        return json.loads(path.read_text())\n"
        "def c(line):\n    return [int(word) for word in line.split()]\nTABLE = (lambda head: head.isdigit(),)\n"
        "def d(values):\n    return int(len(values))\n"
    )
    found = {(use.function, use.primitive) for use in uses(tmp_path)}
    assert found == {
        ("edgevit/new.py:A.b", "loads"),
        ("edgevit/new.py:A.b", "read_text"),
        ("edgevit/new.py:c", "int"),
        ("edgevit/new.py:<lambda>", "isdigit"),
    }
