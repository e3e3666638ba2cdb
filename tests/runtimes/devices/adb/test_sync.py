"""ADB's file service when the other side goes away, hangs, or answers nonsense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fault_daemon import FaultDaemon, Faults

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.adb.sync import SyncChannel

Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


def test_a_path_that_is_too_long(adb_device: AdbDevice, big: Path) -> None:
    with pytest.raises(DeviceError):
        adb_device.push(big, "/tmp/" + "x" * 2000)


def test_a_pull_that_was_cut_keeps_the_good_file(faulty: Make, local: Path, tmp_path: Path) -> None:
    _, device = faulty(Faults(drop_after_pull_bytes=500_000))
    (tmp_path / "back").write_text("good")
    with pytest.raises(DeviceLostError):
        device.pull(str(local), tmp_path / "back")
    assert (tmp_path / "back").read_text() == "good"
    assert not list(tmp_path.glob(".back*"))


@pytest.mark.parametrize("fault", ["hang_after_push_bytes", "hang_after_pull_bytes"])
def test_a_hung_transfer(faulty: Make, local: Path, remote: Path, tmp_path: Path, fault: str) -> None:
    daemon, device = faulty(Faults())
    setattr(daemon.faults, fault, 100_000)
    with pytest.raises(DeviceTimeoutError, match="did not answer in time"):
        if "push" in fault:
            device.push(local, str(remote / "m"), timeout_s=0.5)
        else:
            device.pull(str(local), tmp_path / "back", timeout_s=0.5)
    assert not (remote / "m").exists()
    assert not (tmp_path / "back").exists()
    assert device.run(["true"]).ok


def test_garbage_from_the_file_service(faulty: Make, local: Path, remote: Path, tmp_path: Path) -> None:
    _, device = faulty(Faults(garbage_in_sync=True))
    with pytest.raises(DeviceError, match="answered nonsense"):
        device.push(local, str(remote / "m"))
    with pytest.raises(DeviceError, match="answered nonsense"):
        device.pull(str(local), tmp_path / "back")
    assert not (tmp_path / "back").exists()


class Service:
    """The daemon's side of a file service: what it sends, over and over."""

    def __init__(self, answer: bytes) -> None:
        self.conn, self._answer, self.sent = self, answer, 0

    def sendall(self, data: bytes) -> None:
        pass

    def read_exact(self, size: int) -> bytes:
        self.sent += size
        start = (self.sent - size) % len(self._answer)
        return (self._answer * (2 + size // len(self._answer)))[start : start + size]


@pytest.mark.parametrize("size", [1, 1 << 16])
def test_a_file_that_never_ends_is_cut_off(size: int) -> None:
    service = Service(b"DATA" + size.to_bytes(4, "little") + bytes(size))
    channel = SyncChannel(service, "8BC1")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="/f came from 8BC1 with more than 100,000 bytes"):
        sum(len(chunk) for chunk in channel.receive("/f", 100_000))
    assert service.sent < 100_000 + size + 8 * (2 + 100_000 // size)


def test_a_piece_of_4_gb_is_nonsense() -> None:
    channel = SyncChannel(Service(b"DATA\xff\xff\xff\xff"), "8BC1")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="answered nonsense while a file was transferred"):
        next(channel.receive("/f", 100_000))
