"""The real adb server and daemons for the tests of devices."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig, why_not
from fault_daemon import FaultDaemon, Faults

from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice


@pytest.fixture(scope="session")
def adb_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbRig]:
    """An adb server apart from all others."""
    reason = why_not(daemon=False)
    if reason is not None:
        pytest.skip(reason)
    rig = AdbRig(tmp_path_factory.mktemp("adb"))
    yield rig
    rig.close()


@pytest.fixture
def adbd(adb_rig: AdbRig, tmp_path: Path) -> Iterator[Adbd]:
    """A real daemon, connected; it may be killed, stopped and started again."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    daemon = Adbd(tmp_path / "adbd")
    adb_rig.connect(daemon.serial)
    yield daemon
    daemon.close()
    adb_rig.adb("disconnect", daemon.serial)


@pytest.fixture
def adb_device(adb_rig: AdbRig, adbd: Adbd) -> AdbDevice:
    """The real daemon as a device."""
    return AdbDevice(adbd.serial, adb_rig.server, scratch=str(adbd.root / "scratch dir"))


@pytest.fixture(params=["host", "adb"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    """This host, and the real daemon: what every device must do alike."""
    if request.param == "host":
        return HostDevice(tmp_path / "host scratch")
    found = request.getfixturevalue("adb_device")
    assert isinstance(found, Device)
    return found


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals, locks and temporary files of this test alone."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def faulty(adb_rig: AdbRig, tmp_path: Path) -> Iterator[Callable[[Faults], tuple[FaultDaemon, AdbDevice]]]:
    """Make a daemon that goes wrong, and the device behind it; faults that would prevent connecting come later."""
    daemons: list[FaultDaemon] = []

    def make(faults: Faults) -> tuple[FaultDaemon, AdbDevice]:
        daemon = FaultDaemon(faults)
        daemon.__enter__()
        daemons.append(daemon)
        adb_rig.connect(daemon.serial)
        return daemon, AdbDevice(daemon.serial, adb_rig.server, scratch=str(tmp_path / "faulty scratch"))

    yield make
    for daemon in daemons:
        adb_rig.adb("disconnect", daemon.serial)
        daemon.__exit__()
