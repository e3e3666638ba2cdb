"""Changes to a device: written down before they are made, undone in reverse, each undo read back.

The journal is a file of this host, fsynced line by line, so that it outlives a crash of this program; the same undo
commands stand in ``restore.sh`` on the device, for the case that this host never comes back.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from edgevit.errors import ArtifactError, DeviceError, DeviceLostError, DeviceTimeoutError, RestoreError
from edgevit.names import file_name
from edgevit.records import Record, read_json
from edgevit.shell import command_line
from edgevit.temporary import to_disk
from edgevit.text import read_bytes
from runtimes.devices.device import Device, quote

Report = Callable[[str], None]
SETTLE_TRIES, SETTLE_S = 10, 0.2  # chosen, because a screen takes a moment to go on
UNDO_TIMEOUT_S = 10.0  # chosen, because a command that hangs must not keep the others from being undone
RESTORE_HINT = "edgevit-export devices --restore"
STATE_HINT = "set XDG_STATE_HOME to a directory that you may write to"


class Change(Record):
    """One thing to change, and all that is needed to undo it without this program.

    Attributes:
        key: What it is, for people: ``governor of policy0``.
        apply: Command that makes the change.
        undo: Command that brings the old value back.
        check: Command that prints the value; empty when the device has none, and exit codes must do.
        old: What ``check`` printed before.
        new: What ``check`` must print afterwards; None when any other value will do.
    """

    key: str
    apply: tuple[str, ...]
    undo: tuple[str, ...]
    check: tuple[str, ...] = ()
    old: str = ""
    new: str | None = None

    def __post_init__(self) -> None:
        """Refuse a change without a command."""
        if not self.apply or not self.undo:
            raise ArtifactError(f"a change of '{self.key}' without a command that makes it, or one that undoes it")


class JournalHead(Record):
    """Whose changes these are, and how to get there again.

    Attributes:
        serial: The device, as ``--device`` takes it.
        identity: What tells it from another one with this serial.
        adb_server: The server behind which it was.
        scratch_dir: This program's directory on it.
    """

    serial: str
    identity: str
    adb_server: str | None
    scratch_dir: str
    schema_version: Literal[1] = 1


class _Line(Record):
    """A line of the file: exactly one of the fields is set."""

    head: JournalHead | None = None
    change: Change | None = None
    undone: str | None = None


def state_home() -> Path:
    """The user's directory for this program's state: below ``$XDG_STATE_HOME``, or ``~/.local/state``.

    Raises:
        DeviceError: There is neither.
    """
    base = os.environ.get("XDG_STATE_HOME")
    if base:
        return Path(base) / "edgevit-export"
    try:
        return Path.home() / ".local" / "state" / "edgevit-export"
    except RuntimeError as error:  # a user without a name, as in many containers, and no HOME
        raise DeviceError(f"no place for what keeps devices safe: {error}", hint=STATE_HINT) from error


@contextmanager
def writing_state(path: Path) -> Iterator[None]:
    """Tell an ``OSError`` of the block as a file of this program's state that cannot be written.

    Raises:
        DeviceError: In its place; nothing is done to a device without it.
    """
    try:
        yield
    except OSError as error:
        raise DeviceError(
            f"cannot write {path}, which keeps devices safe: {error.strerror or error}",
            hint=f"free some space, or {STATE_HINT}",
        ) from error


def tell(report: Report | None, words: str) -> None:
    """Pass ``words`` on; a note that cannot be given must not keep a device from being brought back."""
    if report is not None:
        with suppress(Exception):
            report(words)


def identity_of(device: Device) -> str:
    """What tells this device from another one at the same address: its serial number, else the machine's id."""
    text = 's=$(getprop ro.serialno 2>/dev/null); echo "${s:-$(cat /etc/machine-id 2>/dev/null)}"'
    return device.script(text).out.strip()


class Journal:
    """The changes of one session on one device.

    Args:
        device: The device.
        restore_script: Path on the device of the copy; None to keep none there.
        changes: What is changed already, oldest first.
    """

    def __init__(self, device: Device, *, restore_script: str | None, changes: Sequence[Change] = ()) -> None:
        self.path = journal_path(device.serial)
        self._device = device
        self._restore_script = restore_script
        self._open = list(changes)

    def open(self) -> None:
        """Begin the file: from now on a crash is noticed at the next contact, even one before the first change.

        Raises:
            DeviceError: The file cannot be written.
        """
        head = JournalHead(
            serial=self._device.serial,
            identity=identity_of(self._device),
            adb_server=self._device.adb_server,
            scratch_dir=self._device.scratch_dir(),
        )
        with writing_state(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
        self._append(_Line(head=head))
        with writing_state(self.path):
            to_disk(self.path.parent)  # the file's name as well must outlive a crash of this host

    def make(self, change: Change) -> None:
        """Write a change down, make it, and read it back.

        Raises:
            DeviceError: The device did not take it; what it was is brought back at the end all the same. Or it cannot
                be written down, and is not made.
        """
        self._append(_Line(change=change))
        self._open.append(change)
        self._write_restore_script()
        problem = _apply(self._device, change)
        if problem is not None:
            if not change.check or undo(self._device, change) is None:
                self._append(_Line(undone=change.key))
                self._open.remove(change)
            raise DeviceError(f"{self._device.serial} did not take the change of {change.key}: {problem}")

    def undo_all(self, report: Report | None = None) -> None:
        """Undo everything, newest first; the file stays until ``close``.

        Raises:
            RestoreError: Something does not read as before; it stays in the journal.
            DeviceTimeoutError: An undo did not end in time; it stays in the journal, the others were tried.
            DeviceLostError: The device is gone; all that is left stays in the journal, and is named.
        """
        failed: list[str] = []
        kind: type[DeviceError] = RestoreError
        for change in reversed(self._open.copy()):
            try:
                problem = undo(self._device, change)
            except DeviceLostError as error:
                left = ", ".join(each.key for each in reversed(self._open))
                raise DeviceLostError(f"{error.message}; still changed on it: {left}", hint=RESTORE_HINT) from error
            except DeviceError as error:
                problem = error.message
                kind = DeviceTimeoutError if isinstance(error, DeviceTimeoutError) else kind
            if problem is None:
                with suppress(DeviceError):  # a full disk must not keep the rest changed; to undo twice is harmless
                    self._append(_Line(undone=change.key))
                self._open.remove(change)
                tell(report, _undone_in_words(change))
            else:
                failed.append(f"{change.key}: {problem} (by hand: {command_line(*change.undo)})")
        if failed:
            raise kind(f"not restored on {self._device.serial}: {'; '.join(failed)}", hint=RESTORE_HINT)

    def close(self) -> None:
        """Remove the file: nothing is left to be done on the device."""
        with writing_state(self.path):
            self.path.unlink(missing_ok=True)

    def _append(self, line: _Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        with writing_state(self.path), self.path.open("ab", buffering=0) as file:
            whole = file.seek(0, os.SEEK_END)
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)  # what is appended later must not join half a line
                raise

    def _write_restore_script(self) -> None:
        if self._restore_script is None:
            return
        lines = "".join(f"{quote(change.undo)}\n" for change in reversed(self._open))
        text = f'#!/system/bin/sh\n# Brings back what was changed on this device for a measurement: sh "$0"\n{lines}'
        result = self._device.script('printf %s "$2" >"$1.new" && mv -f "$1.new" "$1"', self._restore_script, text)
        if not result.ok:
            raise DeviceError(f"cannot write {self._restore_script} on {self._device.serial}: {result.complaint}")


def _apply(device: Device, change: Change) -> str | None:
    result = device.run(change.apply)
    if not result.ok or (not change.check and "failed" in (result.out + result.err).lower()):
        return result.complaint
    if not change.check or change.new is None:
        return None
    seen = _settled(device, change, change.new)
    return None if seen == change.new else f"it still reads '{seen}'"


def undo(device: Device, change: Change) -> str | None:
    """Undo one change; None when it reads as before, else what is wrong."""
    result = device.run(change.undo, UNDO_TIMEOUT_S)
    if not change.check:
        return None if result.ok else result.complaint
    seen = _settled(device, change, change.old)
    return None if seen == change.old else f"it reads '{seen}', and was '{change.old}'"


def _settled(device: Device, change: Change, wanted: str) -> str:
    """The value once it is as ``wanted``, or the last one read: a screen, for one, takes a moment."""
    for _ in range(SETTLE_TRIES):
        seen = device.run(change.check, UNDO_TIMEOUT_S).out.strip()
        if seen == wanted:
            break
        time.sleep(SETTLE_S)
    return seen


def _undone_in_words(change: Change) -> str:
    if not change.check:
        return f"{change.key} is undone"
    if change.old in ("", "null"):  # what Android's `settings get` prints where nothing is set
        return f"{change.key} is unset again, as it was"
    return f"{change.key} is '{change.old}' again"


def journal_path(serial: str) -> Path:
    """Where the journal of a device is kept."""
    return state_home() / "journal" / f"{file_name(serial)}.jsonl"


def read_journal(path: Path) -> tuple[JournalHead, tuple[Change, ...]]:
    """What a journal says is still changed, oldest first. A last line that a crash cut short counts for nothing.

    Raises:
        ArtifactError: The file is no journal.
    """
    head: JournalHead | None = None
    changes: list[Change] = []
    by_hand = f"undo by hand what {path} names, then delete it"
    for number, raw in enumerate(_whole_lines(path), 1):
        try:
            line = read_json(raw, _Line, what="line of a journal of changes", origin=f"{path}, line {number}")
        except ArtifactError as error:
            raise ArtifactError(error.message, hint=by_hand) from error
        head = line.head or head
        if line.change is not None:
            changes.append(line.change)
        changes = [change for change in changes if change.key != line.undone]
    if head is None:
        raise ArtifactError(f"{path} is not a journal of changes: it has no head", hint=by_hand)
    return head, tuple(changes)


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a journal; none where there is none. A change is only made when its whole line is on the disk.

    Raises:
        ArtifactError: It cannot be read.
    """
    if not os.path.lexists(path):
        return []
    try:
        return read_bytes(path, what="journal").split(b"\n")[:-1]
    except ArtifactError as error:
        raise ArtifactError(
            error.message, hint=f"see what {path} is; without it no change there can be undone"
        ) from error


def pending(serial: str) -> tuple[str, ...]:
    """What the journal of a device says is still changed on it, newest first.

    Raises:
        ArtifactError: The file is no journal.
    """
    path = journal_path(serial)
    return tuple(change.key for change in reversed(read_journal(path)[1])) if _whole_lines(path) else ()


def leftover_journals() -> tuple[tuple[Path, JournalHead | ArtifactError], ...]:
    """Journals that earlier runs left because they crashed or lost the device: their heads, or why one is unreadable.

    Files without a whole line are none: nothing had been changed.
    """
    found = ((path, _head_of(path)) for path in sorted((state_home() / "journal").glob("*.jsonl")))
    return tuple((path, head) for path, head in found if head is not None)


def _head_of(path: Path) -> JournalHead | ArtifactError | None:
    try:
        return read_journal(path)[0] if _whole_lines(path) else None
    except ArtifactError as error:
        return error


def restore(device: Device, report: Report | None = None) -> None:
    """Undo what an earlier run left changed on a device; for ``devices --restore`` and before each new session.

    Args:
        device: The device.
        report: Told of each value that is back.

    Raises:
        RestoreError: Something does not read as before, or the journal belongs to another device.
        DeviceLostError, DeviceTimeoutError: The device is gone (again).
    """
    path = journal_path(device.serial)
    lines = _whole_lines(path)
    if not lines:
        with writing_state(path):
            path.unlink(missing_ok=True)  # a crash before the first line was whole: nothing had been changed
        return
    head, changes = read_journal(path)
    with writing_state(path):  # what is appended below must not join a line that a crash cut short
        os.truncate(path, sum(len(line) + 1 for line in lines))
    if head.identity != (now := identity_of(device)):
        raise RestoreError(
            f"the journal of {device.serial} was written on another device ('{head.identity}', not '{now}')",
            hint=f"attach that device, or delete {path} if it is gone for good",
        )
    journal = Journal(device, restore_script=None, changes=changes)
    try:
        journal.undo_all(report)
        journal.close()
    except (DeviceLostError, DeviceTimeoutError) as error:
        raise type(error)(f"{error.message}; its journal is kept", hint=RESTORE_HINT) from error
