"""Processes that change a device and are killed at every step, each followed by one that restores.

Run as ``python journal_killed.py DIRECTORY session|restore``: prints what each killed process left, as JSON. In an
interpreter of its own, because a process of the tests is large, and each kill takes a copy of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import runtimes.conditions.journal as journal_module
from runtimes.conditions.journal import Change, Journal, journal_path, leftover_journals, restore
from runtimes.devices.device import CommandResult
from runtimes.devices.host import HostDevice

SOURCES = tuple(f"{os.sep}{name}.py" for name in ("journal", "pathlib"))


class Knobs(HostDevice):
    """A device of files, each of which is set and read without a process: ``set NAME VALUE`` and ``get NAME``."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "scratch")
        self.root = root
        for name in ("one", "two"):
            (root / name).write_text("old")

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> CommandResult:
        if argv[0] == "set":
            (self.root / argv[1]).write_text(argv[2])
        elif argv[0] != "get":
            return super().run(argv, timeout_s)
        return CommandResult(rc=0, out=(self.root / argv[1]).read_text(), err="")

    def values(self) -> tuple[str, ...]:
        return tuple((self.root / name).read_text() for name in ("one", "two"))


def change(name: str) -> Change:
    return Change(
        key=name, apply=("set", name, "new"), undo=("set", name, "old"), check=("get", name), old="old", new="new"
    )


def session(knobs: Knobs) -> None:
    """What a session does with its journal from begin to end."""
    journal = Journal(knobs, restore_script=None)
    journal.open()
    journal.make(change("one"))
    journal.make(change("two"))
    journal.undo_all()
    journal.close()


def killed_at(moment: int, work: Callable[[], None]) -> bool:
    """Whether ``work``, in a process of its own, came to the call of a C function with that number, where it is killed.

    Every system call is behind one; only those that the journal itself makes are counted.
    """
    pid = os.fork()
    if pid == 0:
        calls = 0

        def count(frame: FrameType, event: str, _: object) -> None:
            nonlocal calls
            if event in ("c_call", "c_return") and frame.f_code.co_filename.endswith(SOURCES):
                calls += 1
                if calls == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def changed(knobs: Knobs) -> Journal:
    """A journal with both changes."""
    journal = Journal(knobs, restore_script=None)
    journal.open()
    journal.make(change("one"))
    journal.make(change("two"))
    return journal


def left_open(knobs: Knobs) -> None:
    """What a process leaves that died while it wrote a line."""
    with changed(knobs).path.open("ab") as file:
        file.write(b'{"head":null,"change":{"key":"half')


def main(directory: Path, what: str) -> None:
    """Kill at every call of a session, or of a restoration, until one comes to its end."""
    journal_module.identity_of = lambda device: "this one"
    knobs = Knobs(directory)
    work = {"session": session, "restore": restore}[what]
    left = []
    while True:
        if what == "restore":
            left_open(knobs)
        if not killed_at(len(left) + 1, lambda: work(knobs)):
            break
        found = (knobs.values(), journal_path("host").exists())
        restore(knobs)
        left.append((*found, knobs.values(), journal_path("host").exists() or leftover_journals() != ()))
    json.dump(left, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
