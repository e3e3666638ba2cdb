"""What crashed and cut-off runs left is brought back."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from adbd_rig import Adbd, AdbRig
from session_child import turn

import runtimes.conditions.restore as restore_module
from edgevit.errors import ArtifactError, DeviceError, DeviceLostError, EdgevitExportError
from runtimes.conditions.journal import Change, Journal, journal_path, leftover_journals, restore
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.restore import left_changed, restore_devices
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice
from runtimes.devices.select import list_devices

pytestmark = pytest.mark.usefixtures("state_dir")


def test_a_running_session_is_not_restored_away(child: subprocess.Popen[bytes], knob: Path) -> None:
    outcome = restore_devices(("host",))[0]
    assert outcome.problem is not None
    assert f"pid {child.pid}" in outcome.problem
    assert knob.read_text() == "new"
    child.send_signal(signal.SIGTERM)
    child.wait(15)
    assert restore_devices(("host",))[0].problem is None


def test_a_pulled_cable_keeps_the_journal(adb_device: AdbDevice, adb_rig: AdbRig, adbd: Adbd, knob: Path) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(adb_device) as session:
        session.make(turn(adb_device, knob))
        adbd.pull_cable()
    assert knob.read_text() == "new"
    gone = restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0]
    assert (gone.undone, gone.problem is None) == ((), False)
    adbd.start()
    back = restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0]
    assert (back.problem, back.undone) == (None, (knob.name,))
    assert knob.read_text() == "old value"
    assert restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0].undone == ()
    assert not (Path(adb_device.scratch_dir()) / "session").exists()


def test_a_pulled_cable_in_a_session_without_changes(
    adb_device: AdbDevice, adbd: Adbd, adb_rig: AdbRig, tmp_path: Path
) -> None:
    with pytest.raises(DeviceLostError), DeviceSession(adb_device):
        handle = adb_device.spawn_detached(["sleep", "600"], log=str(tmp_path / "log"))
        adbd.pull_cable()
        adb_device.run(["true"])
    adbd.start()
    assert [path for path, _ in leftover_journals()] == [journal_path(adbd.serial)]
    assert restore_devices((adbd.serial,), adb_server=str(adb_rig.server))[0].problem is None
    assert not adb_device.is_alive(handle)
    assert leftover_journals() == ()


def test_all_leftovers_are_restored_through_the_server_of_their_journal(
    adb_device: AdbDevice, adbd: Adbd, knob: Path, monkeypatch: pytest.MonkeyPatch, adb_rig: AdbRig
) -> None:
    journal = Journal(adb_device, restore_script=None)
    journal.open()
    journal.make(turn(adb_device, knob))
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:{adb_rig.server}")
    outcome = {each.serial: each for each in restore_devices()}
    assert outcome[adbd.serial].undone == (knob.name,)
    assert outcome[adbd.serial].problem is None


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    """This host as the only device, with changes of an earlier run."""
    only = [each for each in list_devices(None).devices if each.kind == "host"]
    monkeypatch.setattr(restore_module, "list_devices", lambda _: SimpleNamespace(devices=only))
    return HostDevice(tmp_path / "host scratch")


def left_open(device: HostDevice, *changes: Change) -> Path:
    journal = Journal(device, restore_script=None)
    journal.open()
    for change in changes:
        journal.make(change)
    return journal.path


def test_each_device_is_restored_once_where_its_journal_says_it_was(host: HostDevice, knob: Path) -> None:
    path = left_open(host, turn(host, knob), Change(key="second", apply=("true",), undo=("true",)))
    told: list[str] = []
    (outcome,) = restore_devices(report=told.append)
    assert (outcome.serial, outcome.undone, outcome.problem, outcome.hint) == (
        "host",
        ("second", knob.name),
        None,
        None,
    )
    assert told == ["second is undone", f"{knob.name} is 'old value' again"]
    assert (knob.read_text(), path.exists()) == ("old value", False)
    assert Path(host.scratch_dir()).is_dir()
    (nothing,) = restore_devices()
    assert (nothing.undone, nothing.problem) == ((), None)


def test_what_is_undone_is_told_even_if_not_all_is(host: HostDevice, knob: Path) -> None:
    stuck = Change(key="stuck", apply=("true",), undo=("false",))
    left_open(host, turn(host, knob), stuck)
    (outcome,) = restore_devices()
    assert outcome.undone == (knob.name,)
    assert outcome.problem is not None and "not restored on host: stuck" in outcome.problem
    assert outcome.hint == "edgevit-export devices --restore"


def test_an_unreadable_journal_keeps_no_other_device_from_being_restored(host: HostDevice, knob: Path) -> None:
    left_open(host, turn(host, knob))
    other = journal_path("192.168.0.5:5555")
    other.write_bytes(b'{"undone":"x"}\n')
    journal_path("crashed").write_bytes(b'{"head":{"ser')
    assert [each.serial for each in restore_devices(("gone", "absent"))] == ["gone", "absent"]
    broken, restored = restore_devices()
    assert (broken.serial, broken.undone, restored.problem) == ("192.168.0.5_5555", (), None)
    assert broken.problem is not None and "has no head" in broken.problem
    assert broken.hint == f"undo by hand what {other} names, then delete it"
    assert knob.read_text() == "old value"
    assert [(path, type(head)) for path, head in leftover_journals()] == [(other, ArtifactError)]


def test_a_device_whose_own_journal_is_unreadable_is_told_once(host: HostDevice) -> None:
    path = left_open(host)
    newer = path.read_bytes().replace(b'"schema_version":1', b'"schema_version":2')
    path.write_bytes(newer)
    (outcome,) = restore_devices()
    assert outcome.problem is not None and "line 1" in outcome.problem
    assert restore_devices(("host",))[0].problem == outcome.problem
    assert path.read_bytes() == newer
    path.write_bytes(b'{"head":{"ser')
    assert restore_devices()[0].problem is None
    assert not path.exists()


def test_one_that_cannot_be_reached_does_not_stop_the_next(
    host: HostDevice, knob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open(host, turn(host, knob))
    asked: list[tuple[str, str | None, str | None]] = []

    def select(serial: str, *, adb_server: str | None, remote_dir: str | None) -> HostDevice:
        asked.append((serial, adb_server, remote_dir))
        if serial == "gone":
            raise EdgevitExportError("no such device", hint="plug it in")
        return host

    monkeypatch.setattr(restore_module, "select_device", select)
    gone, back = restore_devices(("gone", "host"), adb_server="far:5037")
    assert (gone.problem, gone.hint, gone.undone) == ("no such device", "plug it in", ())
    assert (back.problem, back.undone) == (None, (knob.name,))
    assert asked == [("gone", "far:5037", None), ("host", "far:5037", host.scratch_dir())]


def test_an_adb_server_that_fails_keeps_no_journal_from_being_restored(
    host: HostDevice, knob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open(host, turn(host, knob))

    def failing(adb_server: str | None) -> None:
        raise DeviceError("the adb server did not start", hint="start it")

    monkeypatch.setattr(restore_module, "list_devices", failing)
    listing, restored = restore_devices()
    assert (listing.problem, listing.hint) == ("the adb server did not start", "start it")
    assert (restored.serial, restored.problem, knob.read_text()) == ("host", None, "old value")


def test_what_is_lost_for_good_says_what_is_still_changed(adb_device: AdbDevice, adbd: Adbd, knob: Path) -> None:
    told: list[str] = []
    said = f"still changed on it: {re.escape(knob.name)}"
    with pytest.raises(DeviceLostError, match=said) as caught, DeviceSession(adb_device, report=told.append) as session:
        session.make(turn(adb_device, knob))
        adbd.pull_cable()
    assert caught.value.hint == "edgevit-export devices --restore"
    assert left_changed() == {adbd.serial: f"an interrupted run left changed: {knob.name}"}
    adbd.start()
    adb_device.reconnect()
    with pytest.raises(ZeroDivisionError), DeviceSession(adb_device, report=told.append) as session:
        session.make(turn(adb_device, knob, "newer"))
        adbd.pull_cable()
        raise ZeroDivisionError
    assert "still changed on it" in told[-1] and "(hint: edgevit-export devices --restore)" in told[-1]
    adbd.start()
    adb_device.reconnect()
    assert restore_devices((adbd.serial,), adb_server=adb_device.adb_server)[0].undone == (knob.name,)


@pytest.mark.parametrize(
    ("old", "words"),
    [("null", "k is unset again, as it was"), ("", "k is unset again, as it was"), ("2", "k is '2' again")],
)
def test_a_setting_that_was_not_set_is_unset_again(device: Device, tmp_path: Path, old: str, words: str) -> None:
    value = tmp_path / "value"
    value.write_text(old)
    put = ("sh", "-c", 'printf %s "$2" >"$1"', "sh", str(value))
    told: list[str] = []
    journal = Journal(device, restore_script=None)
    journal.open()
    journal.make(Change(key="k", apply=(*put, "new"), undo=(*put, old), check=("cat", str(value)), old=old, new="new"))
    restore(device, told.append)
    assert (told, value.read_text()) == ([words], old)
