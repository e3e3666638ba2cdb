"""Samples that a recording lacks, has twice, or has at other times than it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from power_physics import Case, Layout, Setup
from power_sound import log_uniform
from power_twist import After, Kinds, Twist

from runtimes.power.trace import LOST, PowerTrace

HOSTILE_ROWS = Kinds()

Random = np.random.Generator
Rows = NDArray[np.intp]


def on_rows(choose: Callable[[Case, Layout, Random], Rows]) -> After:
    """Let the trace consist of other rows of itself; the host's stamps would tell, and go."""

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        trace, rows = case.trace, choose(case, layout, rng)
        current, voltage = (None if column is None else column[rows] for column in (trace.current_ma, trace.voltage_v))
        made = PowerTrace(trace.rate_hz, trace.power_mw[rows], trace.flags[rows], current, voltage, meta=trace.meta)
        return replace(case, trace=made)

    return after


def on_loss(choose: Callable[[Case, Layout, Random], NDArray[np.bool_]]) -> After:
    """Lose the samples chosen, and say so."""

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        trace, lost = case.trace, choose(case, layout, rng)
        columns = {
            name: np.where(lost, np.nan, column)
            for name in ("power_mw", "current_ma", "voltage_v")
            if (column := getattr(trace, name)) is not None
        }
        flags = np.where(lost & (trace.flags == 0), LOST, trace.flags).astype(np.uint8)
        return replace(case, trace=replace(trace, flags=flags, **columns))

    return after


def in_bursts(case: Case, layout: Layout) -> NDArray[np.bool_]:
    """(n,) whether a burst runs in the middle of each sample."""
    times = (np.arange(len(case.trace.power_mw)) + 0.5) / case.trace.rate_hz
    burst = np.searchsorted(layout.bursts[:, 0], times, side="right") - 1
    inside: NDArray[np.bool_] = (burst >= 0) & (times < layout.bursts[burst, 1])
    return inside


@HOSTILE_ROWS.add(both=True)
def wrong_rate(setup: Setup, rng: Random) -> Twist:
    ratio = float(rng.choice([0.5, 2.0, *(1 + rng.uniform(0.003, 0.1) * np.array([-1, 1, -1, 1]))]))

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        stamps = case.trace.host_stamps if rng.random() < 0.3 else np.zeros((0, 2))
        return replace(case, trace=replace(case.trace, rate_hz=ratio * case.trace.rate_hz, host_stamps=stamps))

    return Twist(setup, f"times {ratio:.3f}", after=after)


@HOSTILE_ROWS.add(both=True)
def rows_missing_in_bursts(setup: Setup, rng: Random) -> Twist:
    share = log_uniform(rng, 0.003, 0.4)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        busy = in_bursts(case, layout)
        return np.flatnonzero(~(busy & (rng.random(len(busy)) < share)))

    return Twist(setup, f"{share:.1%}", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def rows_missing_anywhere(setup: Setup, rng: Random) -> Twist:
    share = log_uniform(rng, 0.0003, 0.1)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        return np.flatnonzero(rng.random(len(case.trace.power_mw)) >= share)

    return Twist(setup, f"{share:.2%}", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def rows_missing_in_every_gap(setup: Setup, rng: Random) -> Twist:
    """A logger that skips what does not change."""
    share = log_uniform(rng, 0.01, 0.9)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        busy = in_bursts(case, layout)
        times = np.arange(len(busy)) / case.trace.rate_hz
        run = (times > layout.bursts[0, 0]) & (times < layout.bursts[-1, 1])
        return np.flatnonzero(busy | ~run | (rng.random(len(busy)) >= share))

    return Twist(setup, f"{share:.0%}", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def lost_in_bursts(setup: Setup, rng: Random) -> Twist:
    share = log_uniform(rng, 0.05, 0.98)
    return Twist(
        setup,
        f"{share:.0%}",
        after=on_loss(lambda case, layout, rng: in_bursts(case, layout) & (rng.random(len(case.trace.flags)) < share)),
    )


@HOSTILE_ROWS.add(both=True)
def lost_where_high(setup: Setup, rng: Random) -> Twist:
    """A link that fails under load: the highest samples are those that get lost."""
    level, share = setup.idle_mw + rng.uniform(0.6, 1.2) * setup.power_mw, rng.uniform(0.2, 1.0)

    def lost(case: Case, layout: Layout, rng: Random) -> NDArray[np.bool_]:
        power = np.nan_to_num(case.trace.power_mw)
        return (power > level) & (rng.random(len(power)) < share)

    return Twist(setup, f"{share:.0%} above {level:.0f} mW", after=on_loss(lost))


@HOSTILE_ROWS.add(both=True)
def lost_at_starts(setup: Setup, rng: Random) -> Twist:
    """The same part of every burst is missing."""
    first, length = rng.uniform(0, 0.6), rng.uniform(0.1, 0.7)

    def lost(case: Case, layout: Layout, rng: Random) -> NDArray[np.bool_]:
        times = (np.arange(len(case.trace.power_mw)) + 0.5) / case.trace.rate_hz
        burst = np.maximum(np.searchsorted(layout.bursts[:, 0], times, side="right") - 1, 0)
        start, end = layout.bursts[burst].T
        part = (times - start) / (end - start)
        chosen: NDArray[np.bool_] = (part >= first) & (part < first + length)
        return chosen

    return Twist(setup, f"from {first:.2f} for {length:.2f}", after=on_loss(lost))


@HOSTILE_ROWS.add(both=True)
def mostly_lost(setup: Setup, rng: Random) -> Twist:
    share = rng.uniform(0.3, 0.99)
    return Twist(setup, f"{share:.0%}", after=on_loss(lambda case, *_: rng.random(len(case.trace.flags)) < share))


@HOSTILE_ROWS.add(both=True)
def block_dropped(setup: Setup, rng: Random) -> Twist:
    seconds = log_uniform(rng, 0.003, 3)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        rows = np.arange(len(case.trace.power_mw))
        start = int(rng.uniform(layout.bursts[0, 0], layout.bursts[-1, 1]) * setup.rate_hz)
        return np.delete(rows, slice(start, start + max(1, int(seconds * setup.rate_hz))))

    return Twist(setup, f"{1e3 * seconds:.0f} ms", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def blocks_twice(setup: Setup, rng: Random) -> Twist:
    """Packets that are delivered twice."""
    seconds, times = log_uniform(rng, 0.002, 1), int(log_uniform(rng, 1, 60))

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        rows = np.arange(len(case.trace.power_mw))
        length = max(1, int(seconds * setup.rate_hz))
        starts = np.sort(rng.integers(0, len(rows) - length, times))
        parts = [rows[begin : end + length] for begin, end in zip([0, *starts], [*starts, len(rows)], strict=True)]
        return np.concatenate(parts)

    return Twist(setup, f"{times} of {1e3 * seconds:.0f} ms", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def blocks_frozen(setup: Setup, rng: Random) -> Twist:
    """The meter repeats its last value for a while, now and then."""
    seconds, share = log_uniform(rng, 0.01, 1), rng.uniform(0.02, 0.5)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        rows = np.arange(len(case.trace.power_mw))
        length = max(2, int(seconds * setup.rate_hz))
        for start in rng.integers(0, len(rows), int(share * len(rows) / length)):
            rows[start : start + length] = rows[start]
        return rows

    return Twist(setup, f"{share:.0%} in {1e3 * seconds:.0f} ms", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def uneven_sampling(setup: Setup, rng: Random) -> Twist:
    """Read when the reader found the time, and written as if evenly."""
    jitter = log_uniform(rng, 0.1, 30)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        count = len(case.trace.power_mw)
        steps = rng.gamma(1 / jitter, jitter, count)
        rows = np.cumsum(steps / steps.mean())
        return np.clip(rows.astype(np.intp), 0, count - 1)

    return Twist(setup, f"{jitter:.1f}", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def cut_in_the_run(setup: Setup, rng: Random) -> Twist:
    share = rng.uniform(0.1, 0.95)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        start, end = layout.bursts[0, 0], layout.bursts[-1, 1]
        return np.arange(min(len(case.trace.flags), int((start + share * (end - start)) * setup.rate_hz)))

    return Twist(setup, f"after {share:.0%}", after=on_rows(kept))


@HOSTILE_ROWS.add(both=True)
def idle_missing(setup: Setup, rng: Random) -> Twist:
    """The trace begins with, or ends at, the pulses or the bursts."""
    where = int(rng.integers(1, 4))
    pulses, loading = bool(rng.random() < 0.5), setup.loading_s

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        ends = layout.pulses if pulses else layout.bursts
        first = int((ends[0, 0] - 0.01) * setup.rate_hz) if where & 1 else 0
        last = int((ends[-1, 1] + 0.01) * setup.rate_hz) if where & 2 else len(case.trace.flags)
        return np.arange(first, last)

    return Twist(setup, f"side {where}, pulses {pulses}, loading {loading:.1f} s", after=on_rows(kept))
