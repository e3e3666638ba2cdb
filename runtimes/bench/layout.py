"""How a run is laid out so that a given meter can resolve it: bursts, gaps and idle around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import fmean

import msgspec

from edgevit.errors import ArtifactError, MeterError, UsageError
from edgevit.records import Record
from runtimes.bench.randomisation import GAP_SPREAD, filled_in, require_none, require_sound, switched_off
from runtimes.bench.request import MeterRequest
from runtimes.power.meter import PowerMeter, require_resolution, require_run
from runtimes.power.stamps import RunStamps, Window
from runtimes.runners.contract import Control, Phase, Pulse
from runtimes.runners.runner import Measured, Runner, RunSample
from runtimes.runners.schedule import draw_schedule, scheduled
from runtimes.runners.workload import SyncPulses, Workload

# Chosen, because clocks and rails of a phone stay up for some 50 ms after an inference, and a tail that takes more than
# 0.6 of its gap cannot be told from the background: also the shortest of gaps that vary is to be longer than that.
SHORTEST_GAP_MS = 100.0
MOST_BURSTS, MOST_S = 100_000, 3600.0  # chosen: more than a day of them, and an hour of waiting for any gap
MOST_RUN_S = 86_400.0  # chosen: no battery and no background lasts for longer than a day
READINGS_PER_GAP = 10  # chosen, because half of a short gap may belong to the tail, and a level needs some readings
LEAST_IDLE_S = 2.0  # chosen, because the background before and after needs a second each beside the sync pulses
SETTLING_S = 0.5  # chosen: kept beside the idle that is asked for, since tails of the last pulse are no idle
COARSE_S = 1.0  # chosen: a meter whose shortest window is longer than any burst should be measures whole runs
RESOLVED_MARGIN = 1.25  # chosen, because a burst may turn out that much shorter than the latency before it
READINGS_OF_IDLE = 20  # of a coarse meter, before and after: as many as make a window (``SAMPLES_PER_WINDOW``)


class MeteredLayout(Record):
    """The layout of one process under a meter.

    Attributes:
        workload: All of it, nothing left open: ``runs`` single forward passes, as ``schedule`` arranges them.
        whole_run: A single mean over everything, without gaps, for a coarse meter.
        latency_s: The latency that it was laid out for.
        expected_s: From the start of the idle phase to the end of the one after.
    """

    workload: Workload
    whole_run: bool
    latency_s: float
    expected_s: float

    def in_words(self) -> str:
        """Bursts, gaps, controls and time on one line."""
        work = self.workload
        if self.whole_run:
            return f"{work.runs} inferences without gaps, {self.expected_s:.0f} s"
        steps = scheduled(work).schedule
        counts = [step.count for step in steps if step.count]
        gaps_ms = sorted(step.gap_ms for step in steps)
        lengths = " or ".join(str(count) for count in sorted(set(counts)))
        apart = " to ".join(dict.fromkeys((f"{gaps_ms[0]:.0f}", f"{gaps_ms[-1]:.0f}")))
        waits = len(steps) - len(counts)
        controls = f"{waits} control{'s' if waits > 1 else ''}, " if waits else ""
        return f"{len(counts)} bursts of {lengths}, {controls}{apart} ms apart, {self.expected_s:.0f} s"


def require_layout(meter: PowerMeter, asked: Workload, request: MeterRequest) -> None:
    """Refuse what cannot be laid out for ``meter`` whatever the latency turns out to be.

    Raises:
        UsageError: Requests that contradict each other.
    """
    if asked.runs < 1 or request.idle_s < LEAST_IDLE_S:
        raise UsageError(
            f"{asked.runs} runs with {request.idle_s:g} s of idle: at least 1 run and {LEAST_IDLE_S:g} s are needed"
        )
    if request.idle_s > MOST_S or (asked.gap_ms or 0.0) > MOST_S * 1e3:
        raise UsageError(
            f"gaps of {asked.gap_ms or 0:g} ms and {request.idle_s:g} s of idle: at most {MOST_S:g} s for each"
        )
    if asked.runs > MOST_BURSTS and not _is_coarse(meter):
        raise UsageError(f"{asked.runs} bursts under a meter: at most {MOST_BURSTS}", hint="fewer --runs")
    require_sound(asked)
    if _is_coarse(meter):
        require_none(asked, f"{meter.name} measures whole runs only: bursts, gaps and controls have no place in them")
        if asked.burst is not None or asked.gap_ms:
            raise UsageError(f"{meter.name} measures whole runs only: bursts and gaps have no place in them")


def lay_out(meter: PowerMeter, asked: Workload, request: MeterRequest, *, latency_s: float) -> MeteredLayout:
    """Lay out a run of inferences that take ``latency_s`` each, for a runner that executes a schedule.

    Raises:
        MeterError: The meter cannot resolve what the workload asks for; the hint says what it could.
        UsageError: Requests that contradict each other.
    """
    require_layout(meter, asked, request)
    if _is_coarse(meter):
        return _whole_run(meter, asked, request, latency_s)
    asked = filled_in(asked)
    factors = asked.burst_factors or (1,)
    burst = _burst(meter, asked, min(factors), latency_s)
    gap_ms, spread = _gap(meter, asked, [burst * factor * latency_s for factor in factors])
    drawn = msgspec.structs.replace(
        asked, rounds=1, burst=burst, gap_ms=gap_ms, gap_spread=spread,
        idle_s=idle_around_s(request, meter.resolution.period_s, whole_run=False), pulses=SyncPulses(),
    )  # fmt: skip
    schedule = draw_schedule(drawn, bursts=asked.runs, latency_s=latency_s)
    runs = sum(step.count for step in schedule)
    workload = msgspec.structs.replace(drawn, runs=runs, schedule=schedule)
    return MeteredLayout(
        workload=workload, whole_run=False, latency_s=latency_s, expected_s=_expected_s(workload, latency_s)
    )


def lay_out_for(
    runner: Runner, meter: PowerMeter, asked: Workload, request: MeterRequest, *, latency_s: float
) -> MeteredLayout:
    """The layout of a run by ``runner``; see ``lay_out``.

    Tools run one inference after each gap and tell no times, so only single inferences with constant idle between them
    can be told apart in a trace; their warm-up would look the same, and is left out.

    Raises:
        MeterError: The meter cannot resolve it.
        UsageError: Requests that contradict each other, or a tool would have to run bursts, or without gaps.
    """
    if runner.stamps:
        return lay_out(meter, asked, request, latency_s=latency_s)
    require_none(asked, f"{runner.name} decides itself when it runs")
    plain = switched_off(msgspec.structs.replace(asked, warmup=0))
    layout = lay_out(meter, plain, request, latency_s=latency_s)
    if layout.workload.burst != 1:
        raise UsageError(
            f"{meter.name} needs bursts of {layout.workload.burst} inferences here, and {runner.name} cannot make them",
            hint="--runner python, or a finer meter",
        )
    if not layout.workload.gap_ms:
        raise UsageError(
            f"{runner.name} does not tell when it runs: without gaps its inferences cannot be told apart",
            hint="leave out --gap 0",
        )
    workload = msgspec.structs.replace(layout.workload, schedule=())
    return msgspec.structs.replace(layout, workload=workload)


def idle_around_s(request: MeterRequest, period_s: float, *, whole_run: bool) -> float:
    """Idle that is kept before and after a run under a meter with a reading every ``period_s``: more than is asked for.

    A coarse meter needs so many readings of it.
    """
    return max(request.idle_s + SETTLING_S, period_s * READINGS_OF_IDLE if whole_run else 0.0)


def _is_coarse(meter: PowerMeter) -> bool:
    return meter.resolution.shortest_window_s > COARSE_S


def _burst(meter: PowerMeter, asked: Workload, factor: int, latency_s: float) -> int:
    """Inferences of a burst, so that the meter resolves the shortest, which holds ``factor`` times as many.

    Raises:
        MeterError: It does not resolve what was asked for.
    """
    needed = meter.resolution.shortest_window_s / (factor * latency_s)
    burst = asked.burst or max(1, math.ceil(RESOLVED_MARGIN * needed))
    try:
        require_resolution(meter, window_s=burst * factor * latency_s, inferences=burst * factor)
    except MeterError as error:
        error.hint = f"--burst {math.ceil(needed)} or more, or without --burst as many as it takes"
        raise
    return burst


def _gap(meter: PowerMeter, asked: Workload, bursts_s: Sequence[float]) -> tuple[float, float]:
    """Mean gap in ms and its spread, for bursts of these lengths.

    Without one asked for, even the shortest gap outlasts a tail and has readings enough, and about half of the time is
    idle: the difference of two levels is known best when both are watched equally long. A gap that was asked for has
    the spread that its readings allow.

    Raises:
        MeterError: The meter has too few readings in the shortest gap.
    """
    least_ms = READINGS_PER_GAP * meter.resolution.period_s * 1e3
    if asked.gap_ms is None:
        spread = GAP_SPREAD if asked.gap_spread is None else asked.gap_spread
        shortest_ms = max(SHORTEST_GAP_MS, least_ms)
        return max(shortest_ms / (1 - spread), 2e3 * min(bursts_s), 1e3 * fmean(bursts_s)), spread
    if not asked.gap_ms:
        return 0.0, 0.0
    allowed = math.floor(100 * (1 - least_ms / asked.gap_ms)) / 100
    spread = max(0.0, min(GAP_SPREAD, allowed)) if asked.gap_spread is None else asked.gap_spread
    shortest_ms = asked.gap_ms * (1 - spread)
    if shortest_ms < least_ms * (1 - 1e-9):
        raise MeterError(
            f"{meter.name} cannot tell what lies between bursts: gaps down to {shortest_ms:.3g} ms with "
            f"a reading every {meter.resolution.period_s * 1e3:.3g} ms, and {READINGS_PER_GAP} readings are needed",
            hint=f"--gap {math.ceil(least_ms / (1 - spread))} or more"
            + (", or a smaller --gap-spread" if spread else ""),
        )
    return asked.gap_ms, spread


def _expected_s(work: Workload, latency_s: float) -> float:
    """From the start of the idle before to the end of the one after.

    Raises:
        UsageError: No battery and no background lasts that long.
    """
    pulses_s = work.pulses.duration_s if work.pulses is not None else 0.0
    steps_s = sum((step.gap_ms + step.wait_ms) / 1e3 + step.count * latency_s for step in work.schedule)
    expected_s = steps_s + work.warmup * latency_s + 2 * (work.idle_s + pulses_s)
    if not expected_s <= MOST_RUN_S:
        raise UsageError(
            f"a run under a meter of {expected_s / 3600:.3g} hours: at most {MOST_RUN_S / 3600:g}",
            hint="fewer --runs, or a smaller --burst, --burst-factors or --gap",
        )
    return expected_s


def _whole_run(meter: PowerMeter, asked: Workload, request: MeterRequest, latency_s: float) -> MeteredLayout:
    try:
        require_run(meter, run_s=asked.runs * latency_s)
    except MeterError as error:
        needed = math.ceil(meter.resolution.shortest_run_s / latency_s)
        error.hint = f"--runs {needed} takes long enough; it gives the mean over the run, not single inferences"
        raise
    idle_s = idle_around_s(request, meter.resolution.period_s, whole_run=True)
    plain = msgspec.structs.replace(switched_off(asked), rounds=1, burst=asked.runs, gap_ms=0.0, idle_s=idle_s)
    workload = scheduled(plain)
    return MeteredLayout(
        workload=workload, whole_run=True, latency_s=latency_s, expected_s=_expected_s(workload, latency_s)
    )


def stamps_of(measured: Measured, work: Workload) -> RunStamps | None:
    """When the runner did what stands in the schedule of ``work``. None where nobody told.

    The runs of one step count as one interval.

    Raises:
        ArtifactError: The runs are not those of the schedule.
    """
    samples, warmup = measured.samples, measured.warmup
    if not measured.stamped:
        return None
    counts = [step.count for step in scheduled(work).schedule if step.count]
    firsts = [0, *accumulate(counts)]
    if firsts[-1] != len(samples):
        raise ArtifactError(f"a run of {len(samples)} forward passes does not fit its schedule of {firsts[-1]}")
    return RunStamps(
        bursts=tuple(_window(samples[first:last]) for first, last in pairwise(firsts)),
        counts=tuple(counts) if len(set(counts)) > 1 else (),
        controls=tuple(map(_window_of, measured.controls)),
        pulses=tuple(map(_window_of, measured.pulses)),
        warmup=tuple(_window([sample]) for sample in warmup),
        other=tuple(
            _window_of(phase)
            for phase in measured.phases
            if phase.name in ("load", "golden") and phase.end_monotonic_ns > phase.start_monotonic_ns
        ),
        inferences_per_burst=min(counts),
        suspended_ns=_suspended_ns([*warmup, *samples]),
    )


def _window(samples: Sequence[RunSample]) -> Window:
    return Window(start_ns=samples[0].start_monotonic_ns or 0, end_ns=samples[-1].end_monotonic_ns or 0)


def _window_of(told: Phase | Pulse | Control) -> Window:
    return Window(start_ns=told.start_monotonic_ns, end_ns=told.end_monotonic_ns)


def _suspended_ns(samples: Sequence[RunSample]) -> int:
    """How far the boot clock, which runs on while the device sleeps, ran ahead of the monotonic one."""
    first, last = samples[0], samples[-1]
    at_first = (first.start_boottime_ns or 0) - (first.start_monotonic_ns or 0)
    at_last = (last.end_boottime_ns or 0) - (last.end_monotonic_ns or 0)
    return max(0, at_last - at_first)
