"""The Monsoon meter on a fake USB unit, through the real ``monsoon`` package; differential against its own engine."""

from __future__ import annotations

import builtins
import gc
import io
import sys
import time
from contextlib import redirect_stdout

import numpy as np
import pytest

pytest.importorskip("Monsoon")

from fake_hvpm import OPENING, FakeUnit, encode_samples, plugged_in

from edgevit.errors import MeterError, MissingDependencyError
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.monsoon_packets import Scales, decode
from runtimes.power.monsoon_unit import MonsoonUnit, list_units
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import CALIBRATION, PowerTrace

SCALES = Scales(fine=36500, coarse=6400, fine_zero=15, coarse_zero=15)


def _wave(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(5))
    current = 200 + 400 * (np.arange(count) // 500 % 2) + rng.normal(0, 10, count)
    current[::3000] = 8.0  # within the fine range
    current[6250::6250] = np.nan
    current[6251::6250] = np.nan
    return current, np.full(count, 3.85) + rng.normal(0, 0.005, count)


def _record(unit: FakeUnit, *, samples: int | None = None, **options: object) -> PowerTrace:
    with plugged_in(unit), MonsoonMeter(**options) as meter:  # type: ignore[arg-type]
        meter.prepare()
        meter.start()
        deadline = time.monotonic() + 20
        while unit._next < (samples or len(unit.samples)) and time.monotonic() < deadline:
            time.sleep(0.005)
            meter.check()
        return meter.stop()


def test_recording_gives_the_currents_that_the_unit_saw() -> None:
    current, voltage = _wave()
    trace = _record(FakeUnit(samples=encode_samples(current, voltage)))
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


def test_same_numbers_as_the_vendors_sample_engine() -> None:
    from Monsoon import HVPM, pmapi, sampleEngine

    current, voltage = _wave(6000)
    samples = encode_samples(current, voltage)
    unit = FakeUnit(samples=samples)
    with plugged_in(unit), redirect_stdout(io.StringIO()):
        monsoon = HVPM.Monsoon()
        monsoon.setup_usb("12345", pmapi.USB_protocol())
        engine = sampleEngine.SampleEngine(monsoon)
        engine.ConsoleOutput(False)
        engine.startSampling(5000)
        theirs = engine.getSamples()
        monsoon.closeDevice()
    ours = _record(FakeUnit(samples=samples))
    assert ours.current_ma is not None and ours.voltage_v is not None
    there = np.isfinite(ours.current_ma)
    current_ma, voltage_v = ours.current_ma[there], ours.voltage_v[there]
    count = len(theirs[1])
    assert count > 4000
    first = next(i for i in range(600) if np.allclose(current_ma[i : i + 50], theirs[1][:50], rtol=1e-5))
    np.testing.assert_allclose(current_ma[first : first + count], theirs[1], rtol=1e-5)
    np.testing.assert_allclose(voltage_v[first : first + count], theirs[4], rtol=1e-5)


def test_calibration_that_wanders_moves_both_engines_alike() -> None:
    current, voltage = _wave()
    trace = _record(FakeUnit(samples=encode_samples(current, voltage, calibration_noise=20)))
    assert trace.current_ma is not None
    there = np.isfinite(trace.current_ma[OPENING:])
    error = trace.current_ma[OPENING:][there] - current[there]
    assert 0.05 < np.max(np.abs(error)) < 5.0


def test_samples_that_the_unit_dropped_leave_a_hole_of_their_size_and_wrap_the_counter() -> None:
    current, voltage = _wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), drops={5000: 40, 9000: 30}, first_drop_count=65500)
    trace = _record(unit)
    assert len(trace.power_mw) == len(current) + OPENING
    assert int(np.sum(trace.lost)) == 70
    assert trace.current_ma is not None
    late = slice(12_000, 19_000)
    there = np.isfinite(current[late])
    assert np.max(np.abs(trace.current_ma[OPENING:][late][there] - current[late][there])) < 0.06


def test_packets_lost_on_the_way_are_seen_in_the_sequence_numbers() -> None:
    current, voltage = _wave()
    trace = _record(FakeUnit(samples=encode_samples(current, voltage), missing=frozenset({3000, 3001, 3002})))
    assert 3 <= int(np.sum(trace.lost)) <= 9
    assert abs(len(trace.power_mw) - len(current) - OPENING) <= 6


def test_too_many_lost_samples_are_an_error() -> None:
    current, voltage = _wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), drops={5000: 600})
    with pytest.raises(MeterError, match=r"3\.0% of the Monsoon's samples were lost \(600 dropped by the unit"):
        _record(unit)
    assert unit.passthrough == 1


def test_passthrough_is_automatic_while_sampling_and_restored_after() -> None:
    current, voltage = _wave(5000)
    unit = FakeUnit(samples=encode_samples(current, voltage), passthrough=1)
    _record(unit)
    names = [name for name, _ in unit.history]
    assert unit.passthrough == 1
    assert names.index("0x10") < names.index("start") < names.index("stop")
    assert ("0x10", 2) in unit.history
    assert "0x41" not in names, "the supply voltage was touched"
    assert "reset" not in names


def test_voltage_is_set_only_when_asked() -> None:
    current, voltage = _wave(5000)
    unit = FakeUnit(samples=encode_samples(current, voltage))
    _record(unit, volts=4.2)
    assert unit.voltage == pytest.approx(4.2, abs=1e-5)


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
    current, voltage = _wave(5000)
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
    current, voltage = _wave(5000)
    unit = FakeUnit(samples=encode_samples(current, voltage), sampling=True)
    trace = _record(unit)
    assert unit.history[0][0] == "stop"
    assert len(trace.power_mw) > 4000


def test_unplugged_in_the_middle_is_an_error_and_never_a_restart() -> None:
    current, voltage = _wave()
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


def test_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.power.monsoon_reader.SILENCE_S", 0.3)
    current, voltage = _wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), silent_after=1000)
    with plugged_in(unit), MonsoonMeter() as meter:
        meter.start()
        time.sleep(0.8)
        with pytest.raises(MeterError, match="went silent"):
            meter.stop()
    assert unit.passthrough == 1, "the phone did not get its USB back"
    assert not unit.sampling


def test_nothing_at_all_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.power.monsoon_reader.SILENCE_S", 0.3)
    unit = FakeUnit()
    with plugged_in(unit), MonsoonMeter() as meter, pytest.raises(MeterError, match=r"went silent|sent nothing"):
        meter.start()
    assert unit.passthrough == 1 and not unit.sampling


def test_an_output_that_is_off_is_an_error() -> None:
    unit = FakeUnit(samples=encode_samples(np.zeros(5000), np.zeros(5000)), output_on=False)
    with pytest.raises(MeterError, match="output is off"):
        _record(unit)


@pytest.mark.alone
def test_reader_keeps_up_with_a_queue_of_16_samples() -> None:
    """Without a loss in one of three recordings: a virtual machine's host takes processor time that counts as ours."""
    current, voltage = _wave(100_000)
    losses = []
    while len(losses) < 3 and 0 not in losses:
        unit = FakeUnit(samples=encode_samples(current, voltage), realtime=True, cpu_time=True)
        trace = _record(unit)
        losses.append(int(np.sum(trace.lost)))
    assert 0 in losses, losses
    assert len(trace.power_mw) == len(unit.samples)


def test_a_reader_that_is_too_slow_would_be_caught() -> None:
    current, voltage = _wave(50_000)
    unit = FakeUnit(samples=encode_samples(current, voltage), realtime=True, cpu_time=True)

    def dawdle(read: object) -> object:
        def slow(*arguments: object) -> object:
            until = time.thread_time() + 0.006
            while time.thread_time() < until:
                pass
            return read(*arguments)  # type: ignore[operator]

        return slow

    unit.read = dawdle(unit.read)  # type: ignore[method-assign,assignment]
    with pytest.raises(MeterError, match="dropped by the unit"):
        _record(unit)


def test_short_packets_are_read_one_by_one() -> None:
    current, voltage = _wave(5000)
    short = _record(FakeUnit(samples=encode_samples(current, voltage), short_packets=True))
    full = _record(FakeUnit(samples=encode_samples(current, voltage)))
    np.testing.assert_array_equal(short.power_mw, full.power_mw)


def test_over_current_is_an_error() -> None:
    current, voltage = _wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), over_current_at=3000)
    with pytest.raises(MeterError, match="over-current"):
        _record(unit)
    assert unit.passthrough == 1


def test_interrupt_during_the_run_gives_usb_back() -> None:
    current, voltage = _wave()
    unit = FakeUnit(samples=encode_samples(current, voltage))
    with plugged_in(unit), pytest.raises(KeyboardInterrupt), MonsoonMeter() as meter:
        meter.start()
        raise KeyboardInterrupt
    assert unit.passthrough == 1 and not unit.sampling


def test_interpreter_settings_come_back() -> None:
    before = (gc.isenabled(), sys.getswitchinterval())
    current, voltage = _wave(5000)
    _record(FakeUnit(samples=encode_samples(current, voltage)))
    assert (gc.isenabled(), sys.getswitchinterval()) == before


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
    assert caught.value.hint == "pip install 'edgevit-export[monsoon]'"


def test_packets_that_are_none_are_refused() -> None:
    packets = np.zeros((10, 64), np.uint8)
    with pytest.raises(MeterError, match="claims 0 samples: expected 1 to 3"):
        decode(packets, SCALES)
    packets[:, 3] = 1
    with pytest.raises(MeterError, match="no zero calibration"):
        decode(packets, SCALES)
    with pytest.raises(MeterError, match="delivered no packet"):
        decode(packets[:0], SCALES)


@pytest.mark.parametrize("name", ["short", "ramp-tail", "drift"])
def test_whole_chain_from_simulated_phone_to_verified_energy(name: str) -> None:
    from validation.energy.analysis import analyze_energy

    made = simulate(scenario_named(name), 11)
    assert made.trace.current_ma is not None and made.trace.voltage_v is not None
    unit = FakeUnit(samples=encode_samples(made.trace.current_ma.astype(float), made.trace.voltage_v.astype(float)))
    trace = _record(unit)
    report = analyze_energy(trace, stamps=made.stamps, runs=50)
    measured = [reason for reason in report.reasons if "host's clock" not in reason]  # the fake runs faster than time
    assert measured == []
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)
    assert report.regions is not None and report.regions.found == 50
