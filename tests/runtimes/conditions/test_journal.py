"""Changes are written down first, undone in reverse, and each undo is read back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from adbd_rig import Adbd
from session_child import WRITE, turn

from edgevit.errors import ArtifactError, DeviceError, RestoreError
from runtimes.conditions.journal import Journal, journal_path, leftover_journals, read_journal, restore
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device

pytestmark = pytest.mark.usefixtures("state_dir")


def test_changes_are_undone_newest_first(device: Device, knob: Path) -> None:
    with DeviceSession(device) as session:
        session.make(turn(device, knob, "one"))
        session.make(msgspec.structs.replace(turn(device, knob, "two"), key="second"))
    assert knob.read_text() == "old value"


def test_the_journal_is_written_before_the_change(device: Device, knob: Path) -> None:
    seen: list[str] = []
    run = device.run

    def spy(argv: list[str], timeout_s: float = 30.0) -> object:
        if argv[:3] == ["sh", "-c", WRITE] or tuple(argv[:3]) == ("sh", "-c", WRITE):
            seen.append(f"{len(read_journal(journal_path(device.serial))[1])} journalled, {knob.read_text()}")
        return run(argv, timeout_s)

    with DeviceSession(device) as session:
        change = turn(device, knob)
        device.run = spy  # type: ignore[method-assign,assignment]
        session.make(change)
        script = Path(device.scratch_dir()) / "session" / "restore.sh"
        assert str(knob).replace("'", "'\"'\"'") in script.read_text()
    assert seen[0] == "1 journalled, old value"


def test_a_change_that_is_not_taken(device: Device, knob: Path) -> None:
    change = msgspec.structs.replace(turn(device, knob), apply=("true",))
    with DeviceSession(device) as session, pytest.raises(DeviceError, match=r"did not take .* still reads 'old value'"):
        session.make(change)
    assert not journal_path(device.serial).exists()


def test_an_undo_that_fails_is_told_and_kept(device: Device, knob: Path) -> None:
    change = msgspec.structs.replace(turn(device, knob), undo=("true",))
    reason = r"reads 'new', and was 'old value' \(by hand: true\)"
    with pytest.raises(RestoreError, match=reason) as caught, DeviceSession(device) as session:
        session.make(change)
    assert caught.value.hint == "edgevit-export devices --restore"
    assert [each.key for each in read_journal(journal_path(device.serial))[1]] == [knob.name]
    assert [head.serial for _, head in leftover_journals()] == [device.serial]


def test_another_device_at_the_same_address_is_left_alone(adb_device: AdbDevice, adbd: Adbd, knob: Path) -> None:
    (adbd.data / "getprop").write_text("[ro.serialno]: [FIRST]\n")
    journal = Journal(adb_device, restore_script=None)
    journal.open()
    journal.make(turn(adb_device, knob))
    (adbd.data / "getprop").write_text("[ro.serialno]: [SECOND]\n")
    with pytest.raises(RestoreError, match=r"another device \('FIRST', not 'SECOND'\)"):
        restore(adb_device)
    assert knob.read_text() == "new"


def test_a_journal_that_a_crash_cut_short(device: Device, knob: Path) -> None:
    journal = Journal(device, restore_script=None)
    journal.open()
    journal.make(turn(device, knob))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"head":null,"change":{"key":"half')
    told: list[str] = []
    restore(device, told.append)
    assert told == [f"{knob.name} is 'old value' again"]
    assert knob.read_text() == "old value"
    journal.path.write_bytes(b'{"head":{"ser')
    restore(device)
    assert not journal.path.exists()


def test_a_file_that_is_no_journal(device: Device) -> None:
    path = journal_path(device.serial)
    path.parent.mkdir(parents=True)
    path.write_text('{"what": 1}\n')
    with pytest.raises(ArtifactError, match="line 1"):
        restore(device)
    assert path.exists()


def test_the_script_on_the_device_undoes_without_us(device: Device, knob: Path) -> None:
    with DeviceSession(device) as session:
        session.make(turn(device, knob, "it's $new"))
        device.run(["sh", f"{device.scratch_dir()}/session/restore.sh"])
        assert knob.read_text() == "old value"
