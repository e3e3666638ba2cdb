"""Parsers on recorded output."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.state_parsers import (
    core_clusters,
    parse_battery,
    parse_cpu_list,
    parse_cpus,
    parse_getprop,
    parse_quota,
    parse_state,
    parse_supplies,
    parse_thermal,
)

DATA = Path(__file__).parents[2] / "data" / "device"


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


@pytest.fixture
def phone() -> DeviceState:
    return parse_state(recorded("state_phone"), serial="S", kind="adb", unix_time_s=1.0)


def cpu_lines(*speeds_khz: str, online: str = "1") -> str:
    return "".join(f"{i} {online} ondemand 1000 500 {s} {s} -\n" for i, s in enumerate(speeds_khz))


def test_getprop_values_over_several_lines() -> None:
    assert parse_getprop("[a]: [1]\r\n[b]: [x\ny]\r\n[c]: [[]]\r\n") == {"a": "1", "b": "x\ny", "c": "[]"}


def test_a_phone(phone: DeviceState) -> None:
    assert (phone.title, phone.soc, phone.abi) == ("Google Pixel 7", "Google GS201", "arm64-v8a")
    assert (phone.android_version, phone.sdk) == ("14", 34)
    assert phone.kernel == "Linux 5.10.177-android13-4-00003-ga7208022a7ea"
    assert (phone.screen, phone.load_1min, phone.uptime_s) == ("awake", 0.41, 16117.09)
    assert (phone.airplane_mode, phone.low_power_mode, phone.is_root) == (False, False, False)
    assert phone.cpus_allowed == tuple(range(8))
    assert phone.memory_total_bytes == 7579252 * 1024
    assert phone.missing == {}


def test_the_cores_of_a_phone(phone: DeviceState) -> None:
    assert [cluster.cpus for cluster in phone.clusters] == [(0, 1, 2, 3), (4, 5), (6, 7)]
    assert [cluster.hw_max_hz for cluster in phone.clusters] == [1803000000, 2348000000, 2850000000]
    assert phone.governors == ("sched_pixel",)
    assert phone.cpus[6].max_hz == 1826000000
    assert phone.cpus[0].online


def test_only_what_the_hal_says_now_counts() -> None:
    thermal = parse_thermal(recorded("thermalservice_phone"), "57900 zone")
    assert (thermal.status, thermal.source) == (1, "hal")
    values = {each.name: (each.kind, each.value_c) for each in thermal.temperatures}
    assert values == {
        "BIG": ("cpu", 57.9),
        "LITTLE": ("cpu", 51.0),
        "G3D": ("gpu", 48.5),
        "battery": ("battery", 31.4),
        "VIRTUAL-SKIN": ("skin", 36.793081),
        "TPU": ("npu", 46.5),
    }
    sensor = thermal.start_temperature()
    assert sensor is not None
    assert (sensor.name, sensor.value_c) == ("BIG", 57.9)


def test_an_empty_hal_block_falls_back_to_the_zones() -> None:
    thermal = parse_thermal(
        recorded("thermalservice_empty_hal"), "44100 cpu-1-0\n- gpu\n31 battery\n-274000 modem\n0 xo\n52000 cpuss-0\n"
    )
    assert (thermal.status, thermal.source) == (0, "zones")
    assert [(each.name, each.kind, each.value_c) for each in thermal.temperatures] == [
        ("cpu-1-0", "cpu", 44.1),
        ("battery", "battery", 31.0),
        ("cpuss-0", "cpu", 52.0),
    ]


@pytest.mark.parametrize(
    ("name", "level", "temperature", "charging", "powered", "frozen"),
    [
        ("battery_usb", 85.0, 27.8, True, ("usb",), False),
        ("battery_frozen", 85.0, 27.8, False, (), True),
        ("battery_event_log", 75.0, 35.7, True, ("usb",), False),
    ],
)
def test_batteries(
    name: str, level: float, temperature: float, charging: bool, powered: tuple[str, ...], frozen: bool
) -> None:
    battery = parse_battery(recorded(name))
    assert battery is not None
    assert (battery.level_percent, battery.temperature_c, battery.charging) == (level, temperature, charging)
    assert (battery.powered_by, battery.frozen) == (powered, frozen)


def test_no_battery() -> None:
    assert parse_battery("Can't find service: battery\n") is None
    assert parse_battery("  present: false\n  level: 0\n") is None
    assert parse_supplies("AC|Mains|1|-|-|-|-\n") is None


def test_the_kernels_battery() -> None:
    battery = parse_supplies("AC|Mains|1|-|-|-|-\nBAT0|Battery|-|Discharging|61|291|3950000\n")
    assert battery is not None
    assert (battery.level_percent, battery.temperature_c, battery.voltage_v) == (61.0, 29.1, 3.95)
    assert (battery.charging, battery.powered_by) == (False, ("mains",))


@pytest.mark.parametrize(
    ("speeds", "clusters"),
    [
        (("1800000",) * 4, [(0, 1, 2, 3)]),
        (("5400000", "5500000", "5400000"), [(0, 1, 2)]),  # a desktop's favoured core is no cluster
        (("1800000", "1800000", "2400000"), [(0, 1), (2,)]),
        (("-", "-"), []),
    ],
)
def test_clusters_from_frequencies(speeds: tuple[str, ...], clusters: list[tuple[int, ...]]) -> None:
    assert [cluster.cpus for cluster in core_clusters(parse_cpus(cpu_lines(*speeds)))] == clusters


def test_cores_that_are_off_have_no_speed() -> None:
    cpus = parse_cpus("0 - a 1 1 1 1800000 -\n1 0 - - - - - -\n10 1 a 1 1 1 2400000 -\n")
    assert [cpu.online for cpu in cpus] == [True, False, True]
    assert [cluster.cpus for cluster in core_clusters(cpus)] == [(0,), (10,)]


@pytest.mark.parametrize(("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("", None), ("x", None)])
def test_container_quotas(text: str, quota: float | None) -> None:
    assert parse_quota(text) == quota


@pytest.mark.parametrize(("text", "cpus"), [("0-3,6\n", (0, 1, 2, 3, 6)), ("2", (2,)), ("", ()), ("x", ())])
def test_cpu_lists(text: str, cpus: tuple[int, ...]) -> None:
    assert parse_cpu_list(text) == cpus


@given(st.text(alphabet="@ \nabc0-9{}=,:.[]mValueTypN", max_size=400))
def test_parsers_take_any_text(text: str) -> None:
    state = parse_state(
        f"@@ getprop\n{text}\n@@ cpus\n{text}\n@@ thermalservice\n{text}", serial="S", kind="adb", unix_time_s=0
    )
    assert state.serial == "S"


@pytest.mark.parametrize(
    "text", ["0-4294967295", "4294967295", "0-8192", "9" * 5000, "0-" + "9" * 5000, "0-8191," * 10_000, "²", "٣-٤"]
)
def test_cores_that_no_kernel_has_are_none(text: str) -> None:
    began_s = time.perf_counter()
    assert parse_cpu_list(text) == ()
    assert time.perf_counter() - began_s < 1


FIGURES = ("1e999", "9" * 5000, "-" + "9" * 300, "²", "٣", "nan", "inf", "0x1", "1e300", "-1", "99999999999999999999")


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("name", ["state_phone"])
def test_figures_that_cannot_be_are_unknown_and_the_record_can_be_read_again(name: str, figure: str) -> None:
    text = re.sub(r"(?<=[ =:|\n])[0-9]+(\.[0-9]+)?(?=[ ,}|\n])", figure, recorded(name))
    assert text.count(figure) > 100
    state = parse_state(text, serial="8BC1", kind="adb", unix_time_s=1.0)
    assert DeviceState.from_json(state.to_json()) == state
    told = [state.uptime_s, state.load_1min, state.memory_total_bytes, state.battery and state.battery.level_percent]
    assert all(value is None or 0 <= value < 1e12 for value in told)
    assert all(cpu.max_hz is None or 0 <= cpu.max_hz < 1e16 for cpu in state.cpus)


@pytest.mark.parametrize("section", ["uname", "battery", "thermalservice", "meminfo", "power", "cpuinfo", "getprop"])
@pytest.mark.parametrize("flood", ["\n" * 300_000, " " * 300_000, "a" * 300_000, "= " * 150_000, "mValue=" * 50_000])
def test_a_flood_takes_no_time(section: str, flood: str) -> None:
    began_s = time.perf_counter()
    parse_state(f"@@ {section}\n{flood}\n@@ end\n", serial="8BC1", kind="adb", unix_time_s=1.0)
    assert time.perf_counter() - began_s < 2
