"""A zip is opened when Python sees in it what torch will see, and is refused in words otherwise."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from edgevit.checkpoint.archive import archive_of, is_zip, member_of
from edgevit.checkpoint.file import read_content
from edgevit.errors import CheckpointError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(3)}, path)
    return path


def test_what_torch_saved_is_opened(saved: Path) -> None:
    with saved.open("rb") as file:
        assert is_zip(file) and file.tell() == 0
        with archive_of(file, saved) as archive:
            info = next(info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
            with member_of(archive, info, saved) as member:
                assert member.read(2) == b"\x80\x02"


def test_the_end_of_a_large_zip_is_read(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of files beyond 4 GiB, which have a second end of the directory."""
    large = tmp_path / "large.pth"
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    with zipfile.ZipFile(saved) as small, zipfile.ZipFile(large, "w") as archive:
        for name in small.namelist():
            archive.writestr(name, small.read(name))
    data = large.read_bytes()
    assert data[-42:-38] == b"PK\x06\x07"
    assert torch.equal(read_content(large)["a"], torch.ones(3))  # type: ignore[index]
    for place in (-98, -98 + 48, -42 + 8):  # its mark, where the directory begins, where it stands itself
        damaged = bytearray(data)
        damaged[place] ^= 1
        large.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="no zip ends where it ends"):
            read_content(large)


@pytest.mark.parametrize("change", ["cut", "behind", "comment", "between", "short"])
def test_what_has_no_one_directory_is_refused(saved: Path, change: str) -> None:
    data = saved.read_bytes()
    changed = {
        "cut": data[:-1],
        "behind": data + b"\0",
        "comment": data[:-2] + b"\1\0x",
        "between": data[:-22] + b"\0" + data[-22:],
        "short": data[:10],
    }
    saved.write_bytes(changed[change])
    with pytest.raises(CheckpointError, match="truncated or not a checkpoint: no zip ends where it ends"):
        read_content(saved)


def test_a_member_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
    data = bytearray(path.read_bytes())
    data[30] ^= 1  # its name in front of it is another than in the directory
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="its zip is damaged: File name in directory"):
        read_content(path)
