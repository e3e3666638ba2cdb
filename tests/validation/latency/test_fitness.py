"""Which states of a device are fit to measure in."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtimes.conditions.device_state import BatteryState, DeviceState, Temperature, ThermalState
from runtimes.conditions.state_parsers import parse_state
from validation.latency.fitness import fitness

DATA = Path(__file__).parents[2] / "data" / "device"


@pytest.fixture
def good() -> DeviceState:
    phone = parse_state((DATA / "state_phone.txt").read_text(), serial="S", kind="adb", unix_time_s=0)
    cpus = tuple(msgspec.structs.replace(cpu, governor="performance", max_hz=cpu.hw_max_hz) for cpu in phone.cpus)
    cool = ThermalState(status=0, source="hal", temperatures=(Temperature(name="BIG", kind="cpu", value_c=35.0),))
    battery = BatteryState(level_percent=80.0, temperature_c=30.0, voltage_v=4.0, charging=False, powered_by=())
    return msgspec.structs.replace(phone, cpus=cpus, thermal=cool, battery=battery)


def test_a_good_device_has_nothing_against_it(good: DeviceState) -> None:
    verdict = fitness(good, max_temp_c=40.0)
    assert (verdict.fit, verdict.reasons, verdict.cautions) == (True, (), ())


HOT = ThermalState(status=2, source="hal", temperatures=(Temperature(name="BIG", kind="cpu", value_c=70.0),))
EMPTY = BatteryState(level_percent=0.0, temperature_c=30.0, voltage_v=3.4, charging=False, powered_by=())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"thermal": HOT}, "throttles (thermal status 2, moderate)"),
        ({"thermal": HOT}, "BIG is at 70.0 °C, above 40.0 °C"),
        ({"low_power_mode": True}, "battery saver is on"),
        ({"battery": EMPTY}, "the battery is at 0 %"),
        ({"load_1min": 4.0}, "load 4.00 on 8 cores"),
        ({"cpu_quota": 1.5}, "container limit of 1.5 cores"),
        ({"memory_available_bytes": 100 * 2**20}, "only 100 MiB"),
    ],
)
def test_reasons_against(good: DeviceState, change: dict[str, object], reason: str) -> None:
    verdict = fitness(msgspec.structs.replace(good, **change), max_temp_c=40.0)
    assert not verdict.fit
    assert any(reason in each for each in verdict.reasons), verdict.reasons


@pytest.mark.parametrize(
    ("change", "caution"),
    [
        ({"screen": "asleep"}, "may suspend"),
        ({"cpus_allowed": (0, 1)}, "may not run on cores 2, 3, 4, 5, 6, 7"),
        ({"thermal": ThermalState(status=None, source=None, temperatures=())}, "temperature cannot be read"),
        ({"missing": {"governor": "no"}}, "clocks cannot be read"),
        ({"battery": msgspec.structs.replace(EMPTY, charging=True, frozen=True)}, "is charging"),
        ({"battery": msgspec.structs.replace(EMPTY, charging=True, frozen=True)}, "frozen by 'dumpsys battery'"),
    ],
)
def test_cautions_do_not_forbid(good: DeviceState, change: dict[str, object], caution: str) -> None:
    verdict = fitness(msgspec.structs.replace(good, **change))
    assert verdict.fit
    assert any(caution in each for each in verdict.cautions), verdict.cautions


def test_clocks_that_move_or_are_capped() -> None:
    phone = parse_state((DATA / "state_phone.txt").read_text(), serial="S", kind="adb", unix_time_s=0)
    verdict = fitness(phone)
    assert any("governor sched_pixel" in each for each in verdict.cautions)
    assert any("cores 6, 7 may not reach the top clock" in each for each in verdict.cautions)


def test_cores_that_are_off(good: DeviceState) -> None:
    cpus = (*good.cpus[:7], msgspec.structs.replace(good.cpus[7], online=False))
    assert any("switched off: core 7" in each for each in fitness(msgspec.structs.replace(good, cpus=cpus)).cautions)
