"""A journal that ends anywhere, a process that is killed anywhere, and two threads at once: nothing stays changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import journal_killed
import pytest
from journal_killed import Knobs, change

import runtimes.conditions.journal as journal_module
from edgevit.errors import ArtifactError, DeviceError
from runtimes.conditions.journal import (
    Journal,
    _Line,
    journal_path,
    leftover_journals,
    pending,
    read_journal,
    restore,
)
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.device import CommandResult

pytestmark = pytest.mark.usefixtures("state_dir")


@pytest.fixture
def knobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Knobs:
    monkeypatch.setattr(journal_module, "identity_of", lambda device: "this one")
    (tmp_path / "knobs").mkdir()
    return Knobs(tmp_path / "knobs")


def killed_at_every_call(knobs: Knobs, what: str) -> list[tuple[tuple[str, ...], bool]]:
    """What each killed process left, values and whether there was a journal; all is restored behind it."""
    done = subprocess.run(
        [sys.executable, journal_killed.__file__, knobs.root, what], check=True, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout)
    for moment, (*_, values, is_left) in enumerate(found, 1):
        assert (tuple(values), is_left) == (("old", "old"), False), f"killed at call {moment}"
    return [(tuple(values), is_there) for values, is_there, *_ in found]


def test_killed_before_and_after_every_call_nothing_stays_changed(knobs: Knobs) -> None:
    left = killed_at_every_call(knobs, "session")
    assert len(left) > 50
    assert set(left) >= {
        (("old", "old"), False), (("old", "old"), True), (("new", "old"), True), (("new", "new"), True),
        (("", "old"), True), (("new", ""), True)
    }, "every state was met, those of half a write too"  # fmt: skip


def test_killed_while_it_restores_the_next_one_does(knobs: Knobs) -> None:
    left = killed_at_every_call(knobs, "restore")
    assert len(left) > 20
    assert {(("new", "new"), True), (("new", "old"), True), (("old", "old"), True)} <= set(left)


def test_cut_at_any_byte_it_still_says_what_was_changed(knobs: Knobs) -> None:
    """A change is made once its line is whole, so whatever whole lines say may have been changed, and nothing else."""
    journal = Journal(knobs, restore_script=None)
    journal.open()
    journal.make(change("one"))
    journal.make(change("two"))
    journal._append(_Line(undone=change("two").key))
    whole = journal.path.read_bytes()
    for size in range(len(whole) + 1):
        for tail in (b"", b"\0" * 7):  # some file systems give back zeros after a crash of the host
            lines = whole[:size].count(b"\n")
            for name, line in (("one", 2), ("two", 3)):
                (knobs.root / name).write_text("new" if lines >= line and not (name == "two" and lines == 4) else "old")
            journal.path.write_bytes(whole[:size] + tail)
            assert pending("host") == {2: ("one",), 3: ("two", "one"), 4: ("one",)}.get(lines, ())
            restore(knobs)
            assert (knobs.values(), journal.path.exists()) == (("old", "old"), False), f"cut at byte {size}"


@pytest.mark.parametrize("kind", ["directory", "pipe", "link to nothing", "closed"])
def test_what_cannot_be_read_is_named_and_kept(knobs: Knobs, tmp_path: Path, kind: str) -> None:
    path = journal_path("host")
    path.parent.mkdir(parents=True)
    {
        "directory": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link to nothing": lambda: path.symlink_to(tmp_path / "nowhere"),
        "closed": lambda: path.symlink_to("/proc/1/mem"),
    }[kind]()
    with pytest.raises(ArtifactError, match=r"journal .*host\.jsonl") as caught:
        restore(knobs)
    assert caught.value.hint is not None and str(path) in caught.value.hint
    assert os.path.lexists(path)
    ((found, error),) = leftover_journals()
    assert found == path and isinstance(error, ArtifactError)


class Stepwise(Knobs):
    """Ends its session from another thread when the one that makes changes comes to a given command."""

    def __init__(self, root: Path, step: int) -> None:
        super().__init__(root)
        self.left, self.ended = step, threading.Event()
        self.ender: threading.Thread | None = None

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> CommandResult:
        if self.ender is not None and argv[0] in ("set", "get") and threading.current_thread() is not self.ender:
            self.left -= 1
            if self.left == 0:
                self.ender.start()
                self.ender.join(0.1)
                self.ended.set()
        return super().run(argv, timeout_s)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.usefixtures("knobs")
def test_a_change_and_the_end_of_its_session_wait_for_each_other(tmp_path: Path, step: int) -> None:
    """``end`` in another thread at every step of ``make``: the journal keeps its head, and nothing stays changed."""
    device = Stepwise(tmp_path / "knobs", step)
    with DeviceSession(device) as held:
        device.ender = threading.Thread(target=held.end)
        for name in ("one", "two"):
            with suppress(DeviceError):  # the second one, when the session has ended
                held.make(change(name))
        device.ender.join(30)
        assert device.ended.is_set()
    assert (device.values(), journal_path("host").exists()) == (("old", "old"), False)


def test_the_name_of_a_journal_is_on_the_disk_before_the_first_change(
    knobs: Knobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def recorded(number: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", recorded)
    journal = Journal(knobs, restore_script=None)
    journal.open()
    assert synced == [str(journal.path), str(journal.path.parent)]
    assert read_journal(journal.path)[1] == ()
