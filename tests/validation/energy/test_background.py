"""Background power: idle around a run, gaps inside of it, tails after its bursts."""

from __future__ import annotations

import numpy as np
import pytest

from runtimes.power.trace import PowerTrace
from validation.energy.background import Background, measure_background, measure_idle
from validation.energy.signal import Doubles, Signal, signal_of

RATE_HZ = 5000.0
STARTS = 5.0 + 0.3 * np.arange(20)
ENDS = STARTS + 0.06


def _signal(*, drift_mw_s: float = 0.0, tail_mw: float = 0.0) -> Signal:
    """800 mW of idle, 2000 mW more in each burst, ``tail_mw`` more in the 50 ms after it; 15 s."""
    seconds = np.arange(0, 15, 1 / RATE_HZ) + 0.5 / RATE_HZ
    power = 800.0 + drift_mw_s * seconds + np.random.default_rng(0).normal(0, 5.0, len(seconds))
    for start, end in zip(STARTS, ENDS, strict=True):
        power[(seconds > start) & (seconds < end)] += 2000.0
        power[(seconds > end) & (seconds < end + 0.05)] += tail_mw
    return signal_of(PowerTrace(RATE_HZ, power, np.zeros(len(power), np.uint8)))


def _background(signal: Signal, starts: Doubles = STARTS, ends: Doubles = ENDS) -> Background:
    idle = measure_idle(signal, starts[0], ends[-1], limits=(0.0, signal.seconds))
    return measure_background(signal, starts, ends, idle, busy=(starts, ends))


def test_idle_is_taken_next_to_the_run_and_its_line_goes_through_both() -> None:
    idle = measure_idle(_signal(drift_mw_s=20.0), STARTS[0], ENDS[-1], limits=(2.0, 15.0))
    assert (idle.before_s, idle.after_s) == pytest.approx((2.95, 3.74), abs=0.06)
    moments = np.array([3.0, 8.0, 14.0])
    np.testing.assert_allclose(idle.at(moments), 800.0 + 20.0 * moments, atol=2.0)


def test_the_one_idle_there_is_stands_for_both_and_none_is_told() -> None:
    signal = _signal()
    only_after = measure_idle(signal, STARTS[0], ENDS[-1], limits=(STARTS[0], 15.0))
    assert np.isnan(only_after.before_mw)
    np.testing.assert_allclose(only_after.at(np.array([0.0, 10.0])), 800.0, atol=2.0)
    neither = measure_idle(signal, STARTS[0], ENDS[-1], limits=(STARTS[0], ENDS[-1]))
    assert np.all(np.isnan(neither.at(np.array([0.0, 10.0]))))


def test_gaps_follow_a_drift_and_lie_on_the_idle_line() -> None:
    background = _background(_signal(drift_mw_s=20.0))
    assert background.method == "gaps"
    np.testing.assert_allclose(background.window_mw[1:-1], (800.0 + 20.0 * (STARTS + ENDS) / 2)[1:-1], atol=3.0)
    assert abs(background.above_idle_mw) < 3.0 and background.max_off_line_mw < 5.0


def test_a_tail_is_measured_and_kept_out_of_the_background() -> None:
    background = _background(_signal(tail_mw=600.0))
    assert background.tail_s == pytest.approx(0.05, abs=0.005)
    assert background.tail_mj == pytest.approx(600.0 * 0.05, rel=0.05)
    np.testing.assert_allclose(background.window_mw, 800.0, atol=3.0)


def test_without_gaps_the_idle_line_is_the_background() -> None:
    starts = STARTS[0] + 0.06 * np.arange(20)
    background = _background(_signal(), starts, starts + 0.06)
    assert (background.method, background.tail_mj) == ("idle line", None)
