"""Power traces as CSV, ours and of other tools."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgevit.errors import MeterError
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace_csv import read_trace, write_csv

COUNT = 3000


def _signal() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(1))
    seconds = np.arange(COUNT) / 5000.0
    return seconds, 300 + rng.normal(0, 5, COUNT), 3.85 + rng.normal(0, 0.001, COUNT)


def _pymonsoon(path: Path, *, numpy2: bool, milliseconds: bool = False) -> None:
    seconds, current, voltage = _signal()
    host = np.repeat(seconds[::3], 3)[:COUNT] * (1e3 if milliseconds else 1.0)  # three samples share one stamp
    number = (lambda value: f"np.float64({value!r})") if numpy2 else repr
    rows = [
        f"{number(float(a))},{number(float(b))},{number(float(c))},\n"
        for a, b, c in zip(host, current, voltage, strict=True)
    ]
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n" + "".join(rows))


def test_own_csv_round_trip_keeps_holes(tmp_path: Path) -> None:
    trace = simulate(scenario_named("short"), 2).trace
    write_csv(trace, tmp_path / "t.csv")
    again = read_trace(tmp_path / "t.csv")
    np.testing.assert_allclose(again.power_mw, trace.power_mw, atol=1e-3)
    np.testing.assert_array_equal(again.flags, trace.flags)
    assert again.rate_hz == 5000.0


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
