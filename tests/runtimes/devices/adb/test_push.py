"""Pushes over ADB: verified on the device, never half, and refusals told with the next step."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig, after, names, why_not
from fault_daemon import FaultDaemon, Faults
from told_device import ToldDevice

from edgevit.errors import DeviceError, DeviceLostError
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.adb.push import refusal


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this user may make one."""
    path = tmp_path / "small disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


def test_cable_pulled_in_the_middle_of_a_push(adb_device: AdbDevice, adbd: Adbd, big: Path) -> None:
    target = adbd.root / "model.bin"
    with pytest.raises(DeviceLostError, match=r"lost|offline|not attached") as caught:
        adb_device.push(big, str(target), progress=after(1 << 20, adbd.pull_cable), timeout_s=5)
    assert "edgevit-export devices" in (caught.value.hint or "")
    assert not target.exists()
    adbd.start()
    adb_device.reconnect()
    assert adb_device.push(big, str(target))
    assert target.read_bytes() == big.read_bytes()
    assert names(adbd.root) == ["model.bin"]


def test_devices_without_a_hash_program_are_read_back(adb_rig: AdbRig, tmp_path: Path, big: Path) -> None:
    if why_not() is not None:
        pytest.skip(str(why_not()))
    daemon = Adbd(tmp_path / "bare")
    for name in ("sha256sum", "toybox", "busybox", "openssl", "shasum"):
        stub = tmp_path / "bare" / "bin" / name
        stub.write_text("#!/bin/sh\nexit 127\n")
        stub.chmod(0o755)
    try:
        adb_rig.connect(daemon.serial)
        device = AdbDevice(daemon.serial, adb_rig.server)
        assert device.push(big, str(daemon.root / "x"))
        assert (daemon.root / "x").read_bytes() == big.read_bytes()
        assert not device.push(big, str(daemon.root / "x"))
    finally:
        daemon.close()
        adb_rig.adb("disconnect", daemon.serial)


def test_a_disk_that_is_really_full(adb_device: AdbDevice, small_disk: Path, big: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 600_000)
    with pytest.raises(DeviceError, match=r"the disk of .* is full: .*/m could not be written") as caught:
        adb_device.push(big, str(small_disk / "m"))
    assert "free some space" in (caught.value.hint or "")
    assert names(small_disk) == ["other"]


def test_a_push_that_was_cut_is_done_again_in_full(faulty: Make, local: Path, remote: Path) -> None:
    daemon, device = faulty(Faults(drop_after_push_bytes=500_000))
    with pytest.raises(DeviceLostError):
        device.push(local, str(remote / "m"))
    assert names(remote) == ["m.part"]
    daemon.faults.drop_after_push_bytes = None
    device.reconnect()
    assert device.push(local, str(remote / "m"))
    assert names(remote) == ["m"]
    assert (remote / "m").read_bytes() == local.read_bytes()


@pytest.mark.parametrize("refused_at", [0, 700_000])
def test_a_full_disk(faulty: Make, local: Path, remote: Path, refused_at: int) -> None:
    faults = Faults(refuse_push="write failed: No space left on device", refuse_push_after_bytes=refused_at)
    _, device = faulty(faults)
    with pytest.raises(DeviceError, match=r"the disk of .* is full: .*MiB are free") as caught:
        device.push(local, str(remote / "m"))
    assert "--remote-dir" in (caught.value.hint or "")
    assert names(remote) == []


@pytest.mark.parametrize(
    "reason", ["couldn't create file: Read-only file system", "secure_mkdirs failed: Permission denied"]
)
def test_a_path_that_is_not_writable(faulty: Make, local: Path, remote: Path, reason: str) -> None:
    _, device = faulty(Faults(refuse_push=reason))
    with pytest.raises(DeviceError, match=reason) as caught:
        device.push(local, str(remote / "m"))
    assert "--remote-dir" in (caught.value.hint or "")


def test_a_refusal_without_a_word(faulty: Make, local: Path, remote: Path) -> None:
    _, device = faulty(Faults(refuse_push=""))
    with pytest.raises(DeviceError, match="no reason given"):
        device.push(local, str(remote / "m"))


def test_bytes_that_change_on_the_way(faulty: Make, local: Path, remote: Path) -> None:
    _, device = faulty(Faults(corrupt_push=True))
    (remote / "m").write_text("the good one")
    with pytest.raises(DeviceError, match=r"arrived on .* with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        device.push(local, str(remote / "m"))
    assert names(remote) == ["m"]
    assert (remote / "m").read_text() == "the good one"


@pytest.mark.parametrize(
    ("said", "room"),
    [
        ("/dev/x 100 50 51200 1% /data", " (50.0 MiB are free there)"),
        ("9" * 30_000 + "\tinf", ""),
        ("1" * 400 + " 1%", ""),
    ],
)
def test_free_space_is_read_from_any_answer_at_once(said: str, room: str) -> None:
    since = time.process_time()
    told = refusal(ToldDevice(said), "/data/x", "it said no").message
    assert told == f"/data/x could not be written on 8BC1: it said no{room}"
    assert time.process_time() - since < 1
