"""Label files as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.errors import UsageError
from edgevit.labels import read_labels


@pytest.mark.parametrize("content", ["cat\ndog\n", "cat\r\ndog", "\ufeffcat\ndog\n\n\n", " cat \ndog"])
def test_names_in_order(tmp_path: Path, content: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content.encode("utf-8"))
    assert read_labels(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "hold no names"),
        (b"\n \n", "hold no names"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_files_that_name_no_classes(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        read_labels(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read labels .*: No such file"):
        read_labels(tmp_path / "none.txt")
