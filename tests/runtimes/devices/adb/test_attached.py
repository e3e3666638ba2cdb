"""Devices that the adb server knows, or could know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig, free_port, why_not
from fault_daemon import FaultDaemon, Faults

from edgevit.errors import DeviceError
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.adb.attached import _entry
from runtimes.devices.select import list_devices, select_device

Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[AdbRig]:
    """A server that no other test's devices are attached to."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    (tmp_path / "rig").mkdir()
    found = AdbRig(tmp_path / "rig")
    yield found
    found.close()


def test_an_unauthorised_daemon(faulty: Make, adb_rig: AdbRig) -> None:
    with FaultDaemon(Faults(authorised=False)) as daemon:
        adb_rig.connect(daemon.serial, state="unauthorized")
        entry = next(each for each in list_devices(str(adb_rig.server)).devices if each.serial == daemon.serial)
        assert (entry.state, entry.is_usable) == ("unauthorized", False)
        with pytest.raises(DeviceError, match="it is unauthorized") as caught:
            select_device(daemon.serial, adb_server=str(adb_rig.server))
        assert "Allow USB debugging" in (caught.value.hint or "")
        adb_rig.adb("disconnect", daemon.serial)


def test_an_unknown_serial_names_the_choices(rig: AdbRig) -> None:
    daemon = rig.add()
    with pytest.raises(DeviceError, match="device 'R58M' is not attached") as caught:
        select_device("R58M", adb_server=str(rig.server))
    assert f"at {rig.server}; attached: {daemon.serial} (" in caught.value.message


def test_a_serial_in_a_hint_is_quoted() -> None:
    hint = _entry("a; $(b):5", "offline", None).hint
    assert hint is not None and "adb disconnect 'a; $(b):5', then adb connect 'a; $(b):5'" in hint


def test_network_devices_are_connected_on_demand(rig: AdbRig, tmp_path: Path) -> None:
    daemon = Adbd(tmp_path / "net")
    rig.daemons.append(daemon)
    with select_device(daemon.serial, adb_server=str(rig.server)) as device:
        assert device.run(["true"]).ok


def test_an_offline_network_device_is_connected_anew(rig: AdbRig) -> None:
    daemon = rig.add()
    daemon.pull_cable()
    daemon.start()
    with select_device(daemon.serial, adb_server=str(rig.server)) as device:
        assert device.run(["true"]).ok


def test_a_network_device_that_is_not_there(rig: AdbRig) -> None:
    with pytest.raises(DeviceError, match=r"cannot be connected|did not answer"):
        select_device(f"127.0.0.1:{free_port()}", adb_server=str(rig.server))
