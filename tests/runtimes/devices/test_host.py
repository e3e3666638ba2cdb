"""This machine as a device: what it does beyond the contract of all devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevit.errors import DeviceError
from runtimes.devices.host import HostDevice, attached, open_device


def test_it_is_its_only_kind() -> None:
    (entry,) = attached(None)
    assert (entry.serial, entry.kind, entry.is_usable) == ("host", "host", True)


def test_its_directory_is_private_and_may_be_named(tmp_path: Path) -> None:
    path = Path(open_device("host", None, str(tmp_path / "mine")).scratch_dir())
    assert path == tmp_path / "mine"
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_someone_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(DeviceError, match="belongs to someone else") as caught:
        HostDevice(tmp_path / "x").scratch_dir()
    assert "TMPDIR" in (caught.value.hint or "")


@pytest.mark.parametrize(("program", "rc", "words"), [("no-such", 127, "not found"), ("/etc/passwd", 126, "denied")])
def test_what_cannot_be_started_is_told_like_a_shell_does(program: str, rc: int, words: str) -> None:
    result = HostDevice().run([program])
    assert (result.rc, result.out) == (rc, "")
    assert words in result.err


def test_a_directory_that_cannot_be_written_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(DeviceError, match="cannot copy"):
        HostDevice().push(tmp_path / "a", "/proc/none/a")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_scratch_directory_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match=f"cannot make the directory .*{place}: ") as caught:
        HostDevice(tmp_path / place).scratch_dir()
    assert "--remote-dir" in str(caught.value.hint)
