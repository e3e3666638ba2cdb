"""Recordings without noise whose figures follow by arithmetic: boxes on a level, and the clock that is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from power_course import NOTHING, Course, Supply, boxes, total

from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import PowerTrace
from validation.energy.alignment import Alignment
from validation.energy.estimate import estimate
from validation.energy.evidence import Evidence
from validation.energy.model import fit_model
from validation.energy.signal import signal_of

IDLE_MW = 500.0
Spans = Sequence[tuple[float, float]]


def clock(*, offset_s: float = 0.0, residual_s: float = 0.0, longer_s: float = 0.0) -> Alignment:
    """Device time is the trace's, but for an offset."""
    return Alignment(0.0, offset_s, 0.0, residual_s, 1, longer_s, 100.0)


def row(count: int, *, first_s: float = 2.0, burst_s: float = 0.06, gap_s: float = 0.2) -> list[tuple[float, float]]:
    """Starts and ends in s of so many bursts, one after the other."""
    return [(first_s + n * (burst_s + gap_s), first_s + n * (burst_s + gap_s) + burst_s) for n in range(count)]


def windows(spans: Spans) -> tuple[Window, ...]:
    """Stamps of these s."""
    return tuple(Window(start_ns=round(start * 1e9), end_ns=round(end * 1e9)) for start, end in spans)


def trace_of(course: Course, seconds: float, *, rate_hz: float = 1000.0) -> PowerTrace:
    """What a perfect meter writes down above ``IDLE_MW``."""
    edges = np.arange(round(seconds * rate_hz) + 1) / rate_hz
    power = Supply(course).mean_power(edges) + IDLE_MW
    return PowerTrace(rate_hz, power, np.zeros(len(power), np.uint8))


def recorded(
    bursts: Spans,
    powers: float | Sequence[float] = 1000.0,
    *,
    counts: tuple[int, ...] = (),
    controls: Spans = (),
    warmup: Spans = (),
    other: Spans = (),
    load: Course = NOTHING,
    rate_hz: float = 1000.0,
) -> tuple[PowerTrace, RunStamps]:
    """Bursts of constant power in mW, ``load`` on top, and 2 s of idle behind the last."""
    course = boxes([start for start, _ in bursts], [end for _, end in bursts], powers)
    stamps = RunStamps(
        bursts=windows(bursts), counts=counts, controls=windows(controls), warmup=windows(warmup),
        other=windows(other), inferences_per_burst=min(counts, default=1),
    )  # fmt: skip
    return trace_of(total([course, load]), bursts[-1][1] + 2.0, rate_hz=rate_hz), stamps


def evidence_of(trace: PowerTrace, stamps: RunStamps, alignment: Alignment | None = None) -> Evidence:
    """What is made of a recording whose clock is known."""
    signal, known = signal_of(trace), alignment or clock()
    model = fit_model(signal, stamps, known)
    return Evidence(trace, signal, stamps, known, model, estimate(signal, stamps, known, model))
