"""Time stamps to a grid: rate and holes at any rate, and a refusal where the stamps cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.errors import MeterError
from runtimes.power.reading.grid import Doubles, Grid, Integers, place

COUNT = 20_000
RATES = (50.0, 60.0, 137.0, 200.0, 500.0, 1250.0, 1666.7, 1667.0, 2500.0, 4000.0, 4998.4, 5000.0, 7000.0, 10_000.0)


def _place(seconds: Doubles, *, packets: bool = False) -> Grid:
    return place(seconds, np.arange(len(seconds)) + 2, "x.csv", packets=packets)


def _holes(rng: np.random.Generator, share: float) -> Integers:
    """Places of the rows that are there: single ones missing, and one long hole."""
    there = rng.random(COUNT) > share
    there[7_000:9_000] = False
    there[[0, -1]] = True
    return np.flatnonzero(there)


@pytest.mark.parametrize("rate_hz", RATES)
def test_clean_stamps_tell_rate_and_holes(rate_hz: float) -> None:
    rows = _holes(np.random.default_rng(1), 0.02)
    grid = _place(np.round(1.7e9 + rows / rate_hz, 6))
    np.testing.assert_array_equal(grid.index, rows)
    assert grid.rate_hz == pytest.approx(rate_hz, rel=1e-6)
    assert not grid.by_host


@pytest.mark.parametrize("rate_hz", [rate for rate in RATES if rate != 4998.4])
def test_four_decimals_are_enough_up_to_10_khz(rate_hz: float) -> None:
    rows = _holes(np.random.default_rng(2), 0.01)
    grid = _place(np.round(rows / rate_hz, 4))
    np.testing.assert_array_equal(grid.index, rows)
    assert grid.rate_hz == pytest.approx(rate_hz, rel=3e-5)


@pytest.mark.parametrize("rate_hz", [50.0, 137.0, 1000.0, 1667.0])
def test_rows_that_come_a_little_early_or_late_do_not_shift_the_others(rate_hz: float) -> None:
    rng = np.random.default_rng(3)
    rows = _holes(rng, 0.01)
    grid = _place((rows + np.clip(rng.normal(0, 0.07, len(rows)), -0.3, 0.3)) / rate_hz)
    np.testing.assert_array_equal(grid.index, rows)
    assert grid.rate_hz == pytest.approx(rate_hz, rel=1e-5)


def test_every_other_row_missing_in_places_is_no_slower_rate() -> None:
    rows = np.flatnonzero(np.arange(COUNT) % 7 < 4)
    grid = _place(rows / 5000.0)
    np.testing.assert_array_equal(grid.index, rows)
    assert grid.rate_hz == 5000.0


@pytest.mark.parametrize("rate_hz", [5000.0, 1667.0, 4000.0, 1100.0, 1030.0])
def test_stamps_in_whole_milliseconds_are_counted(rate_hz: float) -> None:
    grid = _place(np.round(np.arange(COUNT) / rate_hz, 3))
    np.testing.assert_array_equal(grid.index, np.arange(COUNT))
    assert grid.rate_hz == pytest.approx(rate_hz, rel=1e-4)
    assert grid.by_host


def _packets(rng: np.random.Generator, seconds: Doubles) -> Doubles:
    """Stamps as PyMonsoon's: the arrival of a packet of 1 to 3 samples, up to some ms late, never backwards."""
    ends = np.cumsum(rng.integers(1, 4, len(seconds)))
    last = np.minimum(ends[np.searchsorted(ends, np.arange(len(seconds)), side="right")], len(seconds)) - 1
    late = rng.exponential(0.0003, len(seconds))[last]
    return np.maximum.accumulate(seconds[last] + np.minimum(late, 0.003))


def test_packets_are_counted_against_the_known_rate() -> None:
    rng = np.random.default_rng(4)
    for seconds, rate_hz in ((np.arange(COUNT) / 5000.0, 5000.0), (np.arange(COUNT) / 1000.0, 1000.0)):
        grid = _place(_packets(rng, seconds), packets=True)
        np.testing.assert_array_equal(grid.index, np.arange(COUNT))
        assert grid.rate_hz == pytest.approx(rate_hz, rel=1e-5)
        assert grid.by_host


def test_samples_that_a_calibration_took_out_slow_the_rate() -> None:
    seconds = np.arange(100_000) / 5000.0
    seconds = seconds[(np.arange(100_000) % 6250) > 1]
    assert _place(_packets(np.random.default_rng(5), seconds), packets=True).rate_hz == pytest.approx(4998.4, rel=2e-5)


@pytest.mark.parametrize(
    "lost",
    [
        lambda seconds: (seconds % 0.36 < 0.06) & (np.arange(len(seconds)) % 14 == 0),  # 1.2 %, in bursts only
        lambda seconds: (seconds > 2.0) & (seconds < 2.03),  # at one place
        lambda seconds: np.arange(len(seconds)) % 300 == 7,  # one in 300
    ],
)
def test_packets_whose_holes_nobody_can_place_are_refused(lost: object) -> None:
    seconds = np.arange(COUNT) / 5000.0
    assert callable(lost)
    stamps = _packets(np.random.default_rng(6), seconds[~lost(seconds)])
    with pytest.raises(MeterError, match=r"expected 5000 / k a second within 0\.1%.*samples are missing"):
        _place(stamps, packets=True)


def test_one_hole_that_the_count_does_not_show_is_seen_in_the_stamps() -> None:
    seconds = np.arange(100_000) / 5000.0
    seconds = seconds[(seconds < 10.0) | (seconds >= 10.013)]
    with pytest.raises(MeterError, match="none more than 5 ms off; samples are missing"):
        _place(_packets(np.random.default_rng(8), seconds), packets=True)


def test_times_that_fall_or_repeat_are_an_error_with_their_line() -> None:
    seconds = np.arange(100) / 5000.0
    with pytest.raises(MeterError, match="line 12: time runs backwards"):
        _place(np.insert(seconds, 10, 0.0))
    with pytest.raises(MeterError, match="line 12: the same time as the row before"):
        _place(np.insert(seconds, 10, seconds[9]))
    doubled = np.sort(np.concatenate((np.arange(COUNT), np.random.default_rng(7).integers(0, COUNT, 200)))) / 5000.0
    with pytest.raises(MeterError, match="the same time as the row before"):
        _place(doubled)
    with pytest.raises(MeterError, match="time does not advance from the first sample"):
        _place(np.ones(10), packets=True)


def test_rows_without_a_time_lie_between_their_neighbours() -> None:
    seconds = np.arange(100) / 137.0
    seconds[[10, 11, 40]] = np.nan
    np.testing.assert_array_equal(_place(seconds).index, np.arange(100))
    for place_, line in ((0, 2), (-1, 101)):
        ended = np.arange(100) / 137.0
        ended[place_] = np.nan
        with pytest.raises(MeterError, match=f"line {line}: a row without its time"):
            _place(ended)


def test_two_recordings_far_apart_are_not_filled_up() -> None:
    seconds = np.arange(1000) / 1000.0
    with pytest.raises(MeterError, match=r"more than half are missing, the most \(1e\+06 s\) before line 1002"):
        _place(np.concatenate((seconds, seconds + 1e6)))
    grid = _place(np.concatenate((seconds, seconds + 1.5)))
    assert grid.index[1000] == 1500 and grid.missing == pytest.approx(0.2)
