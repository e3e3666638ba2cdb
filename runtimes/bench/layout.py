"""How a run is laid out so that a given meter can resolve it: bursts, gaps and idle around them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edgevit.errors import MeterError, UsageError
from edgevit.records import Record
from runtimes.bench.request import MeterRequest
from runtimes.power.meter import PowerMeter, require_resolution, require_run
from runtimes.power.stamps import RunStamps, Window
from runtimes.runners.contract import Phase, Pulse
from runtimes.runners.runner import Measured, Runner, RunSample
from runtimes.runners.workload import SyncPulses, Workload

SHORTEST_GAP_MS = 100.0  # chosen, because a phone's power tail is over in some tens of milliseconds
LEAST_IDLE_S = 2.0  # chosen, because the background before and after needs a second each beside the sync pulses
COARSE_S = 1.0  # chosen: a meter whose shortest window is longer than any burst should be measures whole runs
RESOLVED_MARGIN = 1.25  # chosen, because a burst may turn out that much shorter than the latency before it
READINGS_OF_IDLE = 20  # of a coarse meter, before and after: as many as make a window (``SAMPLES_PER_WINDOW``)


class MeteredLayout(Record):
    """The layout of one process under a meter.

    Attributes:
        workload: All of it: ``runs`` single forward passes in bursts of ``burst``.
        whole_run: A single mean over everything, without gaps, for a coarse meter.
        latency_s: The latency that it was laid out for.
        expected_s: From the start of the idle phase to the end of the one after.
    """

    workload: Workload
    whole_run: bool
    latency_s: float
    expected_s: float


def require_layout(meter: PowerMeter, asked: Workload, request: MeterRequest) -> None:
    """Refuse what cannot be laid out for ``meter`` whatever the latency turns out to be.

    Raises:
        UsageError: Requests that contradict each other.
    """
    if asked.runs < 1 or request.idle_s < LEAST_IDLE_S:
        raise UsageError(
            f"{asked.runs} runs with {request.idle_s:g} s of idle: at least 1 run and {LEAST_IDLE_S:g} s are needed"
        )
    if _is_coarse(meter) and (asked.burst is not None or asked.gap_ms):
        raise UsageError(f"{meter.name} measures whole runs only: bursts and gaps have no place in them")


def lay_out(meter: PowerMeter, asked: Workload, request: MeterRequest, *, latency_s: float) -> MeteredLayout:
    """Lay out a run of inferences that take ``latency_s`` each.

    Raises:
        MeterError: The meter cannot resolve what the workload asks for; the hint says what it could.
        UsageError: Requests that contradict each other.
    """
    require_layout(meter, asked, request)
    if _is_coarse(meter):
        return _whole_run(meter, asked, request, latency_s)
    burst = asked.burst or max(1, math.ceil(RESOLVED_MARGIN * meter.resolution.shortest_window_s / latency_s))
    window_s = burst * latency_s
    require_resolution(meter, window_s=window_s, inferences=burst)
    gap_ms = asked.gap_ms if asked.gap_ms is not None else max(SHORTEST_GAP_MS, 2e3 * window_s)
    busy_s = asked.runs * (window_s + gap_ms / 1e3) + asked.warmup * latency_s
    pulses = SyncPulses()
    workload = msgspec.structs.replace(
        asked, runs=asked.runs * burst, rounds=1, burst=burst, gap_ms=gap_ms, idle_s=request.idle_s, pulses=pulses
    )
    around_s = 2 * (request.idle_s + pulses.duration_s)
    return MeteredLayout(workload=workload, whole_run=False, latency_s=latency_s, expected_s=busy_s + around_s)


def lay_out_for(
    runner: Runner, meter: PowerMeter, asked: Workload, request: MeterRequest, *, latency_s: float
) -> MeteredLayout:
    """The layout of a run by ``runner``; see ``lay_out``.

    Tools run one inference after each gap and tell no times, so only single inferences with idle between them can be
    told apart in a trace; their warm-up would look the same, and is left out.

    Raises:
        MeterError: The meter cannot resolve it.
        UsageError: Requests that contradict each other, or a tool would have to run bursts, or without gaps.
    """
    if runner.stamps:
        return lay_out(meter, asked, request, latency_s=latency_s)
    layout = lay_out(meter, msgspec.structs.replace(asked, warmup=0), request, latency_s=latency_s)
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
    return layout


def _is_coarse(meter: PowerMeter) -> bool:
    return meter.resolution.shortest_window_s > COARSE_S


def _whole_run(meter: PowerMeter, asked: Workload, request: MeterRequest, latency_s: float) -> MeteredLayout:
    try:
        require_run(meter, run_s=asked.runs * latency_s)
    except MeterError as error:
        needed = math.ceil(meter.resolution.shortest_run_s / latency_s)
        error.hint = f"--runs {needed} takes long enough; it gives the mean over the run, not single inferences"
        raise
    idle_s = max(request.idle_s, meter.resolution.period_s * READINGS_OF_IDLE)
    workload = msgspec.structs.replace(asked, rounds=1, burst=asked.runs, gap_ms=0.0, idle_s=idle_s)
    busy_s = (asked.runs + asked.warmup) * latency_s
    return MeteredLayout(workload=workload, whole_run=True, latency_s=latency_s, expected_s=busy_s + 2 * idle_s)


def stamps_of(measured: Measured, *, burst: int) -> RunStamps | None:
    """When the runner was busy; ``burst`` inferences without a gap count as one interval. None where nobody told."""
    samples, warmup = measured.samples, measured.warmup
    if not samples or samples[0].start_monotonic_ns is None:
        return None
    return RunStamps(
        bursts=tuple(_window(samples[first : first + burst]) for first in range(0, len(samples), burst)),
        pulses=tuple(map(_window_of, measured.pulses)),
        warmup=tuple(_window([sample]) for sample in warmup),
        other=tuple(
            _window_of(phase)
            for phase in measured.phases
            if phase.name in ("load", "golden") and phase.end_monotonic_ns > phase.start_monotonic_ns
        ),
        inferences_per_burst=burst,
        suspended_ns=_suspended_ns([*warmup, *samples]),
    )


def _window(samples: Sequence[RunSample]) -> Window:
    return Window(start_ns=samples[0].start_monotonic_ns or 0, end_ns=samples[-1].end_monotonic_ns or 0)


def _window_of(told: Phase | Pulse) -> Window:
    return Window(start_ns=told.start_monotonic_ns, end_ns=told.end_monotonic_ns)


def _suspended_ns(samples: Sequence[RunSample]) -> int:
    """How far the boot clock, which runs on while the device sleeps, ran ahead of the monotonic one."""
    first, last = samples[0], samples[-1]
    at_first = (first.start_boottime_ns or 0) - (first.start_monotonic_ns or 0)
    at_last = (last.end_boottime_ns or 0) - (last.end_monotonic_ns or 0)
    return max(0, at_last - at_first)
