"""INA sensors of Linux boards, from files like the kernel's."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from phone_stub import PhoneStub
from sampling import sampled, write_files

from edgevit.errors import MeterError
from runtimes.power.hwmon import HwmonMeter, find_rails
from runtimes.power.sysfs import DeviceSysfs, LocalSysfs

JETSON = {
    "sys/class/hwmon/hwmon3/name": "ina3221",
    "sys/class/hwmon/hwmon3/update_interval": 20,
    "sys/class/hwmon/hwmon3/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon3/in1_input": 5000,
    "sys/class/hwmon/hwmon3/curr1_input": 900,
    "sys/class/hwmon/hwmon3/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon3/in2_input": 5000,
    "sys/class/hwmon/hwmon3/curr2_input": 300,
    "sys/class/hwmon/hwmon0/name": "coretemp",
    "sys/class/hwmon/hwmon0/curr1_input": 1,
}


def test_jetson_takes_the_total_and_the_chips_own_pace(tmp_path: Path) -> None:
    meter = HwmonMeter(LocalSysfs(write_files(tmp_path, JETSON)), period_s=0.005)
    trace = sampled(meter)
    assert meter.resolution.scope == "VDD_IN"
    assert meter.resolution.period_s == pytest.approx(0.02)
    np.testing.assert_allclose(trace.power_mw[trace.flags == 0], 4500.0)
    assert trace.current_ma is not None and trace.voltage_v is not None
    np.testing.assert_allclose(trace.current_ma[trace.flags == 0], 900.0)
    np.testing.assert_allclose(trace.voltage_v[trace.flags == 0], 5.0)


def test_rails_of_a_board_can_be_added_up_and_read_over_a_device(tmp_path: Path) -> None:
    phone = PhoneStub(write_files(tmp_path, JETSON), {})
    assert {rail.label for rail in find_rails(DeviceSysfs(phone))} == {"VDD_IN", "VDD_CPU_GPU_CV"}
    meter = HwmonMeter(DeviceSysfs(phone), rails=("VDD_IN", "VDD_CPU_GPU_CV"))
    meter.prepare()
    assert meter.read_once()[0] == pytest.approx(6000.0)


def test_ina219_and_old_jetsons(tmp_path: Path) -> None:
    base = "sys/class/hwmon/hwmon1"
    write_files(
        tmp_path / "a",
        {
            f"{base}/name": "ina2xx",
            f"{base}/in1_input": 5000,
            f"{base}/curr1_input": 400,
            f"{base}/power1_input": 2_040_000,
        },
    )
    meter = HwmonMeter(LocalSysfs(tmp_path / "a"))
    meter.prepare()
    assert meter.read_once()[0] == pytest.approx(2040.0)
    old = "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0"
    write_files(tmp_path / "b", {f"{old}/in_power0_input": 3100, f"{old}/rail_name_0": "POM_5V_IN"})
    meter = HwmonMeter(LocalSysfs(tmp_path / "b"))
    meter.prepare()
    assert meter.read_once()[0] == pytest.approx(3100.0)


def test_boards_with_several_rails_and_no_total_ask_for_a_choice(tmp_path: Path) -> None:
    files = {name: value for name, value in JETSON.items() if "in1_label" not in name}
    files["sys/class/hwmon/hwmon3/in1_label"] = "VDD_SOC"
    root = write_files(tmp_path, files)
    with pytest.raises(MeterError, match="choose from VDD_CPU_GPU_CV, VDD_SOC"):
        HwmonMeter(LocalSysfs(root)).prepare()
    with pytest.raises(MeterError, match="no power rail VDD_IN"):
        HwmonMeter(LocalSysfs(root), rails=("VDD_IN",)).prepare()


def test_a_board_without_sensors(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="no INA power sensor"):
        HwmonMeter(LocalSysfs(tmp_path)).prepare()


def test_a_sensor_that_is_away_for_a_moment_leaves_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysfs = LocalSysfs(write_files(tmp_path, JETSON))
    meter = HwmonMeter(sysfs, period_s=0.02)
    meter.prepare()
    read, calls = sysfs.read, itertools.count()
    monkeypatch.setattr(sysfs, "read", lambda paths: [None, None] if next(calls) in (5, 6) else read(paths))
    with meter:
        meter.start()
        time.sleep(0.4)
        trace = meter.stop()
    assert trace.lost_share > 0
    np.testing.assert_array_equal(np.isnan(trace.power_mw), trace.lost)
    np.testing.assert_allclose(trace.power_mw[~trace.lost], 4500.0)


def test_a_sensor_that_goes_away_is_an_error(tmp_path: Path) -> None:
    meter = HwmonMeter(LocalSysfs(write_files(tmp_path, JETSON)), period_s=0.005)
    with meter:
        meter.prepare()
        meter.start()
        (tmp_path / "sys/class/hwmon/hwmon3/curr1_input").unlink()
        time.sleep(0.15)
        with pytest.raises(MeterError, match=r"hwmon stopped answering: power rail VDD_IN .* cannot be read"):
            meter.stop()
