"""Getting a device ready, and back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from adbd_rig import Adbd

from edgevit.errors import DeviceError, UsageError
from runtimes.conditions import hygiene
from runtimes.conditions.hygiene import (
    affinity_mask,
    fix_performance_mode,
    pinned,
    set_airplane_mode,
    set_governor,
    stay_awake,
    verify_pinning,
    wait_for_temperature,
)
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.state import DeviceState, Temperature, ThermalState, read_state
from runtimes.conditions.state_parsers import parse_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.host import HostDevice

DATA = Path(__file__).parents[2] / "data" / "device"


@pytest.fixture
def phone() -> DeviceState:
    return parse_state((DATA / "state_phone.txt").read_text(), serial="S", kind="adb", unix_time_s=0)


@pytest.mark.parametrize(
    ("wanted", "mask"),
    [("big", 0xF0), ("little", 0x0F), ("f0", 0xF0), ("0x81", 0x81), ("4-7", 0xF0), ("0,4-5", 0x31), ("1", 0x1)],
)
def test_masks(phone: DeviceState, wanted: str, mask: int) -> None:
    assert affinity_mask(phone, wanted) == mask


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("100", "cannot be used \\(8\\)"),
        ("7-8", "cannot be used \\(8\\)"),
        ("0", "cannot be used \\(none\\)"),
        ("huge", "neither big, little"),
        ("", "neither big, little"),
        ("5-4", "cannot be used"),
    ],
)
def test_masks_that_mean_nothing(phone: DeviceState, wanted: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        affinity_mask(phone, wanted)


def test_masks_respect_where_commands_may_run(phone: DeviceState) -> None:
    with pytest.raises(UsageError, match="choose from 0, 1, 2, 3"):
        affinity_mask(msgspec.structs.replace(phone, cpus_allowed=(0, 1, 2, 3)), "big")


@pytest.mark.parametrize("wanted", ["big", "little"])
def test_equal_cores_are_neither_big_nor_little(phone: DeviceState, wanted: str) -> None:
    with pytest.raises(UsageError, match="all alike"):
        affinity_mask(msgspec.structs.replace(phone, clusters=phone.clusters[:1]), wanted)
    with pytest.raises(UsageError, match="does not tell"):
        affinity_mask(msgspec.structs.replace(phone, clusters=()), wanted)


def test_pinned_commands_run_where_they_should(adb_device: AdbDevice) -> None:
    for device in (HostDevice(), adb_device):
        mask = affinity_mask(read_state(device), "1")
        verify_pinning(device, mask)
        result = device.run(pinned(["grep", "Cpus_allowed_list", "/proc/self/status"], mask))
        assert result.out.split() == ["Cpus_allowed_list:", "0"]


def test_pinning_that_does_not_hold_is_noticed(adb_device: AdbDevice, adbd: Adbd) -> None:
    stub = adbd.data.parent / "bin" / "taskset"
    stub.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    stub.chmod(0o755)
    with pytest.raises(DeviceError, match="cpusets forbid it"):
        verify_pinning(adb_device, 1)
    stub.write_text("#!/bin/sh\necho 'failed to set affinity' >&2\nexit 1\n")
    with pytest.raises(DeviceError, match="cannot pin commands to cores: failed to set affinity"):
        verify_pinning(adb_device, 1)


def at(*celsius: float, status: int | None = 0) -> list[ThermalState]:
    return [
        ThermalState(status=status, source="hal", temperatures=(Temperature(name="skin", kind="skin", value_c=value),))
        for value in celsius
    ]


def waiting(
    monkeypatch: pytest.MonkeyPatch, phone: DeviceState, readings: list[ThermalState], timeout_s: float
) -> tuple[hygiene.Cooldown, list[float], list[float]]:
    left = iter(readings)
    monkeypatch.setattr(hygiene, "read_state", lambda _: msgspec.structs.replace(phone, thermal=next(left)))
    slept: list[float] = []
    seen: list[float] = []
    result = wait_for_temperature(
        HostDevice(), 40.0, timeout_s=timeout_s, progress=lambda t, _: seen.append(t.value_c), sleep=slept.append
    )
    return result, slept, seen


def test_a_cool_device_starts_at_once(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept, _ = waiting(monkeypatch, phone, at(39.0), 60)
    assert (result.reached, result.waited_s, slept) == (True, 0.0, [])


def test_a_warm_device_is_waited_for(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept, seen = waiting(monkeypatch, phone, at(45.0, 42.0, 40.0), 60)
    assert (result.reached, result.waited_s, slept) == (True, 10.0, [5.0, 5.0])
    assert seen == [45.0, 42.0, 40.0]


def test_a_hot_device_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept, _ = waiting(monkeypatch, phone, at(45.0, 44.0, 43.0), 7)
    assert (result.reached, result.sensor.value_c, slept) == (False, 43.0, [5.0, 2.0])


def test_a_cool_device_that_still_throttles_waits(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept, _ = waiting(monkeypatch, phone, [*at(39.0, status=1), *at(39.0)], 60)
    assert (result.reached, slept) == (True, [5.0])


def test_a_device_without_a_thermometer(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    nothing = ThermalState(status=None, source=None, temperatures=())
    with pytest.raises(DeviceError, match="tells no temperature") as caught:
        waiting(monkeypatch, phone, [nothing], 60)
    assert caught.value.hint == "leave out --max-temp"


@pytest.mark.usefixtures("state_dir")
class TestAndroid:
    def test_stay_awake(self, adb_device: AdbDevice, adbd: Adbd) -> None:
        (adbd.data / "dumpsys_power").write_text("  mWakefulness=Asleep\n")
        (adbd.data / "setting_system_screen_off_timeout").write_text("30000\n")
        with DeviceSession(adb_device) as session:
            stay_awake(session)
            assert (adbd.data / "setting_global_stay_on_while_plugged_in").read_text() == "7\n"
            assert "Awake" in (adbd.data / "dumpsys_power").read_text()
            assert len(session.changes) == 3
        assert not (adbd.data / "setting_global_stay_on_while_plugged_in").exists()
        assert (adbd.data / "setting_system_screen_off_timeout").read_text() == "30000\n"
        assert "Asleep" in (adbd.data / "dumpsys_power").read_text()

    def test_a_screen_that_is_on_is_left_on(self, adb_device: AdbDevice, adbd: Adbd) -> None:
        (adbd.data / "dumpsys_power").write_text("  mWakefulness=Awake\n")
        with DeviceSession(adb_device) as session:
            stay_awake(session)
        assert "Awake" in (adbd.data / "dumpsys_power").read_text()
        assert not (adbd.data / "input_log").exists()

    def test_fixed_performance_mode(self, adb_device: AdbDevice, adbd: Adbd) -> None:
        with DeviceSession(adb_device) as session:
            fix_performance_mode(session)
            assert (adbd.data / "fixed_mode").read_text() == "true\n"
        assert (adbd.data / "fixed_mode").read_text() == "false\n"

    def test_no_fixed_performance_mode(self, adb_device: AdbDevice, adbd: Adbd) -> None:
        (adbd.data / "no_fixed_mode").touch()
        with DeviceSession(adb_device) as session, pytest.raises(DeviceError, match=r"did not take .*: Failed"):
            fix_performance_mode(session)
        assert not (adbd.data / "fixed_mode").exists()

    def test_airplane_mode_would_cut_us_off(self, adb_device: AdbDevice, adbd: Adbd) -> None:
        with DeviceSession(adb_device) as session, pytest.raises(UsageError, match="reached over the network"):
            set_airplane_mode(session)
        assert not (adbd.data / "cmd_log").exists()

    def test_airplane_mode_over_a_cable(self, adb_device: AdbDevice, adbd: Adbd) -> None:
        (adbd.data / "setting_global_airplane_mode_on").write_text("0\n")
        adb_device.is_network = False
        with DeviceSession(adb_device) as session:
            set_airplane_mode(session)
            assert (adbd.data / "setting_global_airplane_mode_on").read_text() == "1\n"
        assert (adbd.data / "setting_global_airplane_mode_on").read_text() == "0\n"


@pytest.fixture
def policies(tmp_path: Path) -> list[Path]:
    found = []
    for index, governor in enumerate(["schedutil", "performance"]):
        path = tmp_path / f"root/sys/devices/system/cpu/cpufreq/policy{index}"
        path.mkdir(parents=True)
        (path / "scaling_governor").write_text(f"{governor}\n")
        (path / "scaling_available_governors").write_text("schedutil performance\n")
        found.append(path / "scaling_governor")
    return found


@pytest.mark.usefixtures("state_dir")
def test_governors(policies: list[Path], tmp_path: Path) -> None:
    with DeviceSession(HostDevice(tmp_path / "scratch")) as session:
        assert set_governor(session, root=str(tmp_path / "root")) == ("policy0",)
        assert [path.read_text().strip() for path in policies] == ["performance", "performance"]
        with pytest.raises(DeviceError, match="no governor 'turbo': choose from schedutil, performance"):
            set_governor(session, "turbo", root=str(tmp_path / "root"))
    assert [path.read_text().strip() for path in policies] == ["schedutil", "performance"]


@pytest.mark.usefixtures("state_dir")
def test_no_governors(tmp_path: Path) -> None:
    with DeviceSession(HostDevice(tmp_path / "scratch")) as session:
        with pytest.raises(DeviceError, match="no cpufreq policies"):
            set_governor(session, root=str(tmp_path))
        stay_awake(session)
        assert session.changes == ()
        with pytest.raises(DeviceError, match="it is not Android"):
            fix_performance_mode(session)
