"""Every file has a name that C++ takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevit.paths import utf8_path


def test_a_path_in_utf_8_is_itself(tmp_path: Path) -> None:
    with utf8_path(tmp_path / "größe.onnx") as name:
        assert name == str(tmp_path / "größe.onnx")


@pytest.mark.parametrize("raw", [b"mod\xe8le/m.onnx", b"d/mod\xe8le.onnx", b"mod\xe8le/m.onn\xe8"])
def test_other_paths_are_read_and_written_by_a_link(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / os.fsdecode(raw)
    path.parent.mkdir()
    with utf8_path(path) as name:
        assert name.encode().decode() == name
        Path(name).write_bytes(b"written")
        assert Path(name).suffix == (".onnx" if raw.endswith(b"x") else "")
    assert path.read_bytes() == b"written" and not path.is_symlink()
    with utf8_path(path) as name:
        assert Path(name).read_bytes() == b"written"
    assert not Path(name).exists() and path.exists()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_relative_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(b"\xe8.onnx"))
    path.write_bytes(b"here")
    with utf8_path(path) as name:
        assert Path(name).read_bytes() == b"here"
