"""Mean energy of a run by a coarse meter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevit.errors import FailureError, UsageError
from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import LOST, PowerTrace
from validation.energy.whole_run import analyze_whole_run

OFFSET_S = -1000.0


def _trace(*, idle_after: float = 800.0, noise_mw: float = 30.0) -> PowerTrace:
    """Loading 0-5 s, idle to 25 s, 2000 mW more from 25 to 85 s, idle, golden inputs from 125 s."""
    seconds = np.arange(0, 140, 0.05)
    power = np.where(seconds < 50, 800.0, idle_after) + np.random.default_rng(0).normal(0, noise_mw, len(seconds))
    power[(seconds < 5) | (seconds > 125) | ((seconds > 25) & (seconds < 85))] += 2000.0
    return PowerTrace(20.0, power, np.zeros(len(power), np.uint8), meta={"meter": "gauge"})


def _window(start_s: float, end_s: float) -> Window:
    return Window(start_ns=round((start_s - OFFSET_S) * 1e9), end_ns=round((end_s - OFFSET_S) * 1e9))


STAMPS = RunStamps(
    bursts=(_window(25.5, 85.0),), warmup=(_window(25.0, 25.5),), inferences_per_burst=1000,
    other=(_window(0.0, 5.0), _window(125.0, 140.0)),
)  # fmt: skip


def test_mean_is_right_and_never_verified() -> None:
    report = analyze_whole_run(_trace(), STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0, top1_percent=80.0)
    assert report.energy_mj == pytest.approx(2000.0 * 59.5 / 1000, rel=0.01)
    assert report.method == "whole run" and not report.passed
    assert [check.reason for check in report.checks if not check.passed] == list(report.reasons)
    assert len(report.reasons) == 1 and "nothing confirms" in report.reasons[0]
    assert report.interval_mj is not None and report.interval_mj[0] < report.energy_mj < report.interval_mj[1]
    assert report.uncertainty_mj == pytest.approx(report.interval_mj[1] - report.energy_mj)
    assert report.efficiency_percent_per_mj == pytest.approx(80.0 / report.energy_mj)
    assert report.energy_sd_mj is None, "a mean over the run has no deviation over inferences"


def _lost(start_s: float, end_s: float, *, counter: bool) -> PowerTrace:
    """The trace without noise and with a hole, in which a counter keeps its mean and a gauge has nothing."""
    trace = _trace(noise_mw=0.0)
    first, last = round(start_s * 20), round(end_s * 20)
    power, flags = trace.power_mw.copy(), trace.flags.copy()
    power[first:last] = power[first:last].mean() if counter else np.nan
    flags[first:last] = LOST
    return replace(trace, power_mw=power, flags=flags)


@pytest.mark.parametrize("counter", [True, False])
@pytest.mark.parametrize(
    ("start_s", "end_s"), [(22.0, 30.0), (30.0, 50.0), (80.0, 95.0), (3.0, 12.0), (10.0, 12.0), (118.0, 133.0)]
)
def test_holes_change_no_figure_wherever_they_lie(start_s: float, end_s: float, counter: bool) -> None:
    report = analyze_whole_run(_lost(start_s, end_s, counter=counter), STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0)
    assert report.energy_mj == pytest.approx(2000.0 * 59.5 / 1000, rel=1e-3)
    assert any("of the samples are lost" in reason for reason in report.reasons)


@pytest.mark.parametrize(
    ("start_s", "end_s", "words"),
    [(20.0, 90.0, "no reading of the run"), (6.0, 25.5, "s of idle before"), (84.0, 124.0, "of idle before and")],
)
def test_holes_that_leave_nothing_to_compare_are_refused(start_s: float, end_s: float, words: str) -> None:
    trace = _lost(start_s, end_s, counter=True)
    with pytest.raises(FailureError, match=words):
        analyze_whole_run(trace, STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0)


def test_what_speaks_against_the_recording_stands_beside_it() -> None:
    trace = _trace()
    watts = PowerTrace(trace.rate_hz, trace.power_mw / 1000, trace.flags)
    report = analyze_whole_run(watts, STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0)
    assert any("another unit" in reason for reason in report.reasons)


def test_change_of_idle_widens_the_interval() -> None:
    calm = analyze_whole_run(_trace(), STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0)
    moved = analyze_whole_run(_trace(idle_after=1000.0), STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0)
    assert calm.interval_mj is not None and moved.interval_mj is not None
    assert moved.interval_mj[1] - moved.interval_mj[0] > 5 * (calm.interval_mj[1] - calm.interval_mj[0])


def test_runs_outside_of_the_trace_or_without_idle_are_refused() -> None:
    with pytest.raises(FailureError, match="s of idle before"):
        analyze_whole_run(_trace(), STAMPS, device_to_trace_s=OFFSET_S - 24.0, period_s=1.0)
    late = RunStamps(bursts=(_window(200.0, 260.0),))
    with pytest.raises(FailureError, match=r"idle|not within the trace"):
        analyze_whole_run(_trace(), late, device_to_trace_s=OFFSET_S, period_s=1.0)
    with pytest.raises(UsageError, match="expected percent"):
        analyze_whole_run(_trace(), STAMPS, device_to_trace_s=OFFSET_S, period_s=1.0, top1_percent=-1.0)
