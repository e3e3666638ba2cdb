"""Units are found, claimed and checked through the real ``monsoon`` package, on a fake USB."""

from __future__ import annotations

import builtins
import time

import numpy as np
import pytest

pytest.importorskip("Monsoon")

from fake_hvpm import FakeUnit, encode_samples, plugged_in
from hvpm_recording import record, wave

from edgevit.errors import MeterError, MissingDependencyError
from edgevit.installation import install_extra
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.monsoon_unit import MonsoonUnit, list_units


@pytest.mark.parametrize("volts", [0.0, 14.0, -1.0])
def test_voltages_that_would_harm_are_refused(volts: float) -> None:
    unit = FakeUnit()
    with plugged_in(unit), pytest.raises(MeterError, match=r"0\.8 to 13\.5 V"):
        MonsoonMeter(volts=volts).prepare()
    assert unit.voltage == 3.85


def test_bad_factory_calibration_of_the_supply_is_refused_by_name() -> None:
    with plugged_in(FakeUnit(dac_low=0x1000)), pytest.raises(MeterError, match="dacCalLow out of tolerance"):
        MonsoonMeter(volts=4.0).prepare()


def test_no_unit() -> None:
    with plugged_in(), pytest.raises(MeterError, match="no Monsoon power monitor was found"):
        MonsoonMeter().prepare()


def test_several_units_need_a_serial_and_work_side_by_side() -> None:
    current, voltage = wave(5000)
    one = FakeUnit(serial="111", samples=encode_samples(current, voltage))
    two = FakeUnit(serial="222", samples=encode_samples(2 * current, voltage))
    with plugged_in(one, two):
        assert list_units() == ["111", "222"]
        with pytest.raises(MeterError, match="2 Monsoon units are connected: 111, 222"):
            MonsoonMeter().prepare()
        with pytest.raises(MeterError, match="no Monsoon with serial 333: connected are 111, 222"):
            MonsoonMeter("333").prepare()
        with MonsoonMeter("111") as first, MonsoonMeter("222") as second:
            first.start()
            second.start()
            time.sleep(0.5)
            a, b = first.stop(), second.stop()
    count = min(len(a.power_mw), len(b.power_mw))
    assert count > 200
    both = np.isfinite(a.power_mw[:count]) & np.isfinite(b.power_mw[:count]) & (a.power_mw[:count] > 100)
    np.testing.assert_allclose(b.power_mw[:count][both] / a.power_mw[:count][both], 2.0, rtol=0.01)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (FakeUnit(busy=True), "in use by another program"),
        (FakeUnit(forbidden=True), "no permission"),
        (FakeUnit(model=1), "not an HVPM"),
        (FakeUnit(firmware=25), "firmware 25: at least 32"),
    ],
)
def test_units_that_cannot_be_used_say_why(unit: FakeUnit, words: str) -> None:
    with plugged_in(unit), pytest.raises(MeterError, match=words) as caught:
        MonsoonMeter().prepare()
    assert caught.value.hint or unit.model == 1
    assert unit.passthrough == 1


def test_permission_hint_is_the_udev_rule() -> None:
    with plugged_in(FakeUnit(forbidden=True)), pytest.raises(MeterError) as caught:
        list_units()
    assert caught.value.hint is not None and 'ATTR{idVendor}=="2ab9"' in caught.value.hint


def test_a_unit_left_sampling_by_a_dead_program_is_stopped_first() -> None:
    current, voltage = wave(5000)
    unit = FakeUnit(samples=encode_samples(current, voltage), sampling=True)
    trace = record(unit)
    assert unit.history[0][0] == "stop"
    assert len(trace.power_mw) > 4000


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with plugged_in(FakeUnit(firmware=25, model=1)), pytest.raises(MeterError):
        MonsoonUnit()
    assert capsys.readouterr().out == ""


def test_missing_package_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: object, **keywords: object) -> object:
        if name.partition(".")[0] == "Monsoon":
            raise ModuleNotFoundError("No module named 'Monsoon'", name="Monsoon")
        return original(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError) as caught:
        MonsoonMeter().prepare()
    assert caught.value.hint == install_extra("monsoon")
