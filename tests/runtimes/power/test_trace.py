"""Power traces: storage, CSV of other tools, and the simulator's exactness."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgevit.errors import ArtifactError, MeterError, UsageError
from runtimes.power.scenarios import SCENARIOS, TABLE, scenario_named
from runtimes.power.simulate import RATE_HZ, Busy, simulate
from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import CALIBRATION, LOST, OVER_CURRENT, PowerTrace, from_counter, from_readings
from runtimes.power.trace_csv import read_trace, write_csv

COUNT = 3000


def _signal() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(1))
    seconds = np.arange(COUNT) / 5000.0
    return seconds, 300 + rng.normal(0, 5, COUNT), 3.85 + rng.normal(0, 0.001, COUNT)


def test_saved_traces_come_back_whole(tmp_path: Path) -> None:
    trace = simulate(scenario_named("short"), 1).trace
    trace.save(tmp_path / "t.npz")
    again = PowerTrace.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.power_mw, trace.power_mw)
    np.testing.assert_array_equal(again.flags, trace.flags)
    np.testing.assert_array_equal(again.host_stamps, trace.host_stamps)
    assert (again.rate_hz, again.meta) == (trace.rate_hz, trace.meta)


def test_damaged_and_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="cannot read the power trace"):
        PowerTrace.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and nothing")
    with pytest.raises(MeterError, match=r"bad\.npz"):
        PowerTrace.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(MeterError, match="is not a power trace"):
        PowerTrace.load(tmp_path / "other.npz")


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MeterError, match=r"flags has shape \(3,\), power_mw \(4,\)"):
        PowerTrace(5000.0, np.zeros(4), np.zeros(3, np.uint8))
    with pytest.raises(MeterError, match="positive sample rate"):
        PowerTrace(0.0, np.zeros(4), np.zeros(4, np.uint8))


def test_flags_and_rate_are_told() -> None:
    flags = np.zeros(20_000, np.uint8)
    flags[:200], flags[300:310], flags[400] = LOST, CALIBRATION, OVER_CURRENT
    index = np.arange(0, 20_000, 100.0)
    trace = PowerTrace(5000.0, np.zeros(20_000), flags, host_stamps=np.stack([index, index / 5010.0], axis=1))
    assert trace.lost_share == pytest.approx(0.01)
    assert trace.over_current
    assert trace.measured_rate_hz() == pytest.approx(5010.0)
    part = trace.section(1.0, 2.0)
    assert len(part.power_mw) == 5000 and part.host_stamps[0, 0] == 0.0


def test_own_csv_round_trip_keeps_holes(tmp_path: Path) -> None:
    trace = simulate(scenario_named("short"), 2).trace
    write_csv(trace, tmp_path / "t.csv")
    again = read_trace(tmp_path / "t.csv")
    np.testing.assert_allclose(again.power_mw, trace.power_mw, atol=1e-3)
    np.testing.assert_array_equal(again.flags, trace.flags)
    assert again.rate_hz == 5000.0


def _pymonsoon(path: Path, *, numpy2: bool, milliseconds: bool = False) -> None:
    seconds, current, voltage = _signal()
    host = np.repeat(seconds[::3], 3)[:COUNT] * (1e3 if milliseconds else 1.0)  # three samples share one stamp
    number = (lambda value: f"np.float64({value!r})") if numpy2 else repr
    rows = [
        f"{number(float(a))},{number(float(b))},{number(float(c))},\n"
        for a, b, c in zip(host, current, voltage, strict=True)
    ]
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n" + "".join(rows))


@pytest.mark.parametrize("numpy2", [False, True])
@pytest.mark.parametrize("milliseconds", [False, True])
def test_pymonsoon_with_and_without_numpy_2(tmp_path: Path, numpy2: bool, milliseconds: bool) -> None:
    _pymonsoon(tmp_path / "m.csv", numpy2=numpy2, milliseconds=milliseconds)
    _, current, voltage = _signal()
    trace = read_trace(tmp_path / "m.csv")
    assert trace.rate_hz == 5000.0
    np.testing.assert_allclose(trace.power_mw, current * voltage, rtol=1e-5)
    assert trace.meta["meter"] == "CSV of PyMonsoon"


def test_pymonsoon_files_by_its_own_engine_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("Monsoon")
    import io
    from contextlib import redirect_stdout

    from fake_hvpm import FakeUnit, encode_samples, plugged_in
    from Monsoon import HVPM, pmapi, sampleEngine

    _, current, voltage = _signal()
    unit = FakeUnit(samples=encode_samples(np.tile(current, 3), np.tile(voltage, 3)))
    clock = SimpleNamespace(time=lambda: getattr(unit, "_next", 0) / 5000.0, sleep=lambda seconds: None)
    monkeypatch.setattr(sampleEngine, "time", clock)
    with plugged_in(unit), redirect_stdout(io.StringIO()):
        monsoon = HVPM.Monsoon()
        monsoon.setup_usb("12345", pmapi.USB_protocol())
        engine = sampleEngine.SampleEngine(monsoon)
        engine.ConsoleOutput(False)
        engine.enableCSVOutput(str(tmp_path / "engine.csv"))
        engine.startSampling(2000)
        monsoon.closeDevice()
    trace = read_trace(tmp_path / "engine.csv")
    assert len(trace.power_mw) > 1500
    assert float(np.median(trace.power_mw)) == pytest.approx(300 * 3.85, rel=0.01)


def test_powertool_and_faipep(tmp_path: Path) -> None:
    seconds, current, voltage = _signal()
    power = current * voltage
    rows = "".join(
        f"{t:.4f},{a:.4f},{v:.4f},{p:.4f}\n" for t, a, v, p in zip(seconds, current, voltage, power, strict=True)
    )
    (tmp_path / "p.csv").write_text("Time (s),Main Avg Current (mA),Main Avg Voltage (V),Main Avg Power (mW)\n" + rows)
    rows = "".join(
        f"{t:.4f}, {a:.4f}, {v:.4f}, 10.0000, 5.0000, {p + 50:.4f}\n"
        for t, a, v, p in zip(seconds, current, voltage, power, strict=True)
    )
    (tmp_path / "f.csv").write_text("time, current, voltage, usb_current, usb_voltage, total_power\n" + rows)
    np.testing.assert_allclose(read_trace(tmp_path / "p.csv").power_mw, power, rtol=1e-4)
    np.testing.assert_allclose(read_trace(tmp_path / "f.csv").power_mw, power + 50, rtol=1e-4)


def test_unknown_and_broken_csv_are_errors_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(MeterError, match="is of no known power trace"):
        read_trace(path)
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n0.0,1,3\n0.0002,ouch,3\n")
    with pytest.raises(MeterError, match=r"line 3: '0\.0002,ouch,3'"):
        read_trace(path)
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n")
    with pytest.raises(MeterError, match="0 samples"):
        read_trace(path)
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n" + "1.0,1,3\n" * 10)
    with pytest.raises(MeterError, match="time does not advance"):
        read_trace(path)
    with pytest.raises(MeterError, match="cannot read the power trace"):
        read_trace(tmp_path / "none.csv")


def test_csv_with_samples_missing_all_over_is_refused(tmp_path: Path) -> None:
    seconds, current, voltage = _signal()
    keep = np.arange(COUNT) % 7 < 4
    rows = "".join(
        f"{t:.4f},{a:.3f},{v:.3f}\n" for t, a, v in zip(seconds[keep], current[keep], voltage[keep], strict=True)
    )
    (tmp_path / "m.csv").write_text("Time(ms),Main(mA),Main Voltage(V)\n" + rows)
    with pytest.raises(MeterError, match="samples are missing, and nothing says where"):
        read_trace(tmp_path / "m.csv")


def test_counters_keep_their_energy_and_may_not_fall() -> None:
    seconds = np.array([0.0, 0.33, 1.0, 1.5])
    trace = from_counter(seconds, np.array([0.0, 10.0, 40.0, 45.0]), rate_hz=100.0)
    assert float(np.sum(trace.power_mw)) / 100.0 == pytest.approx(45.0)
    with pytest.raises(MeterError, match="went backwards after reading 1"):
        from_counter(seconds, np.array([0.0, 10.0, 4.0, 45.0]), rate_hz=100.0)
    with pytest.raises(MeterError, match="at least 2 readings"):
        from_readings(np.array([0.0]), np.array([1.0]), rate_hz=10.0)


def test_same_seed_same_trace_and_other_seeds_differ() -> None:
    one, two = simulate(scenario_named("clean"), 4), simulate(scenario_named("clean"), 4)
    np.testing.assert_array_equal(one.trace.power_mw, two.trace.power_mw)
    assert one.truth == two.truth and one.stamps == two.stamps
    assert simulate(scenario_named("clean"), 5).truth.active_mj != one.truth.active_mj


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_truth_is_exactly_what_is_in_the_trace(scenario) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    silent = replace(
        scenario, noise_mw=0.0, wander_mw=0.0, spikes_per_s=0.0, foreign_per_s=0.0, radio_period_s=0.0, lost_share=0.0,
        drift_mw_per_s=0.0, step_mw=0.0, pulses_ms=(), idle_mw=0.0,
    )  # fmt: skip
    made = simulate(silent, 6)
    power = np.nan_to_num(made.trace.power_mw.astype(np.float64))
    calibration = np.isnan(made.trace.power_mw)
    start = made.truth.starts_s[0]
    after = np.arange(len(power)) / RATE_HZ >= start
    hidden = float(np.sum(calibration & after)) / RATE_HZ * scenario.burst_mw
    total = float(np.sum(power[after])) / RATE_HZ
    assert total == pytest.approx(made.truth.total_mj * scenario.runs, abs=hidden + scenario.burst_mw * 0.06 + 1.0)
    assert made.truth.total_mj >= made.truth.active_mj
    assert made.truth.window_mj >= made.truth.active_mj


def test_busy_intervals_integrate_analytically() -> None:
    busy = Busy(1.0, 1.1, 1000.0, ramp_s=0.01, ramp_from=0.5, tail_s=0.03, tail_mw=300.0, tail_decays=True)
    grid = np.linspace(0.9, 1.3, 400_001)
    x = grid - 1.0
    inside = (x >= 0) & (x <= 0.1)
    power = np.where(inside, 1000 * (1 - 0.5 * np.exp(-x / 0.01)), 0.0)
    numeric = float(np.sum(power) * (grid[1] - grid[0]))
    assert float(busy.active_mj(2.0)) == pytest.approx(numeric, rel=1e-4)
    tail = np.where((x > 0.1) & (x <= 0.16), 300 * np.exp(-(x - 0.1) / 0.01), 0.0)
    assert float(busy.tail_mj(2.0)) == pytest.approx(float(np.sum(tail) * (grid[1] - grid[0])), rel=1e-3)


def test_ten_scenarios_make_the_table_and_unknown_ones_are_named() -> None:
    assert len(TABLE) == 10
    with pytest.raises(UsageError, match="unknown scenario 'claen'") as caught:
        scenario_named("claen")
    assert caught.value.hint == "did you mean 'clean'?"


def test_stamps_that_are_no_sequence_are_refused() -> None:
    good = Window(start_ns=10, end_ns=20)
    with pytest.raises(ArtifactError, match="at least one burst"):
        RunStamps(bursts=())
    with pytest.raises(ArtifactError, match="not after"):
        RunStamps(bursts=(Window(start_ns=5, end_ns=5),))
    with pytest.raises(ArtifactError, match="before"):
        RunStamps(bursts=(good, Window(start_ns=15, end_ns=30)))
    assert RunStamps(bursts=(good,), inferences_per_burst=4).inferences == 4
