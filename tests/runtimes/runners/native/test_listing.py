"""What the store holds, and what is wrong with it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from runtimes.runners.native import listing
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.build import source_sha256
from runtimes.runners.native.listing import ListedRunner, list_runners
from runtimes.runners.native.store import (
    Found,
    LinkedLibrary,
    StoredLibrary,
    StoredProgram,
    find_program,
    keep_library,
    keep_program,
    stored_file,
)

ABI = ABIS["aarch64-linux"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))


def library(tmp_path: Path, data: bytes, version: str = "1.3.1") -> Found[StoredLibrary]:
    for name in ("_core.abi3.so", "other.so"):
        (tmp_path / name).write_bytes(data)
    files = [tmp_path / "_core.abi3.so", tmp_path / "other.so"]
    record = StoredLibrary(
        runtime="executorch", version=version, abi=ABI.name, files=tuple(map(stored_file, files)), origin="e.whl",
        needs_glibc="2.27",
    )  # fmt: skip
    return keep_library(record, files)


def program(tmp_path: Path, found: Found[StoredLibrary] | None, sources: str) -> Found[StoredProgram]:
    linked = None
    if found is not None:
        linked = LinkedLibrary(runtime="executorch", version=found.record.version, sha256=found.record.main.sha256)
    name = "edgevit-runner" if linked is None else "edgevit-runner-executorch"
    (tmp_path / name).write_bytes(b"program")
    record = StoredProgram(
        name=name, abi=ABI.name, file=stored_file(tmp_path / name), source_sha256=sources, request_version=4,
        compiler="GNU 12.2.0", linked=linked, needs_glibc="2.34",
    )  # fmt: skip
    return keep_program(record, tmp_path / name)


def named(name: str) -> ListedRunner:
    (row,) = (row for row in list_runners() if row.name == name)
    return row


def test_nothing_is_there_at_first() -> None:
    assert list_runners() == ()


def test_programs_and_libraries_with_their_facts(tmp_path: Path) -> None:
    kept = library(tmp_path, b"library")
    program(tmp_path, None, source_sha256())
    program(tmp_path, kept, source_sha256())
    assert [(row.kind, row.name) for row in list_runners()] == [
        ("program", "edgevit-runner"), ("program", "edgevit-runner-executorch"), ("library", "executorch"),
    ]  # fmt: skip
    seen = named("executorch")
    assert (seen.version, seen.size_bytes, seen.needs_glibc, seen.origin, seen.current, seen.problem) == (
        "1.3.1", 14, "2.27", "e.whl", None, "",
    )  # fmt: skip
    assert seen.sha256 == hashlib.sha256(b"library").hexdigest()
    linked = named("edgevit-runner-executorch")
    assert (linked.version, linked.current, linked.problem, linked.hint) == ("executorch 1.3.1", True, "", "")
    assert (named("edgevit-runner").version, named("edgevit-runner").origin) == (None, "GNU 12.2.0")


def test_programs_that_would_be_built_otherwise_now_are_said(tmp_path: Path) -> None:
    kept = library(tmp_path, b"library")
    program(tmp_path, None, "0" * 64)
    seen = named("edgevit-runner")
    assert (seen.current, seen.problem) == (False, "built from other sources")
    assert seen.hint == "edgevit-export runner build --abi aarch64-linux"
    program(tmp_path, kept, source_sha256())
    newer = library(tmp_path, b"newer library", "1.4.0")
    assert named("edgevit-runner-executorch").problem == "linked with executorch 1.3.1, another one is there now"
    newer.main.write_bytes(b"damaged")
    assert "its record says" in named("edgevit-runner-executorch").problem
    (newer.directory.parent / "record.json").unlink()
    assert "not there any more" in named("edgevit-runner-executorch").problem


def test_what_is_damaged_is_listed_with_what_mends_it(tmp_path: Path) -> None:
    kept = library(tmp_path, b"library")
    kept.main.write_bytes(b"LIBRARY")
    seen = named("executorch")
    assert "is damaged" in seen.problem and seen.sha256 is None
    assert seen.hint == "edgevit-export runner fetch --abi aarch64-linux --format pte"
    built = program(tmp_path, None, source_sha256())
    built.main.unlink()
    assert named("edgevit-runner").hint == "edgevit-export runner build --abi aarch64-linux"


def test_what_goes_while_it_is_listed_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, None, source_sha256())
    library(tmp_path, b"library")
    monkeypatch.setattr(listing, "find_program", lambda *_, **__: None)
    monkeypatch.setattr(listing, "find_library", lambda *_, **__: None)
    assert {row.problem for row in list_runners()} == {"removed while it was read"}


def test_rows_are_records(tmp_path: Path) -> None:
    kept = library(tmp_path, b"library")
    (row,) = list_runners()
    assert msgspec.json.decode(row.to_json(), type=ListedRunner) == row
    assert find_program(ABI, kept.record.name) is None
