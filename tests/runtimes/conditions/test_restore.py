"""What crashed and cut-off runs left is brought back."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig
from session_child import turn

from edgevit.errors import DeviceLostError
from runtimes.conditions.journal import Journal, leftover_journals
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.restore import restore_devices
from runtimes.devices.adb.adb_device import AdbDevice

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
    assert [head.serial for _, head in leftover_journals()] == [adbd.serial]
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
