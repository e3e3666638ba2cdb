"""Whose a temporary file is: told by a lock, never by a number, and nobody's work is removed while it is used."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from pathlib import Path

import pytest
from number_space import ProcessOne, needs_number_space

import edgevit.temporary as temporary_module
from edgevit.records import atomic_path
from edgevit.temporary import (
    ABANDONED_S,
    exclusive,
    kernel_id,
    remove_abandoned,
    temporary_directory,
    temporary_file,
)

NOBODY = 65534


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def made_long_ago(path: Path, seconds: float = ABANDONED_S + 60) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment), follow_symlinks=False)


def of_kernel(kernel: str, ending: str, number: int = 0) -> str:
    return f".edgevit-{kernel}-{number:016x}.{ending}"


@needs_number_space
def test_two_processes_one_do_not_take_each_other_for_dead(tmp_path: Path) -> None:
    with ProcessOne("staging", tmp_path) as first, ProcessOne("record", tmp_path / "a.json", "text") as second:
        held = {first.said[1], second.said[1]}
        with ProcessOne("sweep", tmp_path) as third:
            third.go_on()
        remove_abandoned(tmp_path)
        assert names(tmp_path) == held
        assert (tmp_path / first.said[1] / "half.onnx").exists()
        first.kill()
        with ProcessOne("sweep", tmp_path) as third:
            third.go_on()
        assert names(tmp_path) == {second.said[1]}
        second.go_on()
    assert names(tmp_path) == {"a.json"}


@needs_number_space
def test_two_processes_one_write_one_file_and_one_of_them_wins_whole(tmp_path: Path) -> None:
    path, long, short = tmp_path / "record.json", "long " * 1000, "short"
    with ProcessOne("record", path, long) as first, ProcessOne("record", path, short) as second:
        assert first.said[1] != second.said[1]
        second.go_on()
        assert path.read_text() == short
        first.go_on()
    assert path.read_text() == long
    assert names(tmp_path) == {"record.json"}


@needs_number_space
def test_what_is_exclusive_is_so_for_other_processes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".busy"
    monkeypatch.setattr(temporary_module, "EXCLUSIVE_S", 0.1)
    with ProcessOne("exclusive", path) as first:
        with pytest.raises(TimeoutError, match=rf"another process has held {re.escape(str(path))} for 0 s"):
            exclusive(path).__enter__()
        assert path.exists()
        first.kill()
    assert path.exists(), "a process that was killed leaves it"
    with exclusive(path):
        assert path.exists()
    assert not path.exists()


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    path, order, inside = tmp_path / ".busy", [], threading.Event()

    def second() -> None:
        with exclusive(path):
            order.append("second")

    with exclusive(path):
        thread = threading.Thread(target=lambda: (inside.set(), second()))
        thread.start()
        assert inside.wait(10)
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert not path.exists()


def test_what_two_threads_write_is_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert path.read_text() == "first", "the one that ended last"


@pytest.mark.parametrize("make", [temporary_file, temporary_directory])
def test_a_name_that_is_swept_before_its_lock_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: type
) -> None:
    """Between making and locking, another process finds it without a lock, takes it for abandoned and removes it."""
    real, swept = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(names(tmp_path))
            remove_abandoned(tmp_path)
            assert names(tmp_path) == set()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with make(tmp_path) as path:
        assert len(swept) == 1 and path.exists() and path.name not in swept
        remove_abandoned(tmp_path)
        assert path.exists()
    assert names(tmp_path) == set()


def test_a_directory_without_a_lock_is_swept_before_it_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, swept = os.open, []

    def opened(path: Path, flags: int, mode: int = 0o777, **at: int) -> int:
        if not swept and Path(path).name == "lock":
            swept.append(Path(path).parent.name)
            remove_abandoned(tmp_path)
            assert names(tmp_path) == set()
        return real(path, flags, mode, **at)

    monkeypatch.setattr(os, "open", opened)
    with temporary_directory(tmp_path) as path:
        assert path.exists() and path.name not in swept
    assert names(tmp_path) == set()


def test_what_another_kernel_made_is_kept_until_it_is_old(tmp_path: Path) -> None:
    """Its lock may not be seen here: a network directory, or a machine that was started anew."""
    ours, other = kernel_id(), "0" * 8
    assert other != ours
    kept = {of_kernel(other, "staging"), of_kernel(other, "partial.json"), ".staging-17-abc", "mine", ".staging-abc"}
    for name in kept:
        (tmp_path / name).mkdir() if "staging" in name else (tmp_path / name).touch()
    for name in (of_kernel(ours, "staging"), of_kernel(other, "staging", 1), ".staging-18-abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half.onnx").touch()
    for name in (of_kernel(ours, "partial.json"), of_kernel(other, "partial", 1), ".model.17.partial.npz"):
        (tmp_path / name).touch()
    for name in (
        of_kernel(other, "staging", 1),
        ".staging-18-abc",
        of_kernel(other, "partial", 1),
        ".model.17.partial.npz",
    ):
        made_long_ago(tmp_path / name)
    for name in ("mine", ".staging-abc"):
        made_long_ago(tmp_path / name)
    remove_abandoned(tmp_path)
    assert names(tmp_path) == kept
    remove_abandoned(tmp_path / "nothing")


def test_what_is_held_is_kept_however_old(tmp_path: Path) -> None:
    with temporary_directory(tmp_path) as place, temporary_file(tmp_path, ".json") as file:
        for path in (place, place / "lock", file):
            made_long_ago(path)
        remove_abandoned(tmp_path)
        assert place.exists() and file.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_only_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with temporary_directory(tmp_path) as place, temporary_file(tmp_path) as file, exclusive(tmp_path / ".busy"):
        remove_abandoned(tmp_path)
        assert place.exists() and file.exists()
    for ending in ("staging", "partial"):
        (tmp_path / of_kernel(kernel_id(), ending)).touch()
    made_long_ago(tmp_path / of_kernel(kernel_id(), "partial"))
    remove_abandoned(tmp_path)
    assert names(tmp_path) == {of_kernel(kernel_id(), "staging")}


def test_a_lock_that_fails_otherwise_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"):
        temporary_directory(tmp_path).__enter__()
    assert names(tmp_path) == set()


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("kept")
    (tmp_path / of_kernel(kernel_id(), "partial")).symlink_to("mine")
    (tmp_path / of_kernel(kernel_id(), "staging")).symlink_to("home")
    remove_abandoned(tmp_path)
    assert (tmp_path / "mine").read_text() == (tmp_path / "home" / "letter").read_text() == "kept"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_what_another_user_holds_or_left_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.chdir(tmp_path)  # the directories above may be closed to the other user
    left = tmp_path / of_kernel(kernel_id(), "partial")
    left.touch(mode=0o600)
    with temporary_directory(tmp_path) as place:
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            remove_abandoned(Path())
        finally:
            os.setresuid(0, 0, 0)
        assert place.exists() and left.exists()


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    for make in (temporary_file, temporary_directory, lambda path: exclusive(path / ".busy")):
        with pytest.raises(FileNotFoundError):
            make(tmp_path / "gone").__enter__()


def test_a_directory_that_goes_meanwhile_hides_no_error(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(ZeroDivisionError), temporary_file(place) as file:
        file.unlink()
        place.rmdir()
        raise ZeroDivisionError
