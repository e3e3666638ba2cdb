"""The record of a device and its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.state_parsers import (
    parse_state,
    parse_thermal,
)

DATA = Path(__file__).parents[2] / "data" / "device"


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


@pytest.fixture
def phone() -> DeviceState:
    return parse_state(recorded("state_phone"), serial="S", kind="adb", unix_time_s=1.0)


def test_a_record_survives_its_file(phone: DeviceState, tmp_path: Path) -> None:
    phone.save(tmp_path / "state.json")
    assert DeviceState.load(tmp_path / "state.json") == phone


def test_without_a_cpu_sensor_the_battery_decides() -> None:
    sensor = parse_thermal("", "31000 battery\n60000 modem").start_temperature()
    assert sensor is not None
    assert sensor.name == "battery"
    assert parse_thermal("", "").start_temperature() is None
