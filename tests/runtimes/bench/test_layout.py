"""How a run is laid out for a meter, and when the device was busy in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace
from stamp_meter import StampMeter

from edgevit.errors import ArtifactError, MeterError, UsageError
from runtimes.bench.layout import MeteredLayout, lay_out, lay_out_for, stamps_of
from runtimes.bench.request import MeterRequest
from runtimes.power.meter import Resolution
from runtimes.power.stamps import Window
from runtimes.runners.contract import Control, Phase, Pulse
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Measured, RunSample
from runtimes.runners.workload import Step, Workload


def meter(period_s: float) -> StampMeter:
    made = StampMeter(Path())
    made.resolution = Resolution(period_s=period_s, step_mj=0.0, scope="all of it")
    return made


ALIKE = {"gap_spread": 0.0, "burst_factors": (1,), "controls": 0}
PULSES_S = 2 * (0.3 + 0.15 + 0.45 + 4 * 0.3)


def test_bursts_are_as_long_as_the_meter_needs_and_gaps_twice_as_long() -> None:
    asked = Workload(runs=50, rounds=5, warmup=10, **ALIKE)  # type: ignore[arg-type]
    made = lay_out(meter(0.01), asked, MeterRequest(name="m"), latency_s=0.030)
    # 20 readings of 10 ms are 200 ms; a quarter more is 250 ms, which nine inferences of 30 ms cover
    assert (made.workload.burst, made.workload.runs, made.workload.rounds) == (9, 450, 1)
    assert made.workload.gap_ms == pytest.approx(2 * 9 * 30.0)
    assert made.workload.schedule == (Step(gap_ms=540.0, count=9),) * 50
    assert made.expected_s == pytest.approx(50 * 0.27 * 3 + 10 * 0.03 + 2 * 4.5 + PULSES_S)
    assert not made.whole_run


def test_by_default_gaps_and_lengths_vary_and_controls_stand_between() -> None:
    made = lay_out(meter(0.0002), Workload(), MeterRequest(name="m"), latency_s=0.060)
    work = made.workload
    assert (work.burst, work.burst_factors, work.gap_spread, work.controls, work.seed) == (1, (1, 3), 0.6, 10, 0)
    assert (work.runs, work.gap_ms) == (100, 250.0), "25 of one and 25 of three"
    assert sorted(step.count for step in work.schedule) == [0] * 10 + [1] * 25 + [3] * 25
    assert sorted(step.wait_ms for step in work.schedule if not step.count) == [60.0] * 5 + [180.0] * 5
    gaps_ms = [step.gap_ms for step in work.schedule]
    assert min(gaps_ms) >= 100.0 and max(gaps_ms) <= 400.0
    busy_s = 100 * 0.06 + 5 * 0.06 + 5 * 0.18 + 10 * 0.06
    assert made.expected_s == pytest.approx(sum(gaps_ms) / 1e3 + busy_s + 2 * 4.5 + PULSES_S)
    assert made.expected_s == pytest.approx(36.0, abs=0.3)
    assert made.in_words() == (
        f"50 bursts of 1 or 3, 10 controls, {min(gaps_ms):.0f} to {max(gaps_ms):.0f} ms apart, 36 s"
    )


@pytest.mark.parametrize("latency_s", [0.0004, 0.005, 0.060, 0.300, 1.0])
@pytest.mark.parametrize("period_s", [0.0002, 0.005, 0.010, 0.035])
def test_every_burst_and_every_gap_has_readings_enough(period_s: float, latency_s: float) -> None:
    work = lay_out(meter(period_s), Workload(), MeterRequest(name="m"), latency_s=latency_s).workload
    bursts_s = [step.count * latency_s for step in work.schedule if step.count]
    assert min(bursts_s) >= 20 * period_s
    assert min(step.gap_ms for step in work.schedule) >= max(100.0, 10 * period_s * 1e3)
    rest_s = sum(step.gap_ms for step in work.schedule) / 1e3
    assert rest_s >= sum(bursts_s), "at least half of the time is idle"


@pytest.mark.parametrize(
    ("period_s", "given", "hint"),
    [
        (0.010, {"gap_ms": 40.0}, "--gap 100 or more"),
        (0.005, {"gap_ms": 100.0, "gap_spread": 0.6}, "--gap 125 or more, or a smaller --gap-spread"),
        (0.0002, {"gap_ms": 1.0, "gap_spread": 0.0}, "--gap 2 or more"),
    ],
)
def test_gaps_with_too_few_readings_are_refused_and_the_hint_works(
    period_s: float, given: dict[str, float], hint: str
) -> None:
    def lay(**given: float) -> MeteredLayout:
        work = Workload(**given)  # type: ignore[arg-type]
        return lay_out(meter(period_s), work, MeterRequest(name="m"), latency_s=0.3)

    with pytest.raises(MeterError, match="cannot tell what lies between bursts") as refused:
        lay(**given)
    assert refused.value.hint == hint
    assert lay(**{**given, "gap_ms": float(hint.split()[1])}).workload.gap_ms == float(hint.split()[1])


@pytest.mark.parametrize(("gap_ms", "spread"), [(1000.0, 0.6), (100.0, 0.5), (60.0, 0.16), (50.0, 0.0)])
def test_a_gap_that_is_asked_for_varies_as_far_as_its_readings_allow(gap_ms: float, spread: float) -> None:
    work = lay_out(meter(0.005), Workload(gap_ms=gap_ms), MeterRequest(name="m"), latency_s=0.3).workload
    assert (work.gap_ms, work.gap_spread) == (gap_ms, spread)
    assert min(step.gap_ms for step in work.schedule) >= 50.0


def test_what_the_user_asked_for_is_never_altered() -> None:
    asked = Workload(runs=7, gap_ms=0.0, burst=3)
    made = lay_out(meter(0.0002), asked, MeterRequest(name="m", idle_s=2.5), latency_s=0.030)
    assert (made.workload.gap_ms, made.workload.burst, made.workload.idle_s) == (0.0, 3, 3.0)
    assert made.workload.runs == 21
    assert made.workload.schedule == (Step(gap_ms=0.0, count=3),) * 7, "back to back there is nothing to vary"
    asked = Workload(runs=8, gap_ms=70.0, burst=2, gap_spread=0.25, burst_factors=(2, 5), controls=3, seed=11)
    work = lay_out(meter(0.0002), asked, MeterRequest(name="m"), latency_s=0.030).workload
    kept = ("gap_ms", "burst", "gap_spread", "burst_factors", "controls", "seed", "warmup")
    assert all(getattr(work, name) == getattr(asked, name) for name in kept)
    assert Counter(step.count for step in work.schedule) == {4: 4, 10: 4, 0: 3}
    assert work.runs == 4 * 4 + 4 * 10


def test_short_bursts_are_refused_by_the_shortest_of_their_lengths() -> None:
    asked = Workload(burst=1, burst_factors=(2, 3))
    lay_out(meter(0.0002), asked, MeterRequest(name="m"), latency_s=0.002)
    with pytest.raises(MeterError, match="a burst of 2 inferences that takes 3 ms") as refused:
        lay_out(meter(0.0002), asked, MeterRequest(name="m"), latency_s=0.0015)
    assert refused.value.hint == "--burst 2 or more, or without --burst as many as it takes"
    for burst in (2, None):
        lay_out(meter(0.0002), replace(asked, burst=burst), MeterRequest(name="m"), latency_s=0.0015)


def test_a_coarse_meter_measures_the_whole_run_or_says_how_long_it_must_be() -> None:
    made = lay_out(meter(0.25), Workload(runs=500), MeterRequest(name="m"), latency_s=0.030)
    assert made.whole_run
    assert (made.workload.burst, made.workload.gap_ms, made.workload.idle_s, made.workload.pulses) == (500, 0, 5, None)
    with pytest.raises(MeterError) as refused:
        lay_out(meter(0.25), Workload(runs=50), MeterRequest(name="m"), latency_s=0.030)
    assert "--runs 417" in (refused.value.hint or "")
    assert made.workload.schedule == (Step(gap_ms=0.0, count=500),)
    with pytest.raises(UsageError, match="bursts and gaps have no place"):
        lay_out(meter(0.25), Workload(runs=500, burst=2), MeterRequest(name="m"), latency_s=0.030)
    for given in ({"gap_spread": 0.5}, {"burst_factors": (1, 3)}, {"controls": 1}, {"seed": 0}):
        varied = Workload(runs=500, **given)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="bursts, gaps and controls have no place"):
            lay_out(meter(0.25), varied, MeterRequest(name="m"), latency_s=0.030)


class Tool(PythonRunner):
    """Keeps no stamps."""

    name = "tool"
    stamps = False


def test_a_tool_runs_single_inferences_with_gaps_and_without_warm_up() -> None:
    asked, request = Workload(runs=7, warmup=5), MeterRequest(name="m")
    python = lay_out_for(PythonRunner("python3"), meter(0.0002), asked, request, latency_s=0.030)
    assert python == lay_out(meter(0.0002), asked, request, latency_s=0.030)
    made = lay_out_for(Tool(""), meter(0.0002), asked, request, latency_s=0.030).workload
    assert (made.runs, made.burst, made.gap_ms, made.warmup, made.schedule) == (7, 1, 100.0, 0, ())
    assert (made.gap_spread, made.burst_factors, made.controls) == (0.0, (1,), 0)
    for given, period_s, words in (
        ({}, 0.01, "needs bursts of 9 inferences here, and tool cannot make them"),
        ({"gap_ms": 0.0}, 0.0002, "without gaps its inferences cannot be told apart"),
        ({"runs": 900}, 0.25, "needs bursts of 900 inferences"),
        ({"controls": 5, "gap_spread": 0.6}, 0.0002, "--gap-spread, --controls: tool decides itself when it runs"),
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
    stamps = stamps_of(measured(), Workload(runs=12, burst=4, gap_ms=0.0))
    assert stamps is not None and stamps.counts == () and stamps.inferences_per_burst == 4
    assert len(stamps.bursts) == 3 and stamps.inferences == 12
    assert stamps.bursts[1].start_ns == 104_000 and stamps.bursts[1].end_ns == 108_000
    assert len(stamps.pulses) == len(stamps.warmup) == len(stamps.other) == 1
    assert stamps.suspended_ns == 0


def test_a_device_that_slept_is_noticed() -> None:
    stamps = stamps_of(measured(asleep_ns=7_000_000), Workload(runs=12, burst=1, gap_ms=1.0))
    assert stamps is not None and stamps.suspended_ns == 7_000_000


def test_a_tool_that_tells_no_times_has_no_stamps() -> None:
    told = Measured(runner="tool", runtime="t", samples=(RunSample(latency_ns=5),))
    assert stamps_of(told, Workload(runs=1)) is None


def test_runs_that_are_not_the_schedules_are_refused() -> None:
    with pytest.raises(ArtifactError, match="a run of 12 forward passes does not fit its schedule of 8"):
        stamps_of(measured(), Workload(runs=8, burst=4, gap_ms=0.0))


def test_bursts_of_two_lengths_and_controls_are_told_apart() -> None:
    steps = [(1, 0.0), (3, 0.0), (0, 1.0), (3, 0.0), (1, 0.0), (4, 0.0)]
    schedule = tuple(Step(gap_ms=1.0, count=count, wait_ms=wait_ms) for count, wait_ms in steps)
    waited = Control(index=0, start_monotonic_ns=90_000, end_monotonic_ns=95_000)
    told = replace(measured(), controls=(waited,))
    stamps = stamps_of(told, Workload(runs=12, schedule=schedule))
    assert stamps is not None
    assert (stamps.counts, stamps.inferences_per_burst, stamps.inferences) == ((1, 3, 3, 1, 4), 1, 12)
    assert [window.start_ns for window in stamps.bursts] == [100_000, 101_000, 104_000, 107_000, 108_000]
    assert stamps.bursts[1].end_ns == 104_000 and stamps.bursts[-1].end_ns == 112_000
    assert stamps.controls == (Window(start_ns=90_000, end_ns=95_000),)


@pytest.mark.parametrize(
    ("changes", "idle_s", "words"),
    [
        ({"runs": 100_001}, 4.0, "100001 bursts under a meter: at most 100000"),
        ({"gap_ms": 1e12}, 4.0, "at most 3600 s for each"),
        ({}, float("inf"), "inf s of idle: at most 3600 s"),
        ({"burst": 10_000_000}, 4.0, "hours: at most 24"),
        ({"burst_factors": (1, 10_000_000)}, 4.0, "hours: at most 24"),
    ],
)
def test_a_run_that_nobody_waits_for_is_refused_before_it_is_drawn_or_started(
    changes: dict[str, object], idle_s: float, words: str
) -> None:
    request = MeterRequest(name="monsoon", idle_s=idle_s)
    with pytest.raises(UsageError, match=words):
        lay_out(meter(0.0002), replace(Workload(runs=50), **changes), request, latency_s=0.01)
