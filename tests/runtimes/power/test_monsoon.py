"""The Monsoon as a meter, on a fake USB unit."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("Monsoon")

from fake_hvpm import OPENING, FakeUnit, encode_samples, plugged_in
from hvpm_recording import record, wave

from edgevit.errors import MeterError
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import CALIBRATION


def test_recording_gives_the_currents_that_the_unit_saw() -> None:
    current, voltage = wave()
    trace = record(FakeUnit(samples=encode_samples(current, voltage)))
    assert trace.current_ma is not None and trace.voltage_v is not None
    measured, hole = trace.current_ma[OPENING:], np.isnan(current)
    assert len(measured) == len(current)
    np.testing.assert_array_equal(trace.flags[OPENING:] & CALIBRATION != 0, hole)
    assert np.all(np.isnan(measured[hole]))
    fine = ~hole & (current < 30)
    assert np.max(np.abs(measured[fine] - current[fine])) < 0.001
    assert np.max(np.abs(measured[~hole] - current[~hole])) < 0.06
    np.testing.assert_allclose(trace.voltage_v[OPENING:][~hole], voltage[~hole], atol=2e-4)
    assert trace.lost_share == 0.0


def test_too_many_lost_samples_are_an_error() -> None:
    current, voltage = wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), drops={5000: 600})
    with pytest.raises(MeterError, match=r"3\.0% of the Monsoon's samples were lost \(600 dropped by the unit"):
        record(unit)
    assert unit.passthrough == 1


def test_passthrough_is_automatic_while_sampling_and_restored_after() -> None:
    current, voltage = wave(5000)
    unit = FakeUnit(samples=encode_samples(current, voltage), passthrough=1)
    record(unit)
    names = [name for name, _ in unit.history]
    assert unit.passthrough == 1
    assert names.index("0x10") < names.index("start") < names.index("stop")
    assert ("0x10", 2) in unit.history
    assert "0x41" not in names, "the supply voltage was touched"
    assert "reset" not in names


def test_voltage_is_set_only_when_asked() -> None:
    current, voltage = wave(5000)
    unit = FakeUnit(samples=encode_samples(current, voltage))
    record(unit, volts=4.2)
    assert unit.voltage == pytest.approx(4.2, abs=1e-5)


def test_unplugged_in_the_middle_is_an_error_and_never_a_restart() -> None:
    current, voltage = wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), realtime=True, unplug_after=1000)
    with plugged_in(unit), MonsoonMeter() as meter:
        meter.start()
        deadline = time.monotonic() + 10
        with pytest.raises(MeterError, match="unplugged or reset"):
            while time.monotonic() < deadline:
                meter.check()
                time.sleep(0.01)
        with pytest.raises(MeterError, match="unplugged or reset"):
            meter.stop()
    assert [name for name, _ in unit.history].count("start") == 1


def test_an_output_that_is_off_is_an_error() -> None:
    unit = FakeUnit(samples=encode_samples(np.zeros(5000), np.zeros(5000)), output_on=False)
    with pytest.raises(MeterError, match="output is off"):
        record(unit)


def test_over_current_is_an_error() -> None:
    current, voltage = wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), over_current_at=3000)
    with pytest.raises(MeterError, match="over-current"):
        record(unit)
    assert unit.passthrough == 1


def test_interrupt_during_the_run_gives_usb_back() -> None:
    current, voltage = wave()
    unit = FakeUnit(samples=encode_samples(current, voltage))
    with plugged_in(unit), pytest.raises(KeyboardInterrupt), MonsoonMeter() as meter:
        meter.start()
        raise KeyboardInterrupt
    assert unit.passthrough == 1 and not unit.sampling


@pytest.mark.parametrize("name", ["short", "ramp-tail", "drift"])
def test_whole_chain_from_simulated_phone_to_verified_energy(name: str) -> None:
    from validation.energy.analysis import analyze_energy

    made = simulate(scenario_named(name), 11)
    assert made.trace.current_ma is not None and made.trace.voltage_v is not None
    unit = FakeUnit(samples=encode_samples(made.trace.current_ma.astype(float), made.trace.voltage_v.astype(float)))
    trace = record(unit)
    report = analyze_energy(trace, stamps=made.stamps, runs=50)
    measured = [reason for reason in report.reasons if "host's clock" not in reason]  # the fake runs faster than time
    assert measured == []
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)
    assert report.regions is not None and report.regions.found == 50
