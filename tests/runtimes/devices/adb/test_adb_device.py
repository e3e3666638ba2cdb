"""ADB against AOSP's real daemon: cables pulled at the worst moment, a hung daemon, an unwilling one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from adbd_rig import Adbd, AdbRig, names, why_not

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, MissingDependencyError, UsageError
from runtimes.devices.adb import server as adb_server
from runtimes.devices.adb.adb_device import AdbDevice, is_network_serial, parse_getprop
from runtimes.devices.adb.server import ServerAddress, connect_client, server_address
from runtimes.devices.device import Progress


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big $file.bin"
    path.write_bytes(os.urandom(1 << 20) * 16)
    return path


def after(done_bytes: int, act: object) -> Progress:
    """A progress callback that acts once, in the middle of the transfer."""
    acted = []

    def progress(_: str, done: int, total: int) -> None:
        if done > done_bytes and not acted and done < total:
            acted.append(True)
            assert callable(act)
            act()

    return progress


def test_features_and_state(adb_device: AdbDevice) -> None:
    assert "shell_v2" in adb_device.features()
    assert adb_device.state() == "device"
    assert adb_device.is_network


def test_properties_come_from_getprop(adb_device: AdbDevice, adbd: Adbd) -> None:
    (adbd.data / "getprop").write_text("[ro.product.model]: [Pixel $x]\n[empty]: []\n")
    assert adb_device.properties() == {"ro.product.model": "Pixel $x", "empty": ""}


def test_cable_pulled_in_the_middle_of_a_push(adb_device: AdbDevice, adbd: Adbd, big: Path) -> None:
    target = adbd.root / "model.bin"
    with pytest.raises(DeviceLostError, match=r"lost|offline|not attached") as caught:
        adb_device.push(big, str(target), progress=after(1 << 20, adbd.pull_cable), timeout_s=5)
    assert "edgevit-export devices" in (caught.value.hint or "")
    assert not target.exists()
    adbd.start()
    adb_device.reconnect()
    assert not adb_device.push(big, str(target)).skipped
    assert target.read_bytes() == big.read_bytes()
    assert names(adbd.root) == ["model.bin"]


def test_cable_pulled_in_the_middle_of_a_pull(adb_device: AdbDevice, adbd: Adbd, big: Path, tmp_path: Path) -> None:
    (tmp_path / "result").write_text("good")
    with pytest.raises(DeviceLostError):
        adb_device.pull(str(big), tmp_path / "result", progress=after(1 << 20, adbd.pull_cable), timeout_s=5)
    assert (tmp_path / "result").read_text() == "good"
    assert not list(tmp_path.glob(".result*"))


def test_cable_pulled_in_the_middle_of_a_run(adb_device: AdbDevice, adbd: Adbd) -> None:
    seen = []
    with pytest.raises(DeviceLostError, match="ended without an exit code"):
        for line in adb_device.stream(
            ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo tick $i; sleep 0.1; done"], heartbeat_s=5, timeout_s=20
        ):
            seen.append(line)
            if line == "tick 3":
                adbd.pull_cable()
    assert seen[:3] == ["tick 1", "tick 2", "tick 3"]
    assert "tick 9" not in seen


def test_a_hung_daemon_is_a_passed_deadline(adb_device: AdbDevice, adbd: Adbd, big: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceTimeoutError):
        adb_device.push(big, str(adbd.root / "x"), progress=after(1 << 20, adbd.hang), timeout_s=0.5)
    with pytest.raises(DeviceTimeoutError, match="did not answer in time"):
        adb_device.run(["true"], timeout_s=0.5)
    with pytest.raises(DeviceTimeoutError):
        adb_device.pull(str(big), tmp_path / "y", timeout_s=0.5)
    adbd.wake()
    assert adb_device.run(["true"], timeout_s=5).ok


def test_a_daemon_that_hangs_in_the_middle_of_a_run(adb_device: AdbDevice, adbd: Adbd) -> None:
    with pytest.raises(DeviceTimeoutError, match="was silent"):
        for _ in adb_device.stream(
            ["sh", "-c", "while :; do echo tick; sleep 0.05; done"], heartbeat_s=0.5, timeout_s=30
        ):
            adbd.hang()


def test_a_lost_network_device_comes_back(adb_device: AdbDevice, adbd: Adbd) -> None:
    adbd.pull_cable()
    with pytest.raises(DeviceLostError):
        adb_device.run(["true"])
    assert adb_device.state() != "device"
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


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_the_server_goes_away(tmp_path: Path) -> None:
    rig = AdbRig(tmp_path)
    try:
        device = AdbDevice(rig.add().serial, rig.server)
        rig.adb("kill-server")
        with pytest.raises(DeviceLostError, match=r"server at .* is gone"):
            device.run(["true"])
        with pytest.raises(DeviceLostError, match=r"server at .* is gone"):
            device.pull("/etc/passwd", tmp_path / "x")
    finally:
        rig.close()


@pytest.mark.skipif(why_not(daemon=False) is not None, reason=str(why_not(daemon=False)))
def test_a_local_server_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = AdbRig(tmp_path)
    try:
        rig.adb("kill-server")
        monkeypatch.setenv("HOME", str(rig.home))
        assert connect_client(rig.server).server_version() >= 40
    finally:
        rig.close()


def test_a_server_elsewhere_is_not_started() -> None:
    with pytest.raises(DeviceError, match=r"no adb server answers at localhost\.invalid:5037") as caught:
        connect_client(ServerAddress(host="localhost.invalid", port=5037))
    assert "nodaemon server" in (caught.value.hint or "")


def test_no_adb_program(monkeypatch: pytest.MonkeyPatch) -> None:
    import adbutils

    def missing() -> str:
        raise adbutils.AdbError("No adb exe could be found")

    monkeypatch.setattr(adbutils, "adb_path", missing)
    with pytest.raises(MissingDependencyError, match="no adb program") as caught:
        adb_server.adb_program()
    assert "apt install adb" in (caught.value.hint or "")


def test_an_adb_program_that_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="start-server' failed"):
        adb_server.start_server(ServerAddress(host="127.0.0.1", port=1))


def test_no_adbutils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb_server, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError) as caught:
        connect_client(ServerAddress(host="127.0.0.1", port=1))
    assert caught.value.hint == 'pip install "edgevit-export[adb]"'


@pytest.mark.parametrize(
    ("requested", "environ", "expected"),
    [
        (None, {}, "127.0.0.1:5037"),
        ("rack:5038", {"ANDROID_ADB_SERVER_PORT": "1"}, "rack:5038"),
        ("rack", {}, "rack:5037"),
        (":5039", {}, "127.0.0.1:5039"),
        ("[::1]:5040", {}, "::1:5040"),
        (None, {"ADB_SERVER_SOCKET": "tcp:rack:1"}, "rack:1"),
        (None, {"ADB_SERVER_SOCKET": "tcp:5041"}, "127.0.0.1:5041"),
        (None, {"ANDROID_ADB_SERVER_ADDRESS": "a", "ANDROID_ADB_SERVER_PORT": "2"}, "a:2"),
        (None, {"ANDROID_ADB_SERVER_HOST": "b"}, "b:5037"),
    ],
)
def test_server_addresses(requested: str | None, environ: dict[str, str], expected: str) -> None:
    assert str(server_address(requested, environ)) == expected


@pytest.mark.parametrize("text", ["a:b", "a:0", "a:65536", "a:1:2", " ", "rack:"])
def test_bad_server_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="--adb-server"):
        server_address(text, {})


def test_a_socket_that_is_no_tcp() -> None:
    with pytest.raises(UsageError, match="ADB_SERVER_SOCKET"):
        server_address(None, {"ADB_SERVER_SOCKET": "localfilesystem:/x"})


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


def test_a_path_that_is_too_long(adb_device: AdbDevice, big: Path) -> None:
    with pytest.raises(DeviceError):
        adb_device.push(big, "/tmp/" + "x" * 2000)


def test_the_scratch_directory_can_run_programs(adb_rig: AdbRig, adbd: Adbd) -> None:
    path = AdbDevice(adbd.serial, adb_rig.server).scratch_dir()
    assert path.startswith(("/data/local/tmp/edgevit-export", "/tmp/edgevit-export"))
    assert not [name for name in names(Path(path)) if name.startswith(".try")]


def test_a_scratch_directory_that_cannot_be(adb_rig: AdbRig, adbd: Adbd) -> None:
    with pytest.raises(DeviceError, match=r"no directory of .* tried /proc/none: .*/proc/none") as caught:
        AdbDevice(adbd.serial, adb_rig.server, scratch="/proc/none").scratch_dir()
    assert "--remote-dir" in (caught.value.hint or "")


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
        sent = device.push(big, str(daemon.root / "x"))
        assert (sent.skipped, sent.verified_by) == (False, "readback")
        assert device.push(big, str(daemon.root / "x")).skipped
    finally:
        daemon.close()
        adb_rig.adb("disconnect", daemon.serial)


@pytest.mark.parametrize(
    ("serial", "network"),
    [("R58M123", False), ("emulator-5554", False), ("10.0.0.1:5555", True), ("adb-X-y._adb-tls-connect._tcp", True)],
)
def test_network_serials(serial: str, network: bool) -> None:
    assert is_network_serial(serial) is network


def test_getprop_values_over_several_lines() -> None:
    assert parse_getprop("[a]: [1]\r\n[b]: [x\ny]\r\n[c]: [[]]\r\n") == {"a": "1", "b": "x\ny", "c": "[]"}


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


def test_a_disk_that_is_really_full(adb_device: AdbDevice, small_disk: Path, big: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 600_000)
    with pytest.raises(DeviceError, match=r"the disk of .* is full: .*/m could not be written") as caught:
        adb_device.push(big, str(small_disk / "m"))
    assert "free some space" in (caught.value.hint or "")
    assert names(small_disk) == ["other"]
