"""The phone's battery gauge, in every maker's unit and sign."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from phone_stub import PhoneStub
from sampling import sampled, write_files

from edgevit.errors import MeterError, MissedReadingError
from runtimes.power.battery import BatteryMeter


def _battery(root: Path, current: object, voltage: object, status: str = "Discharging") -> PhoneStub:
    base = "sys/class/power_supply/battery"
    write_files(root, {f"{base}/current_now": current, f"{base}/voltage_now": voltage, f"{base}/status": status})
    return PhoneStub(root, {"dumpsys battery": "  AC powered: false\n  USB powered: false\n  voltage: 3900\n"})


@pytest.mark.parametrize(
    ("current", "voltage"), [(-512_000, 3_900_000), (512_000, 3_900_000), (-512, 3_900_000), (512, 3900), (-512, 3.9)]
)
def test_battery_takes_every_makers_unit_and_sign(tmp_path: Path, current: object, voltage: object) -> None:
    phone = _battery(tmp_path, current, voltage)
    meter = BatteryMeter(phone, period_s=0.02)
    meter.prepare()
    milliamperes, volts = meter.read_once()
    assert (milliamperes, volts) == pytest.approx((512.0, 3.9))


def test_battery_trace_follows_the_gauge(tmp_path: Path) -> None:
    phone = _battery(tmp_path, -500_000, 4_000_000)
    meter = BatteryMeter(phone, period_s=0.02)
    with meter:
        meter.prepare()
        meter.start()
        time.sleep(0.3)
        write_files(tmp_path, {"sys/class/power_supply/battery/current_now": -1_000_000})
        time.sleep(0.3)
        trace = meter.stop()
    assert trace.power_mw[0] == pytest.approx(2000.0)
    assert trace.power_mw[-1] == pytest.approx(4000.0)
    assert trace.meta["meter"] == "battery gauge of 8BC1"


def test_battery_marks_a_hole_and_takes_a_silent_gauge_for_a_passing_thing(tmp_path: Path) -> None:
    meter = BatteryMeter(_battery(tmp_path, -500_000, 4_000_000))
    seconds = np.array([0.0, 0.5, 1.5, 6.5, 7.0])
    trace = meter.trace_of(seconds, np.array([[500.0, 4.0], [500.0, 4.0], [510.0, 4.0], [900.0, 4.0], [900.0, 4.0]]))
    np.testing.assert_array_equal(np.flatnonzero(trace.lost), np.arange(31, 130))
    assert trace.voltage_v is not None and np.isnan(trace.voltage_v[trace.lost]).all()
    meter.prepare()
    (tmp_path / "sys/class/power_supply/battery/current_now").unlink()
    with pytest.raises(MissedReadingError, match="stopped answering"):
        meter.read_once()


def test_battery_that_never_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="500 mA all the time"):
        sampled(BatteryMeter(_battery(tmp_path, -500_000, 4_000_000), period_s=0.02))


def test_battery_is_refused_while_it_is_charged(tmp_path: Path) -> None:
    phone = _battery(tmp_path, 900_000, 4_000_000, status="Charging")
    with pytest.raises(MeterError, match="powered by its charger") as caught:
        BatteryMeter(phone).prepare()
    assert caught.value.hint is not None and "tcpip" in caught.value.hint
    phone.answers["dumpsys battery"] = "  AC powered: false\n  USB powered: true\n"
    with pytest.raises(MeterError, match="powered by USB"):
        BatteryMeter(phone).prepare()


def test_battery_falls_back_to_the_shell_command_and_says_when_nothing_helps(tmp_path: Path) -> None:
    phone = PhoneStub(tmp_path, {"dumpsys battery": "  USB powered: false\n  voltage: 3850\n"})
    with pytest.raises(MeterError, match="cannot be read"):
        BatteryMeter(phone).prepare()
    phone.answers["cmd battery get -f current_now"] = "-431000\n"
    meter = BatteryMeter(phone)
    meter.prepare()
    assert meter.read_once() == pytest.approx((431.0, 3.85))


def test_battery_with_a_voltage_of_no_battery_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="neither V, mV nor uV"):
        BatteryMeter(_battery(tmp_path, -500_000, 42)).prepare()


@pytest.mark.parametrize("current", ["1e30", "9" * 30, "-9" + "0" * 30])
def test_a_current_that_no_battery_gives_is_refused(tmp_path: Path, current: str) -> None:
    meter = BatteryMeter(_battery(tmp_path, 1, 4_000_000))
    write_files(tmp_path, {"sys/class/power_supply/battery/current_now": current})
    with pytest.raises(MeterError, match=r"tells a current of .*: neither mA nor uA of a battery"):
        meter.prepare()
