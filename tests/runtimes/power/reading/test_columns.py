"""Headings and units: every tool's, and what the user says."""

from __future__ import annotations

import pytest

from edgevit.errors import MeterError, UsageError
from runtimes.power.reading.columns import columns_of, is_heading, lacking, parse_units, units_below


@pytest.mark.parametrize(
    ("heading", "tool", "factors"),
    [
        ("time_s,current_ma,voltage_v,power_mw,flags", "edgevit-export", (1.0, 1.0, 1.0, 1.0)),
        ("Time(ms),Main(mA),USB(mA),Main Voltage(V),", "PyMonsoon", (1e-3, 1.0, 1.0, None)),
        (
            "Time (s),Main Avg Current (mA),Main Avg Voltage (V),Main Avg Power (mW)",
            "PowerTool",
            (1.0, 1.0, 1.0, 1.0),
        ),
        ("time, current, voltage, usb_current, usb_voltage, total_power", "FAI-PEP", (1.0, 1.0, 1.0, 1.0)),
        ("Timestamp (us),Current [\u00b5A],Voltage [mV]", "other tools", (1e-6, 1e-3, 1e-3, None)),
        ("T_ms,I_A,U_V,P_W", "other tools", (1e-3, 1e3, 1.0, 1e3)),
        ("elapsed s,power w", "other tools", (1.0, None, None, 1e3)),
    ],
)
def test_headings_tell_tool_and_units(heading: str, tool: str, factors: tuple[float | None, ...]) -> None:
    names = tuple(name.strip() for name in heading.split(","))
    assert is_heading(names)
    columns = columns_of(names, {}, "x.csv")
    assert columns.layout.name == tool
    assert tuple(columns.factors.get(role) for role in ("time", "current", "voltage", "power")) == factors


@pytest.mark.parametrize("heading", ["a,b", "time,current", "current_ma,voltage_v", "0.1,0.2,0.3", ""])
def test_other_lines_are_no_headings(heading: str) -> None:
    assert not is_heading(tuple(heading.split(",")))


def test_units_that_nobody_tells_are_asked_for_and_what_the_user_says_counts() -> None:
    names = ("time", "current", "voltage (V)")
    with pytest.raises(MeterError, match="names no unit of time, current") as caught:
        columns_of(names, {}, "x.csv")
    assert caught.value.hint is not None and "--units time=s,current=mA" in caught.value.hint
    columns = columns_of(names, parse_units("time=ms, current=-A,voltage=mV"), "x.csv")
    assert columns.factors == {"time": 1e-3, "current": -1e3, "voltage": 1e-3}
    assert columns.stated == {"time", "current", "voltage"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("amps=A", "unknown column 'amps': choose from current, power, time, voltage"),
        ("time", "unknown unit of time ''"),
        ("time=mA", "unknown unit of time 'mA': choose from ms, ns, s, us"),
        ("time=-s", "unknown unit of time '-s'"),
        ("voltage=kV", "unknown unit of voltage 'kV'"),
        ("power=MW", "unknown unit of power 'MW'"),
        ("current=A,current=mA", "two units of current are given: A and mA"),
    ],
)
def test_units_that_there_are_not_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_units(text)


def test_units_of_a_column_that_is_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="has no column of power"):
        columns_of(("time_s", "current_ma", "voltage_v"), {"power": "W"}, "x.csv")


def test_headings_with_a_strange_unit_or_a_column_twice_are_refused() -> None:
    with pytest.raises(MeterError, match="'min' in the heading is no known unit of time") as caught:
        columns_of(("Time (min)", "current_ma", "voltage_v"), {}, "x.csv")
    assert caught.value.hint == "--units time=UNIT"
    with pytest.raises(MeterError, match="2 columns hold the current: current_ma, Current"):
        columns_of(("time_s", "current_ma", "voltage_v", "Current (A)"), {}, "x.csv")


def test_a_line_of_units_below_belongs_to_the_heading() -> None:
    names = ("time", "current", "voltage", "note")
    assert units_below(names, ("s", "[mA]", "(V)", "")) == ("time (s)", "current (ma)", "voltage (v)", "note")
    told = ("time (s)", "current", "voltage", "note")
    assert units_below(told, ("s", "mA", "V", "")) == ("time (s)", "current (ma)", "voltage (v)", "note")
    assert units_below(told, ("ms", "mA", "V", "")) is None
    for below in (("0.1", "1", "2", ""), ("s", "mA", "V"), ("", "", "", ""), ("s", "mA", "V", "remark")):
        assert units_below(names, below) is None


@pytest.mark.parametrize(
    ("heading", "missing"),
    [
        ("time (s),current (mA)", "voltage (or power alone)"),
        ("time (s),Main(mA),note", "voltage (or power alone)"),
        ("timestamp,temperature", "current and voltage (or power alone)"),
        ("current (mA),voltage (V)", "time"),
        ("power (mW),note", "time"),
        ("Zeit,Strom,Spannung", None),
        ("time (s),current (mA),voltage (V)", None),
    ],
)
def test_what_a_heading_lacks(heading: str, missing: str | None) -> None:
    assert lacking(tuple(heading.split(","))) == missing


@pytest.mark.parametrize("heading", ["power_MW", "Power (MW)", "power [MW]", "p/MW"])
def test_mega_is_not_taken_for_milli(heading: str) -> None:
    names = ("time_s", heading)
    with pytest.raises(MeterError, match="'MW' in the heading is no known unit of power") as caught:
        columns_of(names, {}, "x.csv")
    assert caught.value.hint == "--units power=mW, if milli is meant"
    assert columns_of(names, {"power": "mW"}, "x.csv").factors["power"] == 1.0


def test_headings_in_capitals_say_nothing_by_them() -> None:
    assert columns_of(("TIME_MS", "POWER (MW)"), {}, "x.csv").factors == {"time": 1e-3, "power": 1.0}


def test_what_is_not_read_is_known() -> None:
    names = ("time_s", "current_a", "voltage_v", "usb current_a", "")
    assert columns_of(names, {}, "x.csv").unread == ("usb current_a",)
    assert columns_of(("time_s", "power_w"), {}, "x.csv").unread == ()
