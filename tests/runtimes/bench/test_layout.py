"""How a run is laid out for a meter, and when the device was busy in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from stamp_meter import StampMeter

from edgevit.errors import MeterError, UsageError
from runtimes.bench.layout import lay_out, lay_out_for, stamps_of
from runtimes.bench.request import MeterRequest
from runtimes.power.meter import Resolution
from runtimes.runners.contract import Phase, Pulse
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Measured, RunSample
from runtimes.runners.workload import Workload


def meter(period_s: float) -> StampMeter:
    made = StampMeter(Path())
    made.resolution = Resolution(period_s=period_s, step_mj=0.0, scope="all of it")
    return made


def test_bursts_are_as_long_as_the_meter_needs_and_gaps_twice_as_long() -> None:
    asked = Workload(runs=50, rounds=5, warmup=10)
    made = lay_out(meter(0.01), asked, MeterRequest(name="m"), latency_s=0.030)
    # 20 readings of 10 ms are 200 ms; a quarter more is 250 ms, which nine inferences of 30 ms cover
    assert (made.workload.burst, made.workload.runs, made.workload.rounds) == (9, 450, 1)
    assert made.workload.gap_ms == pytest.approx(2 * 9 * 30.0)
    pulses_s = 2 * (0.3 + 0.15 + 0.45 + 4 * 0.3)
    assert made.expected_s == pytest.approx(50 * 0.27 * 3 + 10 * 0.03 + 2 * 4.0 + pulses_s)
    assert not made.whole_run


def test_what_the_user_asked_for_is_never_altered() -> None:
    asked = Workload(runs=7, gap_ms=0.0, burst=3)
    made = lay_out(meter(0.0002), asked, MeterRequest(name="m", idle_s=2.5), latency_s=0.030)
    assert (made.workload.gap_ms, made.workload.burst, made.workload.idle_s) == (0.0, 3, 2.5)
    assert made.workload.runs == 21


def test_a_coarse_meter_measures_the_whole_run_or_says_how_long_it_must_be() -> None:
    made = lay_out(meter(0.25), Workload(runs=500), MeterRequest(name="m"), latency_s=0.030)
    assert made.whole_run
    assert (made.workload.burst, made.workload.gap_ms, made.workload.idle_s, made.workload.pulses) == (500, 0, 5, None)
    with pytest.raises(MeterError) as refused:
        lay_out(meter(0.25), Workload(runs=50), MeterRequest(name="m"), latency_s=0.030)
    assert "--runs 417" in (refused.value.hint or "")
    with pytest.raises(UsageError, match="bursts and gaps have no place"):
        lay_out(meter(0.25), Workload(runs=500, burst=2), MeterRequest(name="m"), latency_s=0.030)


class Tool(PythonRunner):
    """Keeps no stamps."""

    name = "tool"
    stamps = False


def test_a_tool_runs_single_inferences_with_gaps_and_without_warm_up() -> None:
    asked, request = Workload(runs=7, warmup=5), MeterRequest(name="m")
    python = lay_out_for(PythonRunner("python3"), meter(0.0002), asked, request, latency_s=0.030)
    assert python == lay_out(meter(0.0002), asked, request, latency_s=0.030)
    made = lay_out_for(Tool(""), meter(0.0002), asked, request, latency_s=0.030).workload
    assert (made.runs, made.burst, made.gap_ms, made.warmup) == (7, 1, 100.0, 0)
    for given, period_s, words in (
        ({}, 0.01, "needs bursts of 9 inferences here, and tool cannot make them"),
        ({"gap_ms": 0.0}, 0.0002, "without gaps its inferences cannot be told apart"),
        ({"runs": 900}, 0.25, "needs bursts of 900 inferences"),
    ):
        work = Workload(**{"runs": 7, **given})  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=words):
            lay_out_for(Tool(""), meter(period_s), work, request, latency_s=0.030)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(MeterError, match="cannot tell the energy of one 1 ms inference"):
        lay_out(meter(0.0002), Workload(burst=1), MeterRequest(name="m"), latency_s=0.001)
    with pytest.raises(UsageError, match="at least 1 run and 2 s"):
        lay_out(meter(0.0002), Workload(), MeterRequest(name="m", idle_s=1.0), latency_s=0.1)


def sample(start_ns: int, busy_ns: int = 1000, asleep_ns: int = 0) -> RunSample:
    return RunSample(
        latency_ns=busy_ns,
        start_monotonic_ns=start_ns,
        end_monotonic_ns=start_ns + busy_ns,
        start_boottime_ns=start_ns + 500 + asleep_ns,
        end_boottime_ns=start_ns + busy_ns + 500 + asleep_ns,
    )


def measured(asleep_ns: int = 0) -> Measured:
    return Measured(
        runner="python 1",
        runtime="t",
        samples=tuple(sample(100_000 + 1000 * i, asleep_ns=asleep_ns * (i >= 6)) for i in range(12)),
        warmup=(sample(5000),),
        phases=(Phase(name="load", start_monotonic_ns=1, end_monotonic_ns=500),),
        pulses=(Pulse(place="before", index=0, start_monotonic_ns=1000, end_monotonic_ns=2000),),
    )


def test_bursts_count_as_one_interval() -> None:
    stamps = stamps_of(measured(), burst=4)
    assert stamps is not None
    assert len(stamps.bursts) == 3 and stamps.inferences == 12
    assert stamps.bursts[1].start_ns == 104_000 and stamps.bursts[1].end_ns == 108_000
    assert len(stamps.pulses) == len(stamps.warmup) == len(stamps.other) == 1
    assert stamps.suspended_ns == 0


def test_a_device_that_slept_is_noticed() -> None:
    stamps = stamps_of(measured(asleep_ns=7_000_000), burst=1)
    assert stamps is not None and stamps.suspended_ns == 7_000_000


def test_a_tool_that_tells_no_times_has_no_stamps() -> None:
    assert stamps_of(Measured(runner="tool", runtime="t", samples=(RunSample(latency_ns=5),)), burst=1) is None
