"""Bringing back what crashed or cut-off runs left on devices."""

from __future__ import annotations

from edgevit.errors import EdgevitExportError
from edgevit.names import file_name
from edgevit.records import Record
from runtimes.conditions.journal import (
    JournalHead,
    Report,
    journal_path,
    leftover_journals,
    read_journal,
)
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.select import list_devices, select_device


class Restored(Record):
    """What became of one device.

    Attributes:
        serial: The device.
        undone: What was brought back, newest change first.
        problem: Why not, or not all; None when the device is as it was found.
        hint: The next step after a problem.
    """

    serial: str
    undone: tuple[str, ...]
    problem: str | None = None
    hint: str | None = None


def restore_devices(
    requested: tuple[str, ...] = (), *, adb_server: str | None = None, report: Report | None = None
) -> tuple[Restored, ...]:
    """Bring devices back to what they were, from this host's journals and from what lies on the devices themselves.

    Args:
        requested: Serials; none for all usable devices, and all that have a journal here.
        adb_server: ``HOST:PORT``; None for the one in the journal, else the environment's.
        report: Told of each value that is back.

    Returns:
        One record per device; a device that fails does not keep the others from being restored.
    """
    left: dict[str, JournalHead] = {}
    unreadable: list[Restored] = []
    for path, head in leftover_journals():
        if isinstance(head, JournalHead):
            left[head.serial] = head
        elif not requested:
            hint = f"undo by hand what {path} names, then delete it"
            unreadable.append(Restored(serial=path.stem, undone=(), problem=head.message, hint=hint))
    serials = requested
    if not serials:
        attached = (each.serial for each in list_devices(adb_server).devices if each.is_usable)
        told = {each.serial for each in unreadable}
        serials = tuple(each for each in dict.fromkeys((*left, *attached)) if file_name(each) not in told)
    return (*unreadable, *(_restore_one(serial, left.get(serial), adb_server, report) for serial in serials))


def _restore_one(serial: str, head: JournalHead | None, adb_server: str | None, report: Report | None) -> Restored:
    before: tuple[str, ...] = ()
    try:
        before = _pending(serial)
        server = adb_server or (head.adb_server if head else None)
        with (
            select_device(serial, adb_server=server, remote_dir=head.scratch_dir if head else None) as device,
            DeviceSession(device, report=report),
        ):
            pass  # a session undoes all leftovers of this host on entering, and evicts stale ones of others
    except EdgevitExportError as error:
        left = _pending(serial) if before else ()
        undone = tuple(key for key in before if key not in left)
        return Restored(serial=serial, undone=undone, problem=error.message, hint=error.hint)
    return Restored(serial=serial, undone=before)


def _pending(serial: str) -> tuple[str, ...]:
    """What a serial's journal says is still changed, newest first."""
    path = journal_path(serial)
    if not path.exists() or b"\n" not in path.read_bytes():
        return ()
    return tuple(change.key for change in reversed(read_journal(path)[1]))
