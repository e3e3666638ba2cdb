"""Getting a device ready, and back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from adbd_rig import Adbd
from phone_stub import PhoneStub

from edgevit.errors import DeviceError
from runtimes.conditions import prepare
from runtimes.conditions.device_state import DeviceState, Temperature, ThermalState
from runtimes.conditions.journal import journal_path, read_journal
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.prepare import fix_performance_mode, stay_awake, wait_for_temperature
from runtimes.conditions.state_parsers import parse_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.host import HostDevice

DATA = Path(__file__).parents[2] / "data" / "device"


@pytest.fixture
def phone() -> DeviceState:
    return parse_state((DATA / "state_phone.txt").read_text(), serial="S", kind="adb", unix_time_s=0)


def at(*celsius: float, status: int | None = 0) -> list[ThermalState]:
    return [
        ThermalState(status=status, source="hal", temperatures=(Temperature(name="skin", kind="skin", value_c=value),))
        for value in celsius
    ]


def waiting(
    monkeypatch: pytest.MonkeyPatch, phone: DeviceState, readings: list[ThermalState], timeout_s: float
) -> tuple[prepare.Cooldown, list[float]]:
    left = iter(readings)
    slept: list[float] = []
    monkeypatch.setattr(prepare, "read_state", lambda _: msgspec.structs.replace(phone, thermal=next(left)))
    monkeypatch.setattr(prepare, "time", SimpleNamespace(sleep=slept.append))
    return wait_for_temperature(HostDevice(), 40.0, timeout_s=timeout_s), slept


def test_a_cool_device_starts_at_once(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept = waiting(monkeypatch, phone, at(39.0), 60)
    assert (result.reached, result.waited_s, slept) == (True, 0.0, [])


def test_a_warm_device_is_waited_for(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept = waiting(monkeypatch, phone, at(45.0, 42.0, 40.0), 60)
    assert (result.reached, result.waited_s, slept) == (True, 10.0, [5.0, 5.0])


def test_a_hot_device_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept = waiting(monkeypatch, phone, at(45.0, 44.0, 43.0), 7)
    assert (result.reached, result.sensor.value_c, slept) == (False, 43.0, [5.0, 2.0])


def test_a_cool_device_that_still_throttles_waits(monkeypatch: pytest.MonkeyPatch, phone: DeviceState) -> None:
    result, slept = waiting(monkeypatch, phone, [*at(39.0, status=1), *at(39.0)], 60)
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
            assert len(read_journal(journal_path(adb_device.serial))[1]) == 3
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


@pytest.mark.usefixtures("state_dir")
def test_a_setting_that_cannot_be_read_is_not_changed(tmp_path: Path) -> None:
    phone = PhoneStub(tmp_path, {"settings get global": "7\n", "settings put global": ""})
    message = "screen_off_timeout of 8BC1 cannot be read, so it is not changed"
    with DeviceSession(phone) as session, pytest.raises(DeviceError, match=message):
        stay_awake(session)


@pytest.mark.usefixtures("state_dir")
def test_a_host_that_is_not_android_is_left_as_it_is(tmp_path: Path) -> None:
    with DeviceSession(HostDevice(tmp_path / "scratch")) as session:
        stay_awake(session)
        assert read_journal(journal_path("host"))[1] == ()
        with pytest.raises(DeviceError, match="it is not Android"):
            fix_performance_mode(session)
