"""How a run is laid out so that a given meter can resolve it: bursts, gaps and idle around them."""

from __future__ import annotations

import math

from edgevit.errors import MeterError, UsageError
from edgevit.records import Record
from runtimes.power.meter import PowerMeter, require_resolution, require_run
from runtimes.runners.contract import SyncPulses

SHORTEST_GAP_MS = 100.0
COARSE_S = 1.0  # a meter whose shortest window is longer than this measures whole runs
PULSES = SyncPulses()


class EnergySettings(Record):
    """What the user asked for.

    Attributes:
        runs: Measured bursts (the paper takes 50).
        warmup: Untimed inferences before.
        gap_ms: Idle between bursts; None for the larger of 100 ms and twice the burst.
        burst: Inferences per burst; None for 1, or as many as the meter needs to see a burst.
        threads: Threads of the runtime.
        affinity: Hexadecimal CPU mask, or None.
        idle_s: Idle before and after, for the background.
        timeout_s: Longest time for the pilot run, and for what comes on top of the planned time.
    """

    runs: int = 50
    warmup: int = 10
    gap_ms: float | None = None
    burst: int | None = None
    threads: int = 1
    affinity: str | None = None
    idle_s: float = 4.0
    timeout_s: float = 600.0


class EnergyPlan(Record):
    """The layout. ``whole_run`` means a single mean over everything, without gaps, for a coarse meter.

    ``passes`` counts single forward passes; ``expected_s`` is the time from the start of the runner's idle phase to
    the end of the one after.
    """

    whole_run: bool
    passes: int
    burst: int
    gap_ms: float
    idle_s: float
    latency_s: float
    expected_s: float


def plan_energy(meter: PowerMeter, settings: EnergySettings, *, latency_s: float) -> EnergyPlan:
    """Lay out a run of inferences that take ``latency_s`` each, as a pilot run told.

    Raises:
        MeterError: The meter cannot resolve what the settings ask for; the hint says what it could.
        UsageError: Settings that contradict each other.
    """
    if settings.runs < 1 or settings.idle_s < 2.0:
        raise UsageError(f"{settings.runs} runs with {settings.idle_s:g} s of idle: at least 1 run and 2 s are needed")
    whole_run = meter.resolution.shortest_window_s > COARSE_S
    if whole_run:
        return _whole_run(meter, settings, latency_s)
    burst = settings.burst or max(1, math.ceil(1.25 * meter.resolution.shortest_window_s / latency_s))
    window_s = burst * latency_s
    require_resolution(meter, window_s=window_s, inferences=burst)
    gap_ms = settings.gap_ms if settings.gap_ms is not None else max(SHORTEST_GAP_MS, 2e3 * window_s)
    busy_s = settings.runs * (window_s + gap_ms / 1e3) + settings.warmup * latency_s
    return EnergyPlan(
        whole_run=False,
        passes=settings.runs * burst,
        burst=burst,
        gap_ms=gap_ms,
        idle_s=settings.idle_s,
        latency_s=latency_s,
        expected_s=busy_s + 2 * settings.idle_s + 2 * _pulses_s(),
    )


def _whole_run(meter: PowerMeter, settings: EnergySettings, latency_s: float) -> EnergyPlan:
    if settings.burst is not None or settings.gap_ms:
        raise UsageError(f"{meter.name} measures whole runs only: bursts and gaps have no place in them")
    try:
        require_run(meter, run_s=settings.runs * latency_s)
    except MeterError as error:
        needed = math.ceil(meter.resolution.shortest_run_s / latency_s)
        error.hint = f"--runs {needed} takes long enough; it gives the mean over the run, not single inferences"
        raise
    idle_s = max(settings.idle_s, meter.resolution.period_s * 20)
    return EnergyPlan(
        whole_run=True,
        passes=settings.runs,
        burst=settings.runs,
        gap_ms=0.0,
        idle_s=idle_s,
        latency_s=latency_s,
        expected_s=(settings.runs + settings.warmup) * latency_s + 2 * idle_s,
    )


def _pulses_s() -> float:
    return (sum(PULSES.busy_ms) + PULSES.idle_ms * (len(PULSES.busy_ms) + 1)) / 1e3
