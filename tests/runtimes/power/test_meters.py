"""The table of meters, opened by name and listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from phone_stub import PhoneStub

from edgevit.errors import UsageError
from runtimes.devices.host import HostDevice
from runtimes.power.meter import MeterOptions
from runtimes.power.meters import METERS, list_meters, open_meter


def test_meters_by_name(tmp_path: Path) -> None:
    phone = PhoneStub(tmp_path, {})
    for name in ("monsoon", "battery", "rails", "hwmon"):
        assert open_meter(name, phone).name == name
    with pytest.raises(UsageError, match="rapl measures this machine, not 8BC1"):
        open_meter("rapl", phone)
    with pytest.raises(UsageError, match="battery is read from an Android device"):
        open_meter("battery", HostDevice(tmp_path))
    with pytest.raises(UsageError, match="unknown energy meter 'monson'") as caught:
        open_meter("monson", phone)
    assert caught.value.hint == "did you mean 'monsoon'?"
    with pytest.raises(UsageError, match="no serial and no voltage"):
        open_meter("rails", phone, MeterOptions(volts=4.0))
    with pytest.raises(UsageError, match="no rails to choose"):
        open_meter("battery", phone, MeterOptions(rails=("CPU",)))


def test_listing_meters_touches_nothing_and_says_why_not(tmp_path: Path) -> None:
    rows = {row.name: row for row in list_meters(PhoneStub(tmp_path, {}))}
    assert list(rows) == list(METERS)
    assert rows["battery"].usable is False and "cannot be read" in rows["battery"].why_not
    assert {row.name for row in list_meters(None) if row.usable is None} == {"battery", "rails"}
