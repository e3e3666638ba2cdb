"""Power traces: stored, checked, and made from readings."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edgevit.errors import MeterError
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import CALIBRATION, LOST, OVER_CURRENT, PowerTrace, from_counter, from_readings


def test_saved_traces_come_back_whole(tmp_path: Path) -> None:
    trace = simulate(scenario_named("short"), 1).trace
    trace.save(tmp_path / "t.npz")
    again = PowerTrace.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.power_mw, trace.power_mw)
    np.testing.assert_array_equal(again.flags, trace.flags)
    np.testing.assert_array_equal(again.host_stamps, trace.host_stamps)
    assert (again.rate_hz, again.meta) == (trace.rate_hz, trace.meta)


def test_damaged_and_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="cannot read power trace"):
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


def _stored(path: Path, **changed: object) -> Path:
    """A trace's file with some of its arrays changed; None takes one out."""
    header = {"schema_version": 1, "rate_hz": 5000.0, "meta": {}}
    arrays: dict[str, object] = {
        "header": np.array(json.dumps(header)), "host_stamps": np.zeros((0, 2)), "power_mw": np.full(4, 800.0),
        "flags": np.zeros(4, np.uint8), "voltage_v": np.full(4, 3.85),
    }  # fmt: skip
    np.savez_compressed(path, **{name: value for name, value in {**arrays, **changed}.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"flags": np.array([0, 300, 0, 0])}, "flags are not whole numbers of 0 to 255"),
        ({"flags": np.array([0, -1, 0, 0])}, "flags are not whole numbers of 0 to 255"),
        ({"flags": np.zeros(4)}, "flags are not whole numbers of 0 to 255"),
        ({"power_mw": np.array([800, 800, 800, 800])}, "power_mw holds int64"),
        ({"power_mw": np.array(["a"] * 4)}, "power_mw holds <U1"),
        (
            {"power_mw": np.full((4, 1), 800.0), "flags": np.zeros((4, 1), np.uint8), "voltage_v": None},
            r"expected \(n,\)",
        ),
        ({"power_mw": np.float64(1.0), "flags": np.uint8(0), "voltage_v": None}, r"expected \(n,\)"),
        ({"host_stamps": np.zeros(3)}, r"host_stamps \(3,\)"),
        ({"host_stamps": np.array([[0.0, np.nan]])}, "a host stamp is not finite"),
        ({"power_mw": np.array([800.0, np.inf, 800.0, 800.0])}, "power of sample 1 is infinite"),
        ({"voltage_v": np.full(4, 3850.0)}, "a voltage of 3850 V"),
        ({"power_mw": np.full(4, -800.0)}, "the power is negative"),
        ({"surplus": np.zeros(4)}, "it holds surplus as well"),
        ({"flags": None}, "flags"),
        ({"header": np.array('{"schema_version": 2}')}, "its header is a TraceHeader record of a newer version"),
        ({"header": np.array("[" * 100_000)}, "is not a valid TraceHeader record"),
        ({"header": np.array('{"schema_version": 1, "rate_hz": 1e999, "meta": {}}')}, "Number out of range"),
        ({"header": np.array('{"schema_version": 1, "rate_hz": 0.01, "meta": {}}')}, "0.01 samples a second"),
        ({"power_mw": np.zeros(20_000_000)}, "would unpack to 160,000,"),
    ],
)
def test_files_that_cannot_be_a_trace_are_refused(tmp_path: Path, changed: dict[str, object], words: str) -> None:
    with pytest.raises(MeterError, match=words) as caught:
        PowerTrace.load(_stored(tmp_path / "t.npz", **changed))
    assert "t.npz" in caught.value.message


def test_files_of_an_older_numpy_and_with_nothing_measured_are_read(tmp_path: Path) -> None:
    trace = PowerTrace.load(_stored(tmp_path / "t.npz", power_mw=np.full(4, np.nan, ">f4"), flags=np.full(4, 2)))
    assert trace.flags.dtype == np.uint8 and trace.power_mw.dtype.isnative
    assert PowerTrace.load(_stored(tmp_path / "t.npz", power_mw=np.zeros(4))).power_mw.sum() == 0.0


def test_any_damage_to_a_file_is_told_as_damage(tmp_path: Path) -> None:
    whole = _stored(tmp_path / "t.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        (tmp_path / "d.npz").write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
        with suppress(MeterError):
            PowerTrace.load(tmp_path / "d.npz")


def test_counters_keep_their_energy_and_may_not_fall() -> None:
    seconds = np.array([0.0, 0.33, 1.0, 1.5])
    trace = from_counter(seconds, np.array([0.0, 10.0, 40.0, 45.0]), rate_hz=100.0, period_s=0.5)
    assert float(np.sum(trace.power_mw)) / 100.0 == pytest.approx(45.0)
    assert trace.lost_share == 0.0
    with pytest.raises(MeterError, match="went backwards after reading 1"):
        from_counter(seconds, np.array([0.0, 10.0, 4.0, 45.0]), rate_hz=100.0, period_s=0.5)
    with pytest.raises(MeterError, match="at least 2 readings"):
        from_readings(np.array([0.0]), np.array([1.0]), rate_hz=10.0, period_s=0.1)
    with pytest.raises(MeterError, match=r"does not advance: 1\.0 s, then 1\.0 s"):
        from_readings(np.array([0.0, 1.0, 1.0]), np.ones(3), rate_hz=10.0, period_s=0.1)


def _with_a_hole() -> np.ndarray:
    """Readings every 0.1 s from 7 to 12 s, but for those from 8.1 to 8.9 s, and one that comes 0.04 s late."""
    seconds = np.round(np.arange(7.0, 12.0001, 0.1), 6)
    seconds = seconds[(seconds < 8.05) | (seconds > 8.95)]
    seconds[30] += 0.04
    return seconds


def test_missed_readings_are_holes_and_no_straight_lines() -> None:
    seconds = _with_a_hole()
    power = np.where(seconds < 8.5, 1000.0, 3000.0)
    trace = from_readings(seconds, power, rate_hz=10.0, period_s=0.1, current_ma=power / 4, voltage_v=power * 0 + 4)
    hole = (np.arange(50) > 10) & (np.arange(50) < 20)
    np.testing.assert_array_equal(trace.flags, np.where(hole, LOST, 0))
    for values in (trace.power_mw, trace.current_ma, trace.voltage_v):
        assert values is not None
        np.testing.assert_array_equal(np.isnan(values), hole)
    assert trace.lost_share == pytest.approx(9 / 50)
    assert (trace.meta["readings"], trace.meta["late readings"]) == ("42", "1")


def test_a_single_missed_reading_is_a_hole_and_a_little_delay_is_none() -> None:
    seconds = np.delete(np.arange(20) / 10, [7])
    seconds[12] += 0.04
    trace = from_readings(seconds, np.full(19, 900.0), rate_hz=10.0, period_s=0.1)
    np.testing.assert_array_equal(np.flatnonzero(trace.lost), [7])
    np.testing.assert_array_equal(
        np.flatnonzero(from_counter(seconds, seconds, rate_hz=10.0, period_s=0.1).lost), [6, 7]
    )


def test_counters_keep_the_energy_of_a_hole_and_mark_it() -> None:
    seconds = _with_a_hole()
    trace = from_counter(seconds, 700.0 * (seconds - 7.0), rate_hz=20.0, period_s=0.1)
    np.testing.assert_allclose(trace.power_mw, 700.0)
    hole = (np.arange(100) >= 20) & (np.arange(100) < 40)
    np.testing.assert_array_equal(trace.flags, np.where(hole, LOST, 0))


def test_readings_have_no_second_clock_to_check_their_rate_by() -> None:
    seconds = _with_a_hole()
    trace = from_readings(seconds, seconds * 0 + 900.0, rate_hz=10.0, period_s=0.1)
    assert trace.measured_rate_hz() is None
    assert trace.host_stamps[0].tolist() == [0.0, 7.0], "where the grid lies on the host's clock"
