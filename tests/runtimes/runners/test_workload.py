"""Workloads travel as JSON to the runner on the device and back into records."""

import pytest

from runtimes.runners.workload import Step, SyncPulses, Workload


def test_a_pattern_takes_its_bursts_and_the_pauses_around_them() -> None:
    assert SyncPulses(busy_ms=(300, 150, 450), idle_ms=300).duration_s == pytest.approx(0.9 + 4 * 0.3)
    assert SyncPulses(busy_ms=(20,), idle_ms=5).duration_s == pytest.approx(0.030)


def test_what_is_left_open_stays_open_on_its_way() -> None:
    asked = Workload(runs=3, affinity="f0", pulses=SyncPulses())
    assert Workload.from_json(asked.to_json()) == asked
    assert (asked.gap_ms, asked.burst) == (None, None)
    assert Workload(gap_ms=0.0) != Workload(), "no gap asked for is not a gap of nothing"


def test_rounds_leave_out_what_concerns_a_meter() -> None:
    plain = Workload(runs=3, gap_ms=5.0, threads=2)
    varied = Workload(
        runs=3, gap_ms=5.0, threads=2, burst=4, gap_spread=0.1, burst_factors=(1, 2), controls=3, seed=9,
        schedule=(Step(gap_ms=1.0, count=3),),
    )  # fmt: skip
    assert varied.of_rounds == plain
