"""What meters, and readers of their files, do to a recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from power_course import Doubles, leaky_sum
from power_physics import Case, Front, Layout, Setup
from power_sound import log_uniform
from power_twist import After, Kinds, Twist

from runtimes.power.trace import LOST, PowerTrace

HOSTILE_METERS = Kinds()

Random = np.random.Generator
Rows = NDArray[np.intp]


def on_power(change: Callable[[Doubles], Doubles]) -> After:
    """Change the written power; the columns that it came from go, as they would tell."""

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        power = change(np.asarray(case.trace.power_mw, np.float64))
        return replace(case, trace=replace(case.trace, power_mw=power, current_ma=None, voltage_v=None))

    return after


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


def level_below_peak(setup: Setup, rng: Random) -> float:
    """2 to 40 % below the highest power of a mean inference, mW at the supply."""
    return setup.idle_mw + (1 - rng.uniform(0.02, 0.4)) * setup.power_mw * float(setup.shape.y.max())


def clipped(level: float, knee: float = 0.0) -> Front:
    """A front end that saturates at ``level``, softly over the last ``knee`` mW below it."""

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        if not knee:
            return np.minimum(power, level)
        over = np.maximum(power - (level - knee), 0)
        return np.minimum(power, level - knee) + knee * np.tanh(over / knee)

    return front


@HOSTILE_METERS.add()
def clipped_exactly(setup: Setup, rng: Random) -> Twist:
    level = level_below_peak(setup, rng)
    return Twist(setup, f"at {level:.0f} mW", after=on_power(lambda power: np.minimum(power, level)))


@HOSTILE_METERS.add()
def clipped_before_noise(setup: Setup, rng: Random) -> Twist:
    level = level_below_peak(setup, rng)
    return Twist(setup, f"at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add()
def clipped_softly(setup: Setup, rng: Random) -> Twist:
    level, knee = level_below_peak(setup, rng), rng.uniform(0.05, 0.6) * setup.power_mw
    return Twist(setup, f"at {level:.0f} mW over {knee:.0f}", front=clipped(level, knee))


@HOSTILE_METERS.add()
def pulses_clipped(setup: Setup, rng: Random) -> Twist:
    """The inferences stay below."""
    highest = setup.power_mw * float(setup.shape.y.max()) * (1 + 4 * setup.power_jitter)
    level = setup.idle_mw + highest + 4 * setup.noise_mw + rng.uniform(0.05, 0.3) * setup.power_mw
    return Twist(replace(setup, pulse_ratio=2.5), f"at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add()
def weak_pulses(setup: Setup, rng: Random) -> Twist:
    """Harmless, but for what it cannot show."""
    ratio = rng.uniform(0.3, 0.95)
    return Twist(replace(setup, pulse_ratio=ratio), f"{ratio:.0%}")


@HOSTILE_METERS.add()
def weak_pulses_and_clipping(setup: Setup, rng: Random) -> Twist:
    ratio, level = rng.uniform(0.3, 0.9), level_below_peak(setup, rng)
    return Twist(replace(setup, pulse_ratio=ratio), f"{ratio:.0%}, at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add()
def no_pulses_and_clipping(setup: Setup, rng: Random) -> Twist:
    level = level_below_peak(setup, rng)
    return Twist(replace(setup, pulses=False), f"at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add()
def no_pulses(setup: Setup, rng: Random) -> Twist:
    """Harmless, but for what it cannot show."""
    return Twist(replace(setup, pulses=False), "none")


@HOSTILE_METERS.add()
def range_switches(setup: Setup, rng: Random) -> Twist:
    """Above a threshold the meter has another gain, and holds its last value for a while when it switches."""
    gain, hold = 1 + rng.uniform(-0.2, 0.2), int(rng.integers(0, 6))
    threshold = setup.idle_mw + rng.uniform(0.1, 1.2) * setup.power_mw

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        high = power > threshold
        scaled = np.where(high, gain * power, power)
        recent = np.zeros(len(power), bool)
        switched = np.flatnonzero(high[1:] != high[:-1]) + 1
        for later in range(hold):
            recent[np.minimum(switched + later, len(power) - 1)] = True
        kept = np.maximum.accumulate(np.where(recent, 0, np.arange(len(power))))
        return scaled[kept]

    return Twist(setup, f"gain {gain:.2f} above {threshold:.0f} mW, {hold} held", front=front)


@HOSTILE_METERS.add()
def floor(setup: Setup, rng: Random) -> Twist:
    """Too little power reads as the least that the meter knows."""
    level = setup.idle_mw + rng.uniform(-0.02, 0.6) * setup.power_mw
    return Twist(setup, f"{level:.0f} mW", front=lambda power, *_: np.maximum(power, level))


@HOSTILE_METERS.add()
def dead_zone(setup: Setup, rng: Random) -> Twist:
    """Too little power reads as none."""
    level = setup.idle_mw + rng.uniform(-0.1, 0.6) * setup.power_mw
    return Twist(setup, f"{level:.0f} mW", front=lambda power, *_: np.where(power < level, 0, power))


@HOSTILE_METERS.add()
def coarse_converter(setup: Setup, rng: Random) -> Twist:
    step = log_uniform(rng, 0.05, 2) * setup.power_mw
    return Twist(replace(setup, lsb_mw=step, noise_mw=0.02 * setup.noise_mw), f"{step:.0f} mW")


@HOSTILE_METERS.add()
def buried_in_noise(setup: Setup, rng: Random) -> Twist:
    error = log_uniform(rng, 0.02, 1.0)
    noise = error * setup.power_mw * np.sqrt(len(setup.plan) * setup.burst_s * setup.rate_hz / 2)
    return Twist(replace(setup, noise_mw=float(noise)), f"{error:.0%} of the mean")


@HOSTILE_METERS.add()
def heavy_low_pass(setup: Setup, rng: Random) -> Twist:
    seconds = log_uniform(rng, 0.05, 4) * setup.burst_s
    return Twist(replace(setup, meter="low-pass", low_pass_s=seconds), f"{1e3 * seconds:.1f} ms")


@HOSTILE_METERS.add()
def alternating_current_only(setup: Setup, rng: Random) -> Twist:
    """The front end loses what is constant, with a time constant of a few bursts to many."""
    seconds = log_uniform(rng, 1, 300) * setup.burst_s

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        keep = float(np.exp(-1 / setup.rate_hz / seconds))
        alternating = power - power[0]
        return alternating - (1 - keep) * leaky_sum(alternating, keep)

    return Twist(setup, f"{seconds:.2f} s", front=front)


@HOSTILE_METERS.add()
def delay_drifts(setup: Setup, rng: Random) -> Twist:
    """The samples come later and later, or earlier and later in turns."""
    delay, turns = log_uniform(rng, 0.03, 2) * setup.burst_s, rng.uniform(0.5, 4)

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        index = np.arange(len(power), dtype=np.float64)
        late = delay * setup.rate_hz * np.sin(2 * np.pi * turns * index / len(power))
        return np.interp(index - late, index, power)

    return Twist(setup, f"{1e3 * delay:.1f} ms, {turns:.1f} turns", front=front)


@HOSTILE_METERS.add()
def wrong_rate(setup: Setup, rng: Random) -> Twist:
    ratio = float(rng.choice([0.5, 2.0, *(1 + rng.uniform(0.003, 0.1) * np.array([-1, 1, -1, 1]))]))

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        stamps = case.trace.host_stamps if rng.random() < 0.3 else np.zeros((0, 2))
        return replace(case, trace=replace(case.trace, rate_hz=ratio * case.trace.rate_hz, host_stamps=stamps))

    return Twist(setup, f"times {ratio:.3f}", after=after)


@HOSTILE_METERS.add()
def rows_missing_in_bursts(setup: Setup, rng: Random) -> Twist:
    share = log_uniform(rng, 0.003, 0.4)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        busy = in_bursts(case, layout)
        return np.flatnonzero(~(busy & (rng.random(len(busy)) < share)))

    return Twist(setup, f"{share:.1%}", after=on_rows(kept))


@HOSTILE_METERS.add()
def rows_missing_anywhere(setup: Setup, rng: Random) -> Twist:
    share = log_uniform(rng, 0.0003, 0.1)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        return np.flatnonzero(rng.random(len(case.trace.power_mw)) >= share)

    return Twist(setup, f"{share:.2%}", after=on_rows(kept))


@HOSTILE_METERS.add()
def rows_missing_in_every_gap(setup: Setup, rng: Random) -> Twist:
    """A logger that skips what does not change."""
    share = log_uniform(rng, 0.01, 0.9)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        busy = in_bursts(case, layout)
        times = np.arange(len(busy)) / case.trace.rate_hz
        run = (times > layout.bursts[0, 0]) & (times < layout.bursts[-1, 1])
        return np.flatnonzero(busy | ~run | (rng.random(len(busy)) >= share))

    return Twist(setup, f"{share:.0%}", after=on_rows(kept))


@HOSTILE_METERS.add()
def lost_in_bursts(setup: Setup, rng: Random) -> Twist:
    share = log_uniform(rng, 0.05, 0.98)
    return Twist(
        setup,
        f"{share:.0%}",
        after=on_loss(lambda case, layout, rng: in_bursts(case, layout) & (rng.random(len(case.trace.flags)) < share)),
    )


@HOSTILE_METERS.add()
def lost_where_high(setup: Setup, rng: Random) -> Twist:
    """A link that fails under load: the highest samples are those that get lost."""
    level, share = setup.idle_mw + rng.uniform(0.6, 1.2) * setup.power_mw, rng.uniform(0.2, 1.0)

    def lost(case: Case, layout: Layout, rng: Random) -> NDArray[np.bool_]:
        power = np.nan_to_num(case.trace.power_mw)
        return (power > level) & (rng.random(len(power)) < share)

    return Twist(setup, f"{share:.0%} above {level:.0f} mW", after=on_loss(lost))


@HOSTILE_METERS.add()
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


@HOSTILE_METERS.add()
def mostly_lost(setup: Setup, rng: Random) -> Twist:
    share = rng.uniform(0.3, 0.99)
    return Twist(setup, f"{share:.0%}", after=on_loss(lambda case, *_: rng.random(len(case.trace.flags)) < share))


@HOSTILE_METERS.add()
def block_dropped(setup: Setup, rng: Random) -> Twist:
    seconds = log_uniform(rng, 0.003, 3)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        rows = np.arange(len(case.trace.power_mw))
        start = int(rng.uniform(layout.bursts[0, 0], layout.bursts[-1, 1]) * setup.rate_hz)
        return np.delete(rows, slice(start, start + max(1, int(seconds * setup.rate_hz))))

    return Twist(setup, f"{1e3 * seconds:.0f} ms", after=on_rows(kept))


@HOSTILE_METERS.add()
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


@HOSTILE_METERS.add()
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


@HOSTILE_METERS.add()
def uneven_sampling(setup: Setup, rng: Random) -> Twist:
    """Read when the reader found the time, and written as if evenly."""
    jitter = log_uniform(rng, 0.1, 30)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        count = len(case.trace.power_mw)
        steps = rng.gamma(1 / jitter, jitter, count)
        rows = np.cumsum(steps / steps.mean())
        return np.clip(rows.astype(np.intp), 0, count - 1)

    return Twist(setup, f"{jitter:.1f}", after=on_rows(kept))


@HOSTILE_METERS.add()
def cut_in_the_run(setup: Setup, rng: Random) -> Twist:
    share = rng.uniform(0.1, 0.95)

    def kept(case: Case, layout: Layout, rng: Random) -> Rows:
        start, end = layout.bursts[0, 0], layout.bursts[-1, 1]
        return np.arange(min(len(case.trace.flags), int((start + share * (end - start)) * setup.rate_hz)))

    return Twist(setup, f"after {share:.0%}", after=on_rows(kept))


@HOSTILE_METERS.add()
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


@HOSTILE_METERS.add()
def negated(setup: Setup, rng: Random) -> Twist:
    return Twist(setup, "all", after=on_power(lambda power: -power))


@HOSTILE_METERS.add()
def rectified(setup: Setup, rng: Random) -> Twist:
    """The meter's zero is off, and it shows no sign."""
    zero = setup.idle_mw + rng.uniform(-0.5, 0.8) * setup.power_mw
    return Twist(setup, f"about {zero:.0f} mW", front=lambda power, *_: np.abs(power - zero))


@HOSTILE_METERS.add()
def other_unit(setup: Setup, rng: Random) -> Twist:
    scale = float(rng.choice([1e-6, 1e-3, 1e3, 1e6]))
    return Twist(setup, f"times {scale:g}", after=on_power(lambda power: scale * power))


@HOSTILE_METERS.add()
def constant(setup: Setup, rng: Random) -> Twist:
    level, noise = rng.uniform(0, setup.idle_mw + setup.power_mw), float(rng.choice([0.0, setup.noise_mw]))
    flat = on_power(lambda power: level + noise * rng.standard_normal(len(power)))
    return Twist(setup, f"{level:.0f} mW", after=flat)
