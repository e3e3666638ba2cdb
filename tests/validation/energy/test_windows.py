"""Energy of given windows: what disturbs single ones is found, replaced and told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.background import measure_background, measure_idle
from validation.energy.signal import signal_of
from validation.energy.windows import integrate


def _with(trace: PowerTrace, power_mw: np.ndarray) -> PowerTrace:
    return replace(trace, power_mw=power_mw)


def test_a_hole_in_a_window_is_replaced_and_told() -> None:
    made = simulate(scenario_named("clean"), 111)
    power = made.trace.power_mw.copy()
    start = int((made.truth.starts_s[7] + 0.01) * 5000)
    power[start : start + 60] = np.nan
    report = analyze_energy(_with(made.trace, power_mw=power), stamps=made.stamps)
    assert report.aligned is not None and report.aligned.incomplete == (7,)
    assert any("holes of more than 2 ms" in note for note in report.notes)
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)


def test_other_activity_in_windows_is_replaced_and_told() -> None:
    made = simulate(scenario_named("clean"), 112)
    power = made.trace.power_mw.copy()
    for index in (5, 17):
        start = int(made.truth.starts_s[index] * 5000)
        power[start + 50 : start + 250] += 900.0
    report = analyze_energy(_with(made.trace, power_mw=power), stamps=made.stamps)
    assert report.aligned is not None and report.aligned.disturbed == (5, 17)
    assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.01)


def test_windows_hold_what_the_simulator_drew_in_them() -> None:
    made = simulate(scenario_named("clean"), 111)
    signal, starts = signal_of(made.trace), np.array(made.truth.starts_s)
    ends = starts + made.truth.duration_ms / 1e3
    idle = measure_idle(signal, starts[0], ends[-1], limits=(0.0, signal.seconds))
    windows = integrate(signal, starts, ends, measure_background(signal, starts, ends, idle, busy=(starts, ends)))
    assert windows.energy_mj.mean() == pytest.approx(made.truth.active_mj, rel=0.01)
    np.testing.assert_allclose(windows.energy_mj, windows.power_mw * windows.durations_s)
    assert not windows.disturbed.any() and not windows.incomplete.any()
