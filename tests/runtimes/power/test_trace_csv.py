"""Power traces as files, ours and of other tools: read right, or refused with the line and the likely cause."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgevit.errors import MeterError, UsageError
from runtimes.power.reading.columns import parse_units
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import CALIBRATION, LOST, OVER_CURRENT, PowerTrace
from runtimes.power.trace_csv import read_trace, write_csv

COUNT = 3000
DATA = Path(__file__).parents[2] / "data" / "power" / "csv"


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


def test_own_csv_round_trip_keeps_holes_and_every_column(tmp_path: Path) -> None:
    trace = simulate(scenario_named("short"), 2).trace
    voltage = (trace.voltage_v + np.linspace(0, 0.1, len(trace.power_mw))).astype(np.float32)
    trace = replace(trace, voltage_v=voltage, power_mw=trace.current_ma * voltage)
    write_csv(trace, tmp_path / "t.csv")
    again = read_trace(tmp_path / "t.csv")
    np.testing.assert_allclose(again.power_mw, trace.power_mw, atol=1e-3)
    np.testing.assert_allclose(again.current_ma, trace.current_ma, atol=1e-4)
    np.testing.assert_allclose(again.voltage_v[again.flags == 0], voltage[again.flags == 0], atol=1e-5)
    np.testing.assert_array_equal(again.flags, trace.flags)
    assert again.rate_hz == 5000.0


@pytest.mark.parametrize("rate_hz", [20.0, 137.0, 1666.7, 1667.0, 4998.4, 10_000.0])
def test_own_csv_round_trip_keeps_any_rate(tmp_path: Path, rate_hz: float) -> None:
    trace = PowerTrace(rate_hz, np.full(COUNT, 1000.0), np.zeros(COUNT, np.uint8), meta={})
    write_csv(trace, tmp_path / "t.csv")
    again = read_trace(tmp_path / "t.csv")
    assert again.rate_hz == pytest.approx(rate_hz, rel=1e-6)
    assert again.lost_share == 0.0 and len(again.power_mw) == COUNT
    assert again.measured_rate_hz() is None, "the file's times are its only clock"


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
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n0.0,1,3,\n0.0002,ouch,3,\n")
    with pytest.raises(MeterError, match=r"line 3: 'ouch' under 'Main\(mA\)' is no number"):
        read_trace(path)
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n")
    with pytest.raises(MeterError, match="0 samples"):
        read_trace(path)
    path.write_text("Time(ms),Main(mA),Main Voltage(V),\n" + "1.0,1,3,\n" * 10)
    with pytest.raises(MeterError, match="time does not advance"):
        read_trace(path)
    with pytest.raises(MeterError, match="cannot read the power trace"):
        read_trace(tmp_path / "none.csv")


POWERTOOL = "Time (s);Main Avg Current (mA);Main Avg Voltage (V)"


def _sheet(columns: Sequence[np.ndarray], heading: str = POWERTOOL, *, decimal: str = ".") -> str:
    """A CSV as other tools write them, with semicolons; times have four decimals."""
    rows = ";".join(["%.4f"] * len(columns)) + "\n"
    text = "".join(rows % row for row in zip(*columns, strict=True))
    return f"{heading}\n{text.replace('.', decimal)}"


def _quoted_with_commas(text: str) -> str:
    heading, _, rows = text.partition("\n")
    return heading.replace(";", ",") + "\n" + re.sub(r"(\d+)\.(\d+)", r'"\1,\2"', rows).replace(";", ",")


def _read(tmp_path: Path, text: str, encoding: str = "utf-8", **options: object) -> PowerTrace:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding=encoding, newline="")
    return read_trace(path, **options)  # type: ignore[arg-type]  # each test gives its own


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace(".", ","),
        lambda text: text.replace(";", ","),
        lambda text: text.replace(";", "\t").replace(".", ","),
        _quoted_with_commas,
        lambda text: "sep=;\r\n" + text.replace("\n", "\r\n"),
        lambda text: "Export of unit 7\nstarted;09:00\n\n" + text,
        lambda text: text.replace(" (s)", "").replace(" (mA)", "").replace(" (V)", "").replace("\n", "\ns;mA;V\n", 1),
        lambda text: "# by hand\n" + text.replace("\n", "\n# here it begins\n", 1) + "\n\n;;\n",
        lambda text: text.replace(";", "; ").replace("\n", ";\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_exports_of_every_country_and_program(tmp_path: Path, change: Callable[[str], str], encoding: str) -> None:
    seconds, current, voltage = _signal()
    trace = _read(tmp_path, change(_sheet((seconds, current, voltage))), encoding)
    assert (trace.rate_hz, len(trace.power_mw), trace.lost_share) == (5000.0, COUNT, 0.0)
    np.testing.assert_allclose(trace.power_mw, current * voltage, rtol=1e-4)
    np.testing.assert_allclose(trace.voltage_v, voltage, atol=1e-4)


def test_thousands_in_quotes_are_thousands_and_a_cell_too_many_is_an_error() -> None:
    trace = read_trace(DATA / "thousands.csv")
    np.testing.assert_allclose(trace.current_ma, 1200.5 + np.arange(10))
    np.testing.assert_allclose(trace.voltage_v, 3.85)
    with pytest.raises(MeterError, match=r"line 2: '0\.0000,1,200\.5,3\.85' has 4 cells, its heading has 3"):
        read_trace(DATA / "extra-cell.csv")


def test_other_delimiters_decimal_marks_and_units_by_option(tmp_path: Path) -> None:
    seconds, current, voltage = _signal()
    text = _sheet((seconds * 1e3, -current / 1e3, voltage * 1e3), "time;current;voltage").replace(";", "|")
    with pytest.raises(MeterError, match=r"a heading only where it is split at '\|'"):
        _read(tmp_path, text)
    with pytest.raises(MeterError, match="names no unit"):
        _read(tmp_path, text, delimiter="|")
    units = {"time": "ms", "current": "-A", "voltage": "mV"}
    trace = _read(tmp_path, text, delimiter="|", units=units)
    assert trace.rate_hz == 5000.0
    np.testing.assert_allclose(trace.power_mw, current * voltage, rtol=1e-3)
    unclear = "time_s;current_ma;voltage_v\n" + "".join(f"1,{row:03};300,500;3,850\n" for row in range(0, 400, 10))
    with pytest.raises(MeterError, match=r"line 2: the comma in '1,000' can be"):
        _read(tmp_path, unclear)
    trace = _read(tmp_path, unclear, decimal=",")
    assert trace.rate_hz == 100.0
    np.testing.assert_allclose(trace.power_mw, 300.5 * 3.85, rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{"delimiter": ";;"}, {"delimiter": '"'}, {"decimal": ";"}, {"decimal": ",", "delimiter": ","}]
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"delimiter|decimal mark"):
        _read(tmp_path, "", **options)


def test_options_of_a_csv_are_none_of_an_npz(tmp_path: Path) -> None:
    for options in ({"delimiter": ";"}, {"decimal": ","}, {"units": {"time": "ms"}}):
        with pytest.raises(UsageError, match="its units are known"):
            read_trace(tmp_path / "t.npz", **options)  # type: ignore[arg-type]  # of three types


@pytest.mark.parametrize(
    ("columns", "words", "hint"),
    [
        (lambda s, i, v: (s * 1e3, i, v), "5 samples a second over 600 s", "--units time=ms"),
        (lambda s, i, v: (s, i, v * 1e3), "voltage of 3850 V", "--units voltage=mV"),
        (lambda s, i, v: (s, -i, v), "negated", "--units current=-mA"),
        (lambda s, i, v: (s, i / 1e3, v), "looks like A", "--units current=A"),
    ],
)
def test_wrong_units_are_refused_and_mended_by_the_option_of_the_hint(
    tmp_path: Path, columns: Callable[..., tuple[np.ndarray, ...]], words: str, hint: str
) -> None:
    seconds, current, voltage = _signal()
    text = _sheet(columns(seconds, current, voltage))
    with pytest.raises(MeterError, match=words) as caught:
        _read(tmp_path, text)
    assert caught.value.hint is not None and hint in caught.value.hint
    units = parse_units(re.search(r"--units ([^ ,]+)", caught.value.hint).group(1))  # type: ignore[union-attr]
    trace = _read(tmp_path, text, units=units)
    assert trace.rate_hz == 5000.0
    np.testing.assert_allclose(np.mean(trace.power_mw), np.mean(current * voltage), rtol=1e-3)


def test_faipep_in_ms_and_a_power_that_is_not_the_product_are_refused(tmp_path: Path) -> None:
    seconds, current, voltage = _signal()
    usb, heading = np.full(COUNT, 10.0), "time;current;voltage;usb_current;usb_voltage;total_power"
    power = current * voltage + 100.0
    with pytest.raises(MeterError, match="look like ms"):
        _read(tmp_path, _sheet((seconds * 1e3, current, voltage, usb, usb, power), heading))
    for wrong, hint in ((power / 1e3, "power=W"), (power - 100.0, "different channels")):
        with pytest.raises(MeterError, match="column of power says") as caught:
            _read(tmp_path, _sheet((seconds, current, voltage, usb, usb, wrong), heading))
        assert caught.value.hint is not None and hint in caught.value.hint


@pytest.mark.parametrize("rate_hz", [137.0, 1667.0, 5000.0])
def test_rows_that_are_missing_leave_holes_where_they_were(tmp_path: Path, rate_hz: float) -> None:
    _, current, voltage = _signal()
    rows = np.flatnonzero((np.arange(COUNT) % 50 != 7) & ((np.arange(COUNT) < 900) | (np.arange(COUNT) >= 1100)))
    trace = _read(tmp_path, _sheet((rows / rate_hz, current[rows], voltage[rows])))
    assert trace.rate_hz == pytest.approx(rate_hz, rel=1e-4)
    there = np.isin(np.arange(COUNT), rows)
    np.testing.assert_array_equal(trace.flags, np.where(there, 0, LOST))
    np.testing.assert_array_equal(np.isfinite(trace.power_mw), there)
    np.testing.assert_allclose(trace.power_mw[there], (current * voltage)[there], rtol=1e-4)


def test_packets_keep_the_hosts_clock_beside_the_samples(tmp_path: Path) -> None:
    _pymonsoon(tmp_path / "m.csv", numpy2=False)
    stamps = read_trace(tmp_path / "m.csv").host_stamps
    np.testing.assert_allclose(stamps[:, 1], stamps[:, 0] / 5000.0, atol=0.0005)
    assert len(stamps) == COUNT / 500


def test_empty_cells_are_gaps_and_flags_have_to_be_flags(tmp_path: Path) -> None:
    heading = "time_s;current_ma;voltage_v;power_mw;flags\n"
    trace = _read(tmp_path, heading + "0.0;100;4;400;0\n0.01;;;;0\n0.02;;;;2\n0.03;100;4;400;4\n")
    np.testing.assert_array_equal(trace.flags, [0, LOST, CALIBRATION, OVER_CURRENT])
    for flags in ("300", "-1", "1.5", ""):
        with pytest.raises(MeterError, match=r"line 3: flags of .*expected a whole number, 0 to 255"):
            _read(tmp_path, heading + f"0.0;100;4;400;0\n0.01;100;4;400;{flags}\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_column_that_is_missing_is_named_with_the_line_of_the_heading(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("recorded in June\n" + delimiter.join(("time (s)", "current (mA)")) + f"\n0{delimiter}1\n")
    expected = r"line 2: the heading 'time \(s\)', 'current \(mA\)' has no column of voltage"
    with pytest.raises(MeterError, match=expected):
        read_trace(path)


def test_a_trace_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(MeterError, match="it is a pipe, expected a file"):
        read_trace(tmp_path / "t.csv")


def test_a_second_current_is_kept_in_mind(tmp_path: Path) -> None:
    seconds, current, voltage = _signal()
    columns = (seconds, current, voltage, current / 7)
    trace = _read(tmp_path, _sheet(columns, "time_s;current_ma;voltage_v;usb current_ma"))
    assert trace.meta["columns not read"] == "usb current_ma"
    np.testing.assert_allclose(trace.power_mw, current * voltage, rtol=1e-3)
    assert "columns not read" not in _read(tmp_path, _sheet(columns[:3], "time_s;current_ma;voltage_v")).meta
