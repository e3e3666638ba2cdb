"""Which devices are listed, and which one is meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from adbd_rig import AdbRig, why_not

from edgevit.errors import DeviceError, MissingDependencyError, UsageError
from edgevit.installation import install_extra
from runtimes.devices import select
from runtimes.devices.adb import server as adb_server
from runtimes.devices.attached import AttachedDevice, DeviceListing
from runtimes.devices.select import list_devices, select_device, select_devices


@pytest.fixture(autouse=True)
def no_serial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own environment."""
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)


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


def test_the_host_is_always_listed(rig: AdbRig) -> None:
    assert [each.serial for each in list_devices(str(rig.server)).devices] == ["host"]


def test_nothing_attached_means_the_host(rig: AdbRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:{rig.server}")
    assert select_device().serial == "host"


def test_an_empty_rack_is_not_the_host(rig: AdbRig) -> None:
    with pytest.raises(DeviceError, match="no device is attached to the adb server at 127"):
        select_device(adb_server=str(rig.server))


def test_the_only_device_is_meant(rig: AdbRig) -> None:
    daemon = rig.add()
    listing = list_devices(str(rig.server))
    assert [(each.serial, each.kind, each.state) for each in listing.devices] == [
        (daemon.serial, "adb", "device"),
        ("host", "host", "device"),
    ]
    with select_device(adb_server=str(rig.server)) as device:
        assert device.serial == daemon.serial
        assert device.run(["echo", "here"]).out == "here\n"


def test_two_devices_need_a_choice(rig: AdbRig, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = rig.add("one"), rig.add("two")
    with pytest.raises(UsageError, match="2 devices are attached: choose one with --device") as caught:
        select_device(adb_server=str(rig.server))
    for name in (one.serial, two.serial, "host"):
        assert name in caught.value.message
    assert select_device(two.serial, adb_server=str(rig.server)).serial == two.serial
    monkeypatch.setenv("ANDROID_SERIAL", one.serial)
    assert select_device(adb_server=str(rig.server)).serial == one.serial
    assert select_device("host", adb_server=str(rig.server)).serial == "host"


def test_several_devices_at_once(rig: AdbRig) -> None:
    one, two = rig.add("one"), rig.add("two")
    found = select_devices(("all",), adb_server=str(rig.server))
    assert {device.serial for device in found} == {one.serial, two.serial}
    with pytest.raises(UsageError, match="named twice"):
        select_devices((one.serial, one.serial), adb_server=str(rig.server))
    with pytest.raises(DeviceError, match="'none' is not attached"):
        select_devices((one.serial, "none"), adb_server=str(rig.server))


def test_all_of_none(rig: AdbRig) -> None:
    with pytest.raises(DeviceError, match="no usable device"):
        select_devices(("all",), adb_server=str(rig.server))


def test_without_adbutils_the_host_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb_server, "find_spec", lambda _: None)
    listing = list_devices()
    assert [each.serial for each in listing.devices] == ["host"]
    assert install_extra("adb") in (listing.note or "")
    assert select_device().serial == "host"
    with pytest.raises(MissingDependencyError):
        select_device("R58M")
    with pytest.raises(MissingDependencyError):
        list_devices("rack:5037")


def test_the_scratch_directory_is_the_one_that_was_named(tmp_path: Path) -> None:
    assert select_device("host", remote_dir=str(tmp_path / "x")).scratch_dir() == str(tmp_path / "x")


def test_a_device_that_cannot_be_used_is_never_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    barred = AttachedDevice(serial="A", kind="adb", state="unauthorized", model="Pixel 8", hint="unlock it")
    ready = msgspec.structs.replace(barred, serial="B", state="device", hint=None)
    listed = [barred, ready]
    monkeypatch.setattr(select, "list_devices", lambda _: DeviceListing(devices=tuple(listed)))
    with pytest.raises(UsageError, match=r"A \(Pixel 8, unauthorized\), B \(Pixel 8\)") as caught:
        select_device()
    assert caught.value.hint == "--device B"
    listed[1] = msgspec.structs.replace(barred, serial="C")
    with pytest.raises(UsageError) as caught:
        select_device()
    assert caught.value.hint == "A: unlock it"
