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


def reasons_of(state: DeviceState, **changes: object) -> tuple[str, ...]:
    return fitness(msgspec.structs.replace(state, **changes), max_temp_c=40.0).reasons


def temperatures(value_c: float, status: int | None = 0) -> ThermalState:
    return ThermalState(
        status=status, source="hal", temperatures=(Temperature(name="BIG", kind="cpu", value_c=value_c),)
    )


def test_limits_hold_up_to_and_with_themselves(good: DeviceState) -> None:
    battery = good.battery
    assert battery is not None
    at_limit: list[tuple[dict[str, object], dict[str, object]]] = [
        ({"thermal": temperatures(40.0)}, {"thermal": temperatures(40.1)}),
        (
            {"battery": msgspec.structs.replace(battery, level_percent=20.0)},
            {"battery": msgspec.structs.replace(battery, level_percent=19.9)},
        ),
        ({"load_1min": 2.0}, {"load_1min": 2.01}),  # a quarter of eight cores
        ({"cpu_quota": 8.0}, {"cpu_quota": 7.99}),
        ({"memory_available_bytes": 268_435_456}, {"memory_available_bytes": 268_435_455}),
    ]
    for inside, beyond in at_limit:
        assert reasons_of(good, **inside) == ()
        assert len(reasons_of(good, **beyond)) == 1, beyond
    capped = [good.cpus[0].hw_max_hz or 0, 0.95]
    for share, cautions in ((0.9501, 0), (0.9499, 1)):
        cpu = msgspec.structs.replace(good.cpus[0], max_hz=int(capped[0] * share))
        assert len(fitness(msgspec.structs.replace(good, cpus=(cpu, *good.cpus[1:]))).cautions) == cautions


def test_what_is_not_known_speaks_neither_for_nor_against(good: DeviceState) -> None:
    battery = good.battery
    assert battery is not None
    unknown: dict[str, object] = {
        "battery": None,
        "load_1min": None,
        "cpu_quota": None,
        "memory_available_bytes": None,
        "cpus_allowed": None,
        "low_power_mode": None,
        "screen": None,
        "thermal": ThermalState(status=None, source="zones", temperatures=()),
    }
    assert fitness(msgspec.structs.replace(good, **unknown), max_temp_c=40.0).reasons == ()
    assert fitness(msgspec.structs.replace(good, **unknown)).cautions == ()
    assert reasons_of(good, cpus=(), load_1min=9.0, cpu_quota=0.5) == ()
    level_unknown = msgspec.structs.replace(battery, level_percent=None)
    assert reasons_of(good, battery=level_unknown) == ()
    assert reasons_of(good, battery=msgspec.structs.replace(battery, level_percent=1.0, charging=True)) == ()
    no_clocks = tuple(msgspec.structs.replace(cpu, max_hz=None) for cpu in good.cpus)
    assert fitness(msgspec.structs.replace(good, cpus=no_clocks)).cautions == ()


@pytest.mark.parametrize(("status", "word"), [(1, "light"), (6, "shutdown"), (7, "unknown")])
def test_thermal_status_is_told_in_androids_words(good: DeviceState, status: int, word: str) -> None:
    assert reasons_of(good, thermal=temperatures(30.0, status)) == (
        f"the device throttles (thermal status {status}, {word})",
    )


def test_only_cores_that_are_on_count(good: DeviceState) -> None:
    four = tuple(msgspec.structs.replace(cpu, online=index < 4) for index, cpu in enumerate(good.cpus))
    assert reasons_of(good, cpus=four, load_1min=1.0) == ()
    assert reasons_of(good, cpus=four, load_1min=1.01) == ("other work runs on it: load 1.01 on 4 cores",)
    verdict = fitness(msgspec.structs.replace(good, cpus=four, cpus_allowed=(0, 1, 2)))
    assert verdict.cautions == ("switched off: cores 4, 5, 6, 7", "commands may not run on core 3")


@pytest.mark.parametrize(("screen", "source", "told"), [("dozing", "hal", 1), ("awake", "hal", 0), ("awake", None, 0)])
def test_screens_and_sensors(good: DeviceState, screen: str, source: str | None, told: int) -> None:
    thermal = ThermalState(status=0, source=source, temperatures=())
    assert len(fitness(msgspec.structs.replace(good, screen=screen, thermal=thermal)).cautions) == told
