"""Wheels, AARs and directories: members by name, and nothing hostile taken out."""

from __future__ import annotations

import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from edgevit.errors import ArtifactError, FailureError, UsageError
from runtimes.runners.native import archives
from runtimes.runners.native.archives import open_archive


def wheel(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_members_are_taken_out_to_the_place_that_is_asked_for(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a.whl", **{"../../up.so": b"up", "/etc/x.so": b"root", "a/METADATA": b"Version: 1\n"})
    with open_archive(path) as archive:
        assert archive.members == ("../../up.so", "/etc/x.so", "a/METADATA")
        archive.extract("../../up.so", tmp_path / "mine")
        assert archive.text("a/METADATA") == "Version: 1\n"
        with pytest.raises(UsageError, match=r"cannot write .*mine: File exists"):
            archive.extract("/etc/x.so", tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == b"up"
    assert not (tmp_path.parent.parent / "up.so").exists()


def test_directories_are_read_as_what_was_in_the_wheel(tmp_path: Path) -> None:
    for name in ("a/capi/liba.so.1", "a-1.dist-info/METADATA", "a/model.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with open_archive(tmp_path) as archive:
        assert archive.members == ("a-1.dist-info/METADATA", "a/capi/liba.so.1")
        archive.extract("a/capi/liba.so.1", tmp_path / "mine")
        assert archive.text("a-1.dist-info/METADATA") == "a-1.dist-info/METADATA"
    assert (tmp_path / "mine").read_text() == "a/capi/liba.so.1"


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "a.whl").write_text("a")
    os.mkfifo(tmp_path / "pipe.whl")
    for name, kind, words in (
        ("a.txt", UsageError, "no wheel"), ("missing.whl", UsageError, "does not exist"),
        ("a.whl", ArtifactError, "no zip"), ("pipe.whl", ArtifactError, "a pipe"),
    ):  # fmt: skip
        with pytest.raises(kind, match=words), open_archive(tmp_path / name):
            raise AssertionError


def test_links_bombs_and_twins_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("link.so")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.so", bytes(2**24))
        archive.writestr("large.so", os.urandom(2000))
    monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 2**25)
    with open_archive(tmp_path / "a.whl") as opened:
        with pytest.raises(ArtifactError, match=r"'link.so' in .* is a link"):
            opened.extract("link.so", tmp_path / "x")
        with pytest.raises(ArtifactError, match=r"would inflate from .* to 16,777,216 bytes"):
            opened.extract("bomb.so", tmp_path / "x")
        monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 1000)
        with pytest.raises(ArtifactError, match="would inflate"):
            opened.extract("large.so", tmp_path / "x")
        monkeypatch.setattr(archives, "MOST_TEXT_BYTES", 1000)
        with pytest.raises(ArtifactError, match="would inflate"):
            opened.text("large.so")
    assert not (tmp_path / "x").exists()
    with zipfile.ZipFile(tmp_path / "b.whl", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.so", "1")
        archive.writestr("a.so", "2")
    with pytest.raises(ArtifactError, match="two members of one name"), open_archive(tmp_path / "b.whl"):
        raise AssertionError
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(ArtifactError, match="has 3 members"), open_archive(tmp_path / "a.whl"):
        raise AssertionError


def test_a_member_that_does_not_fit_its_checksum_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a.whl", **{"a.so": b"library" * 100, "METADATA": b"Version: 1\n" * 9})
    data = bytearray(path.read_bytes())
    for at in (at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02"):
        struct.pack_into("<I", data, at + 16, 7)  # the checksum in the directory
    path.write_bytes(data)
    with open_archive(path) as archive:
        with pytest.raises(ArtifactError, match=r"truncated or no zip: .*CRC"):
            archive.extract("a.so", tmp_path / "x")
        with pytest.raises(ArtifactError, match=r"truncated or no zip: .*CRC"):
            archive.text("METADATA")


def test_a_directory_of_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    for number in range(3):
        (tmp_path / f"{number}.so").write_text("")
    with pytest.raises(UsageError, match="more than 2 libraries"), open_archive(tmp_path):
        raise AssertionError


def test_other_methods_than_deflate_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.so", b"library")
    with (
        open_archive(tmp_path / "a.whl") as opened,
        pytest.raises(ArtifactError, match="packed by method 14, expected deflate"),
    ):
        opened.extract("a.so", tmp_path / "x")


def test_members_without_a_name_are_none(tmp_path: Path) -> None:
    data = wheel(tmp_path / "a.whl", a=b"library", b=b"other").read_bytes()
    at = data.rindex(b"PK\x01\x02")
    changed = bytearray(data)
    struct.pack_into("<HH", changed, at + 28, 0, 1)  # its name has no bytes, what follows is an extra field
    (tmp_path / "b.whl").write_bytes(changed)
    with open_archive(tmp_path / "b.whl") as opened:
        assert opened.members == ("a",)


def test_a_member_that_hides_its_size_takes_no_memory(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a.whl", METADATA=bytes(2**26))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 100)  # what it says that it inflates to
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with open_archive(path) as archive, pytest.raises(ArtifactError, match="truncated or no zip"):
            archive.text("METADATA")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**23


def test_a_full_disk_is_not_told_as_a_damaged_archive(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    path = wheel(tmp_path / "a.whl", a=b"library")
    target = tmp_path / "full"

    class Full(type(target)):  # type: ignore[misc]  # the class of this system's paths
        def open(self, *_: object, **__: object) -> object:
            return Path("/dev/full").open("wb")

    for source in (path, tmp_path):
        (tmp_path / "a.so").write_bytes(b"library")
        with open_archive(source) as archive, pytest.raises(FailureError, match="No space left on device"):
            archive.extract("a" if source == path else "a.so", Full(target))
