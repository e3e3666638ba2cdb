"""A device behind AOSP's real daemon: lost, hung, unwilling, and back again."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig, after, names, why_not
from fault_daemon import FaultDaemon, Faults

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, UsageError
from runtimes.devices.adb.adb_device import AdbDevice

Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


def test_a_hung_daemon_is_a_passed_deadline(adb_device: AdbDevice, adbd: Adbd, big: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceTimeoutError):
        adb_device.push(big, str(adbd.root / "x"), progress=after(1 << 20, adbd.hang), timeout_s=0.5)
    with pytest.raises(DeviceTimeoutError, match="did not answer in time"):
        adb_device.run(["true"], timeout_s=0.5)
    with pytest.raises(DeviceTimeoutError):
        adb_device.pull(str(big), tmp_path / "y", timeout_s=0.5)
    adbd.wake()
    assert adb_device.run(["true"], timeout_s=5).ok


def test_a_lost_network_device_comes_back(adb_device: AdbDevice, adbd: Adbd) -> None:
    adbd.pull_cable()
    with pytest.raises(DeviceLostError):
        adb_device.run(["true"])
    with pytest.raises(DeviceLostError, match=r"did not come back within 0.5 s"):
        adb_device.reconnect(timeout_s=0.5)
    adbd.start()
    adb_device.reconnect()
    assert adb_device.run(["echo", "back"]).out == "back\n"


def test_an_unknown_serial_is_not_attached(adb_rig: AdbRig) -> None:
    with pytest.raises(DeviceLostError, match="nobody is not attached"):
        AdbDevice("nobody", adb_rig.server)


def test_an_unauthorised_device_says_what_to_do(adb_rig: AdbRig, tmp_path: Path) -> None:
    if why_not() is not None:
        pytest.skip(str(why_not()))
    daemon = Adbd(tmp_path / "secure", properties="ro.adb.secure=1")
    try:
        adb_rig.connect(daemon.serial, state="unauthorized")
        with pytest.raises(DeviceError, match="has not authorised this computer") as caught:
            AdbDevice(daemon.serial, adb_rig.server)
        assert "Allow USB debugging" in (caught.value.hint or "")
    finally:
        daemon.close()
        adb_rig.adb("disconnect", daemon.serial)


def test_a_relative_path_is_refused(adb_device: AdbDevice, adb_rig: AdbRig, big: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be absolute"):
        adb_device.push(big, "model.bin")
    with pytest.raises(UsageError, match="must be absolute"):
        adb_device.pull("model.bin", tmp_path / "x")
    with pytest.raises(UsageError, match="must be an absolute path"):
        AdbDevice(adb_device.serial, adb_rig.server, scratch="here")


def test_a_missing_local_file_is_a_wrong_request(adb_device: AdbDevice, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none"):
        adb_device.push(tmp_path / "none", "/tmp/none")


def test_the_scratch_directory_can_run_programs(adb_rig: AdbRig, adbd: Adbd) -> None:
    path = AdbDevice(adbd.serial, adb_rig.server).scratch_dir()
    assert path.startswith(("/data/local/tmp/edgevit-export", "/tmp/edgevit-export"))
    assert not [name for name in names(Path(path)) if name.startswith(".try")]


def test_a_scratch_directory_that_cannot_be(adb_rig: AdbRig, adbd: Adbd) -> None:
    with pytest.raises(DeviceError, match=r"no directory of .* tried /proc/none: .*/proc/none") as caught:
        AdbDevice(adbd.serial, adb_rig.server, scratch="/proc/none").scratch_dir()
    assert "--remote-dir" in (caught.value.hint or "")


def test_without_faults_it_is_a_device(faulty: Make, local: Path, remote: Path, tmp_path: Path) -> None:
    _, device = faulty(Faults())
    assert device.run(["sh", "-c", "echo out; echo err >&2; exit 7"]).rc == 7
    device.push(local, str(remote / "m"))
    device.pull(str(remote / "m"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


def test_a_device_that_is_gone_leaves_no_open_socket(adb_device: AdbDevice, adbd: Adbd, tmp_path: Path) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        adb_device.run(["true"])
        adbd.pull_cable()
        for _ in range(3):
            with pytest.raises(DeviceLostError):
                adb_device.run(["true"])
        with pytest.raises(DeviceLostError):
            adb_device.pull("/etc/hostname", tmp_path / "x")
        gc.collect()
    assert [str(each.message) for each in seen if issubclass(each.category, ResourceWarning)] == []
