"""Records keep what they were given through JSON, and a file is replaced whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from edgevit.errors import ArtifactError, UsageError
from edgevit.records import Record, atomic_path, sha256_file, writing


class Cup(Record):
    size_ml: int
    label: str = ""


def test_a_record_survives_storage(tmp_path: Path) -> None:
    cup = Cup(size_ml=200, label="größer")
    cup.save(tmp_path / "cup.json")
    assert Cup.load(tmp_path / "cup.json") == cup
    assert cup.to_json() == '{\n  "size_ml": 200,\n  "label": "größer"\n}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a valid Cup record"),
        ('{"size_ml": "200"}', r"Expected `int`, got `str` - at `\$.size_ml`"),
        ('{"size_ml": 1, "handle": true}', "unknown field `handle`"),
        ("{}", "missing required field `size_ml`"),
    ],
)
def test_what_is_no_such_record_is_refused_by_field(text: str, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        Cup.from_json(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*none\.json"):
        Cup.load(tmp_path / "none.json")


def test_records_are_frozen_and_take_names_only() -> None:
    with pytest.raises(TypeError):
        Cup(200)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Cup(size_ml=1).size_ml = 2  # type: ignore[misc]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".txt"
        raise KeyboardInterrupt
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.txt", "old")]
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.txt", "new")]


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_what_stands_in_the_way_of_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "directory").mkdir()
    for name, why in (
        ("file/cup.json", f"{tmp_path / 'file'} is a file, not a directory"),
        ("file/a/b/cup.json", f"{tmp_path / 'file'} is a file, not a directory"),
        ("directory", "it is a directory"),
        ("x" * 300, "File name too long"),
    ):
        path = tmp_path / name
        with pytest.raises(UsageError) as caught, writing(path):
            Cup(size_ml=1).save(path)
        assert caught.value.message == f"cannot write {path}: {why}"
    assert (tmp_path / "file").read_text() == "kept" and not list((tmp_path / "directory").iterdir())
    with writing(tmp_path / "new" / "cup.json") as path:
        Cup(size_ml=1).save(path)
    assert Cup.load(path).size_ml == 1


def test_a_disk_that_fails_is_quoted(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"cannot write .*cup.json: No space left on device"),
        writing(tmp_path / "cup.json"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
