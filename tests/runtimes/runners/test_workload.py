"""Workloads travel as JSON to the runner on the device and back into records."""

import pytest

from runtimes.runners.workload import SyncPulses, Workload


def test_a_pattern_takes_its_bursts_and_the_pauses_around_them() -> None:
    assert SyncPulses(busy_ms=(300, 150, 450), idle_ms=300).duration_s == pytest.approx(0.9 + 4 * 0.3)
    assert SyncPulses(busy_ms=(20,), idle_ms=5).duration_s == pytest.approx(0.030)


def test_what_is_left_open_stays_open_on_its_way() -> None:
    asked = Workload(runs=3, affinity="f0", pulses=SyncPulses())
    assert Workload.from_json(asked.to_json()) == asked
    assert (asked.gap_ms, asked.burst) == (None, None)
    assert Workload(gap_ms=0.0) != Workload(), "no gap asked for is not a gap of nothing"
