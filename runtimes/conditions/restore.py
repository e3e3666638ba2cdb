"""Bringing back what crashed or cut-off runs left on devices."""

from __future__ import annotations

from edgevit.errors import ArtifactError, EdgevitExportError
from edgevit.names import file_name
from edgevit.records import Record
from runtimes.conditions.journal import (
    JournalHead,
    Report,
    leftover_journals,
    pending,
)
from runtimes.conditions.lease import DeviceSession, is_in_use
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
            unreadable.append(Restored(serial=path.stem, undone=(), problem=head.message, hint=head.hint))
    serials = requested
    if not serials:
        attached: tuple[str, ...] = ()
        try:
            attached = tuple(each.serial for each in list_devices(adb_server).devices if each.is_usable)
        except EdgevitExportError as error:  # those with a journal may be behind another server, or be this host
            unreadable.append(Restored(serial="attached devices", undone=(), problem=error.message, hint=error.hint))
        told = {each.serial for each in unreadable}
        serials = tuple(each for each in dict.fromkeys((*left, *attached)) if file_name(each) not in told)
    return (*unreadable, *(_restore_one(serial, left.get(serial), adb_server, report) for serial in serials))


def _restore_one(serial: str, head: JournalHead | None, adb_server: str | None, report: Report | None) -> Restored:
    before: tuple[str, ...] = ()
    try:
        before = pending(serial)
        server = adb_server or (head.adb_server if head else None)
        with (
            select_device(serial, adb_server=server, remote_dir=head.scratch_dir if head else None) as device,
            DeviceSession(device, report=report),
        ):
            pass  # a session undoes all leftovers of this host on entering, and evicts stale ones of others
    except EdgevitExportError as error:
        left = pending(serial) if before else ()
        undone = tuple(key for key in before if key not in left)
        return Restored(serial=serial, undone=undone, problem=error.message, hint=error.hint)
    return Restored(serial=serial, undone=before)


def left_changed() -> dict[str, str]:
    """What interrupted runs left changed, in words, by serial; devices that a run has just now are left out."""
    found: dict[str, str] = {}
    for path, head in leftover_journals():
        serial = head.serial if isinstance(head, JournalHead) else path.stem
        if is_in_use(serial):
            continue
        keys = () if isinstance(head, ArtifactError) else pending(serial)
        if keys:
            found[serial] = f"an interrupted run left changed: {', '.join(keys)}"
        else:
            why = head.message if isinstance(head, ArtifactError) else "it may still run there"
            found[serial] = f"a run was interrupted: {why}"
    return found
