"""Where the runner's stamps lie in the trace: offset and drift against the simulator's own."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from trace_section import section

from edgevit.errors import FailureError
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.stamps import Window
from validation.energy.alignment import align, busy_windows, seconds_of
from validation.energy.signal import signal_of


@pytest.mark.parametrize("name", ["clean", "no-pulses", "ramp-tail"])
def test_clock_is_recovered(name: str) -> None:
    made = simulate(scenario_named(name), 106)
    alignment = align(signal_of(made.trace), made.stamps)
    assert alignment.drift * 1e6 == pytest.approx(-made.truth.clock_drift_ppm, abs=10)
    starts, ends = alignment.to_trace(made.stamps.bursts)
    np.testing.assert_allclose(starts, made.truth.starts_s, atol=2e-4)
    assert np.all(ends > starts)
    assert alignment.residual_s < 1e-3 and alignment.sections > 1


def test_stamps_longer_than_the_trace_are_not_of_the_same_run() -> None:
    made = simulate(scenario_named("short"), 1)
    with pytest.raises(FailureError, match="not of the same run"):
        align(signal_of(section(made.trace, 0, 3)), made.stamps)


def test_nanoseconds_of_a_clock_that_runs_for_years_are_kept() -> None:
    start = 10**17 + 1
    starts, ends = seconds_of((Window(start_ns=start, end_ns=start + 1000),), start / 1e9)
    assert ends[0] - starts[0] == pytest.approx(1e-6, rel=1e-9)


def test_all_that_was_busy_is_in_order_of_time() -> None:
    stamps = simulate(scenario_named("clean"), 1).stamps
    busy = busy_windows(stamps)
    assert len(busy) == len(stamps.pulses) + len(stamps.warmup) + len(stamps.bursts)
    assert list(busy) == sorted(busy, key=lambda window: window.start_ns)
    assert busy_windows(msgspec.structs.replace(stamps, pulses=(), warmup=())) == stamps.bursts
