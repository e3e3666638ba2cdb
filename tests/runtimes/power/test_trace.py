"""Power traces: stored, checked, and made from readings."""

from __future__ import annotations

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


def test_counters_keep_their_energy_and_may_not_fall() -> None:
    seconds = np.array([0.0, 0.33, 1.0, 1.5])
    trace = from_counter(seconds, np.array([0.0, 10.0, 40.0, 45.0]), rate_hz=100.0)
    assert float(np.sum(trace.power_mw)) / 100.0 == pytest.approx(45.0)
    with pytest.raises(MeterError, match="went backwards after reading 1"):
        from_counter(seconds, np.array([0.0, 10.0, 4.0, 45.0]), rate_hz=100.0)
    with pytest.raises(MeterError, match="at least 2 readings"):
        from_readings(np.array([0.0]), np.array([1.0]), rate_hz=10.0)
