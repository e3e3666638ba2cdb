"""Recordings of known physics, what is done to them afterwards, and which checks of an energy figure then fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from power_course import Course, boxes
from power_physics import Case, Layout, Load, Setup

from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import LOST
from validation.energy.analysis import examine
from validation.energy.checks import check_figure
from validation.energy.evidence import Evidence
from validation.energy.report import Check

Doubles = NDArray[np.float64]

SOUND = Setup(tail_height=0.3)  # 50 inferences of 30 ms, 1500 mW over 800 mW, at 1 kHz
TWO_LENGTHS = replace(SOUND, plan=(1, 3, 0) * 20, gap_spread=0.6)


def failing(case: Case) -> dict[str, str]:
    """Name and reason of every check that the figure of ``case`` does not pass."""
    checks = check_figure(examine(case.trace, case.stamps))
    return {check.name: check.reason for check in checks if not check.passed}


def check_of(evidence: Evidence, name: str) -> Check:
    """One check on what was made of a recording, by its name."""
    return next(check for check in check_figure(evidence) if check.name == name)


def error_of(case: Case) -> float:
    """How far the figure is off, relative to the truth."""
    return examine(case.trace, case.stamps).estimate.energy_mj / case.truth_mj - 1


def with_stamps(case: Case, **changes: object) -> Case:
    """The recording with other stamps."""
    return replace(case, stamps=msgspec.structs.replace(case.stamps, **changes))


def with_power(case: Case, power_mw: Doubles) -> Case:
    """The recording with other power, (samples,) mW."""
    return replace(case, trace=replace(case.trace, power_mw=power_mw))


def with_lost(case: Case, lost: NDArray[np.bool_]) -> Case:
    """The recording without the samples of (samples,) bool."""
    trace = case.trace
    flags = np.where(lost, trace.flags | LOST, trace.flags).astype(np.uint8)
    return replace(case, trace=replace(trace, power_mw=np.where(lost, np.nan, trace.power_mw), flags=flags))


def moved(windows: tuple[Window, ...], start_ms: float, end_ms: float) -> tuple[Window, ...]:
    """Windows with their starts and ends moved by so many ms."""
    first, last = round(start_ms * 1e6), round(end_ms * 1e6)
    return tuple(Window(start_ns=w.start_ns + first, end_ns=w.end_ns + last) for w in windows)


def jumped(stamps: RunStamps, by_ms: float) -> RunStamps:
    """Stamps whose clock jumps in the middle of the run."""
    half, early = len(stamps.bursts) // 2, len(stamps.pulses) // 2
    return msgspec.structs.replace(
        stamps,
        bursts=stamps.bursts[:half] + moved(stamps.bursts[half:], by_ms, by_ms),
        pulses=stamps.pulses[:early] + moved(stamps.pulses[early:], by_ms, by_ms),
    )


def load_by_bursts(make: Callable[[Doubles], Course]) -> Load:
    """A load made from the (bursts, 2) s that the bursts take."""

    def load(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        return make(layout.bursts)

    return load


def in_windows(power_mw: float, *, every: int = 1, before_s: float = 0.0, behind_s: float = 0.0) -> Load:
    """A load in every so-manieth window, from before its start to behind its end."""
    return load_by_bursts(lambda w: boxes(w[::every, 0] - before_s, w[::every, 1] + behind_s, power_mw))


def in_gaps(power_mw: float, *, every: int = 1) -> Load:
    """A load that fills every so-manieth gap."""
    return load_by_bursts(lambda w: boxes(w[:-1:every, 1], w[1::every, 0], power_mw))
