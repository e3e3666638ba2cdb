"""The whole question on real shells."""

from __future__ import annotations

from pathlib import Path

import pytest
from adbd_rig import Adbd

from edgevit.errors import DeviceError
from runtimes.conditions.state import STATE_SCRIPT, read_state
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import CommandResult
from runtimes.devices.host import HostDevice

DATA = Path(__file__).parents[2] / "data" / "device"


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


def test_this_host_tells_its_state() -> None:
    state = read_state(HostDevice())
    assert state.kernel is not None
    assert state.cpus
    assert state.load_1min is not None
    assert state.missing["thermal_status"] == "not Android"
    for name, value in (
        ("temperature", state.thermal.source),
        ("governor", state.governors),
        ("battery", state.battery),
    ):
        assert (name in state.missing) == (not value), name


def test_a_device_behind_adb_tells_its_state(adb_device: AdbDevice, adbd: Adbd) -> None:
    for service in ("thermalservice_phone", "battery_usb"):
        (adbd.data / f"dumpsys_{service.partition('_')[0]}").write_text(recorded(service))
    (adbd.data / "dumpsys_power").write_text("POWER MANAGER\n  mWakefulness=Asleep\n  mWakefulnessChanging=false\n")
    (adbd.data / "getprop").write_text(recorded("getprop_phone"))
    (adbd.data / "setting_global_low_power").write_text("1\n")
    state = read_state(adb_device)
    assert (state.title, state.screen, state.thermal.status) == ("Google Pixel 7", "asleep", 1)
    assert state.battery is not None
    assert state.battery.charging
    assert (state.low_power_mode, state.airplane_mode) == (True, None)


def test_a_made_up_sysfs(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu"
    for index, (speed, capacity) in enumerate([(1800000, 400), (2400000, 1024)]):
        (cpu / f"cpu{index}/cpufreq").mkdir(parents=True)
        (cpu / f"cpu{index}/cpu_capacity").write_text(f"{capacity}\n")
        for name, value in (
            ("governor", "schedutil"),
            ("cur_freq", speed // 2),
            ("min_freq", 300000),
            ("max_freq", speed),
        ):
            (cpu / f"cpu{index}/cpufreq/scaling_{name}").write_text(f"{value}\n")
        (cpu / f"cpu{index}/cpufreq/cpuinfo_max_freq").write_text(f"{speed}\n")
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("48312\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("1.50 1 1 1/1 1\n")
    state = read_state(HostDevice(), root=str(tmp_path))
    assert [cluster.cpus for cluster in state.clusters] == [(0,), (1,)]
    assert state.cpus[1].cur_hz == 1_200_000_000
    assert state.governors == ("schedutil",)
    assert [(each.kind, each.value_c) for each in state.thermal.temperatures] == [("cpu", 48.312)]
    assert (state.load_1min, state.cpus_allowed, state.memory_total_bytes) == (1.5, None, None)


def test_half_an_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device = HostDevice()
    half = CommandResult(rc=1, out="@@ getprop\n", err="sh: killed")
    monkeypatch.setattr(device, "script", lambda *_, **__: half)
    with pytest.raises(DeviceError, match="whole state: sh: killed"):
        read_state(device)


def test_the_question_fits_into_the_smallest_daemons_packet() -> None:
    assert len(STATE_SCRIPT) < 3500
