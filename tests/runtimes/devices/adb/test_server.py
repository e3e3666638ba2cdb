"""The adb server: where it is, whether it is started, and what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from adbd_rig import AdbRig, why_not

from edgevit.errors import DeviceError, DeviceLostError, MissingDependencyError, UsageError
from edgevit.installation import install_extra
from runtimes.devices.adb import server as adb_server
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.adb.server import ServerAddress, connect_client, server_address


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
        adb_server.start_server(ServerAddress(host="127.0.0.1", port=1))
    assert "apt install adb" in (caught.value.hint or "")


def test_an_adb_program_that_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="start-server' failed"):
        adb_server.start_server(ServerAddress(host="127.0.0.1", port=1))


def test_no_adbutils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb_server, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError) as caught:
        connect_client(ServerAddress(host="127.0.0.1", port=1))
    assert caught.value.hint == install_extra("adb")


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
def test_server_addresses(
    monkeypatch: pytest.MonkeyPatch, requested: str | None, environ: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(os, "environ", environ)
    assert str(server_address(requested)) == expected


@pytest.mark.parametrize(
    "text",
    ["a:b", "a:0", "a:65536", "a:1:2", " ", "rack:", "a:²", "a:٣", "a:" + "9" * 5000, "\udc80:1", "x" * 70 + ":1"],
)
def test_bad_server_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="--adb-server"):
        server_address(text)


def test_a_socket_that_is_no_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", "localfilesystem:/x")
    with pytest.raises(UsageError, match="ADB_SERVER_SOCKET"):
        server_address(None)
