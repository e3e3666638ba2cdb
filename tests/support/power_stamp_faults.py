"""What clocks and runners do to the stamps of a recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from power_course import Course, boxes
from power_physics import Case, Layout, Setup, build
from power_sound import draw, draw_two_lengths, log_uniform
from power_twist import After, Kinds, Twist, windows_of

from runtimes.power.stamps import RunStamps, Window

HOSTILE_STAMPS = Kinds()

Random = np.random.Generator
Ticks = NDArray[np.int64]
GROUPS = ("bursts", "controls", "pulses", "warmup", "other")


def on_stamps(change: Callable[[RunStamps, Layout, Random], RunStamps]) -> After:
    """Write other stamps beside the same trace."""

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        return replace(case, stamps=change(case.stamps, layout, rng))

    return after


def ticks(windows: tuple[Window, ...]) -> Ticks:
    """(n, 2) starts and ends in ns."""
    return np.array([(window.start_ns, window.end_ns) for window in windows], np.int64).reshape(-1, 2)


def windows(times: Ticks) -> tuple[Window, ...]:
    """The windows of (n, 2) starts and ends in ns."""
    return tuple(Window(start_ns=int(start), end_ns=int(end)) for start, end in times)


def on_ticks(change: Callable[[Ticks], NDArray[np.floating] | Ticks]) -> After:
    """Change the times of all stamps."""

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        changed = {
            name: windows(np.round(change(ticks(getattr(case.stamps, name)))).astype(np.int64)) for name in GROUPS
        }
        return replace(case, stamps=msgspec.structs.replace(case.stamps, **changed))

    return after


def on_bursts(change: Callable[[Ticks], NDArray[np.floating] | Ticks], *, warmup: bool = True) -> After:
    """Change the times of the bursts' stamps."""

    def changed(stamps: RunStamps, layout: Layout, rng: Random) -> RunStamps:
        moved = windows(np.round(change(ticks(stamps.bursts))).astype(np.int64))
        return msgspec.structs.replace(stamps, bursts=moved, warmup=stamps.warmup if warmup else ())

    return on_stamps(changed)


@HOSTILE_STAMPS.add(both=True)
def in_another_unit(setup: Setup, rng: Random) -> Twist:
    scale = float(rng.choice([1e-3, 1e3, 0.1, 10.0]))
    return Twist(
        replace(setup, epoch_s=min(setup.epoch_s, 1e4)), f"times {scale:g}", after=on_ticks(lambda t: t * scale)
    )


@HOSTILE_STAMPS.add(both=True)
def clock_of_another_speed(setup: Setup, rng: Random) -> Twist:
    ppm = log_uniform(rng, 200, 100_000) * rng.choice([-1, 1])
    return Twist(replace(setup, drift_ppm=ppm), f"{ppm:.0f} ppm")


@HOSTILE_STAMPS.add(both=True)
def clock_wanders(setup: Setup, rng: Random) -> Twist:
    """The device's clock is slewed to and fro."""
    far, turns = log_uniform(rng, 0.02, 2) * setup.burst_s, rng.uniform(0.5, 4)

    def change(times: Ticks) -> NDArray[np.floating]:
        seconds = (times * 1e-9 - setup.epoch_s) / 100
        return times + 1e9 * min(far, 30 / turns) * np.sin(2 * np.pi * turns * seconds)

    return Twist(setup, f"{1e3 * far:.1f} ms", after=on_ticks(change))


@HOSTILE_STAMPS.add(both=True)
def clock_jumps(setup: Setup, rng: Random) -> Twist:
    """The clock is set in the middle of the run."""
    room = 0.8 * setup.gap_s * (1 - setup.gap_spread)
    jump = log_uniform(rng, 0.003, 0.5)
    jump = jump if rng.random() < 0.5 else -min(jump, room)

    def changed(case: Case, layout: Layout, rng: Random) -> Case:
        first = ticks(case.stamps.bursts)[int(rng.integers(1, len(layout.bursts))), 0]
        return on_ticks(lambda t: t + np.where(t >= first, int(1e9 * jump), 0))(case, layout, rng)

    return Twist(setup, f"by {1e3 * jump:.1f} ms", after=changed)


@HOSTILE_STAMPS.add(both=True)
def suspended(setup: Setup, rng: Random) -> Twist:
    """The device slept in a gap; its clock stood still, and the runner says so or not."""
    slept, told = log_uniform(rng, 0.01, 5), bool(rng.random() < 0.5)

    def changed(case: Case, layout: Layout, rng: Random) -> Case:
        first = ticks(case.stamps.bursts)[int(rng.integers(1, len(layout.bursts))), 0]
        slow = min(slept, 0.9 * setup.gap_s * (1 - setup.gap_spread))
        moved = on_ticks(lambda t: t - np.where(t >= first, int(1e9 * slow), 0))(case, layout, rng)
        stamps = msgspec.structs.replace(moved.stamps, suspended_ns=int(1e9 * slow) if told else 0)
        return replace(moved, stamps=stamps)

    return Twist(setup, f"{slept:.2f} s, told {told}", after=changed)


@HOSTILE_STAMPS.add()
def bursts_moved(setup: Setup, rng: Random) -> Twist:
    """Bursts that began later or earlier than stamped, as when work is only queued; the pulses are right."""
    room = 0.9 * min(setup.gap_s, 0.3)
    move = float(np.clip(log_uniform(rng, 0.02, 1.2) * setup.burst_s * rng.choice([-1, 1]), -room, room))
    return Twist(setup, f"by {1e3 * move:.1f} ms", after=on_bursts(lambda t: t + int(1e9 * move), warmup=False))


@HOSTILE_STAMPS.add()
def one_period_off(setup: Setup, rng: Random) -> Twist:
    """Every burst carries the stamps of the one before or behind; what is left over is stamped where nothing ran."""
    later = bool(rng.random() < 0.5)

    def change(times: Ticks) -> Ticks:
        long = int(np.median(times[:, 1] - times[:, 0]))
        if later:
            extra = times[-1, 1] + int(0.1 * 0.3e9)
            return np.concatenate([times[1:], [[extra, extra + min(long, int(0.2e9))]]])
        extra = times[0, 0] - int(0.8e9 * setup.gap_s * (1 - setup.gap_spread))
        return np.concatenate([[[extra, min(extra + long, times[0, 0] - 1)]], times[:-1]])

    return Twist(setup, f"later {later}", after=on_bursts(change, warmup=False))


@HOSTILE_STAMPS.add(both=True)
def of_another_run(setup: Setup, rng: Random) -> Twist:
    """The same model with other rests and latencies, or another model."""
    ratio = float(rng.choice([1.0, log_uniform(rng, 0.7, 1.4)]))
    other = replace(setup, latency_s=ratio * setup.latency_s)

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        return replace(case, stamps=build(other, case.seed + 1_000_000).stamps)

    return Twist(setup, f"{ratio:.2f} as long", after=after)


@HOSTILE_STAMPS.add()
def too_long(setup: Setup, rng: Random) -> Twist:
    share = rng.uniform(0.02, min(0.6, 0.8 * setup.gap_s * (1 - setup.gap_spread) / setup.burst_s))
    before = float(rng.choice([0.0, 1.0, rng.random()])) * share

    def change(times: Ticks) -> NDArray[np.floating]:
        return times + np.ptp(times, axis=1)[:, None] * [-before, share - before]

    return Twist(setup, f"by {share:.0%}, {before:.0%} before", after=on_bursts(change, warmup=before == 0))


@HOSTILE_STAMPS.add(both=True)
def too_short(setup: Setup, rng: Random) -> Twist:
    share = rng.uniform(0.02, 0.8)
    before = float(rng.choice([0.0, 1.0, rng.random()])) * share

    def change(times: Ticks) -> NDArray[np.floating]:
        return times + np.ptp(times, axis=1)[:, None] * [before, before - share]

    return Twist(setup, f"by {share:.0%}, {before:.0%} before", after=on_bursts(change))


@HOSTILE_STAMPS.add(both=True)
def jittery_stamps(setup: Setup, rng: Random) -> Twist:
    jitter = log_uniform(rng, 0.01, 0.3) * min(setup.burst_s, setup.gap_s * (1 - setup.gap_spread))
    return Twist(replace(setup, stamp_jitter_s=min(jitter, 0.1 * setup.latency_s)), f"{1e3 * jitter:.1f} ms")


@HOSTILE_STAMPS.add(both=True)
def late_ends(setup: Setup, rng: Random) -> Twist:
    """Who waited for the result woke late, now and then by much."""
    late = log_uniform(rng, 0.01, 0.5) * setup.gap_s * (1 - setup.gap_spread)

    def change(times: Ticks) -> NDArray[np.floating]:
        delays = np.minimum(rng.exponential(1e9 * late, len(times)), 0.8e9 * setup.gap_s * (1 - setup.gap_spread))
        return times + delays[:, None] * [0, 1]

    return Twist(setup, f"{1e3 * late:.1f} ms", after=on_bursts(change))


@HOSTILE_STAMPS.add()
def bursts_missing(setup: Setup, rng: Random) -> Twist:
    """The first, the last, some in the middle or several are not stamped."""
    where = str(rng.choice(["first", "last", "middle", "several"]))

    def changed(stamps: RunStamps, layout: Layout, rng: Random) -> RunStamps:
        keep = np.ones(len(stamps.bursts), bool)
        middle = rng.integers(1, len(keep) - 1, 1 if where == "middle" else int(rng.integers(2, len(keep) // 2)))
        keep[{"first": 0, "last": -1}.get(where, middle)] = False
        bursts = tuple(window for window, kept in zip(stamps.bursts, keep, strict=True) if kept)
        return msgspec.structs.replace(stamps, bursts=bursts)

    return Twist(setup, where, after=on_stamps(changed))


@HOSTILE_STAMPS.add()
def bursts_too_many(setup: Setup, rng: Random) -> Twist:
    """Stamps where nothing ran: in gaps, or in the idle at either end."""
    count, far = int(rng.integers(1, 20)), bool(rng.random() < 0.5)

    def changed(stamps: RunStamps, layout: Layout, rng: Random) -> RunStamps:
        times = ticks(stamps.bursts)
        if far:
            starts = times[-1, 1] + int(2.2e9) + np.arange(count) * int(1.2e9 * setup.burst_s)
            extra = np.stack([starts, starts + int(1e9 * setup.burst_s)], axis=1)
        else:
            gaps = np.stack([times[:-1, 1], times[1:, 0]], axis=1)
            gaps = gaps[np.sort(rng.permutation(len(gaps))[:count])]
            rests = np.ptp(gaps, axis=1)[:, None]
            extra = (gaps + rests * [0.4, 0.0] - rests * [0.0, 0.1]).astype(np.int64)
        return msgspec.structs.replace(stamps, bursts=windows(np.sort(np.concatenate([times, extra]), axis=0)))

    return Twist(setup, f"{count}, behind the run {far}", after=on_stamps(changed))


def skipped(seed: int) -> tuple[Setup, Random]:
    """A run of which some bursts were never run: the device rested instead."""
    setup, rng = draw(seed)
    plan = np.array(setup.plan)
    plan[windows_of(setup, rng.uniform(0.04, 0.6), rng)] = 0
    return replace(setup, plan=tuple(plan.tolist()), control_s=setup.burst_s), rng


@HOSTILE_STAMPS.add(skipped)
def empty_windows(setup: Setup, rng: Random) -> Twist:
    """The runner stamped bursts that failed at once, or were never dispatched."""

    def changed(stamps: RunStamps, layout: Layout, rng: Random) -> RunStamps:
        bursts = sorted((*stamps.bursts, *stamps.controls), key=lambda window: window.start_ns)
        return msgspec.structs.replace(stamps, bursts=tuple(bursts), controls=(), counts=())

    return Twist(setup, f"{setup.plan.count(0)} of {len(setup.plan)}", after=on_stamps(changed))


@HOSTILE_STAMPS.add(both=True)
def two_kinds_of_windows(setup: Setup, rng: Random) -> Twist:
    """Part of the run was on another cluster; the truth is what the first one draws."""
    share, ratio = rng.uniform(0.05, 0.6), rng.uniform(1.1, 2.5)
    chosen = windows_of(setup, share, rng)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        start, end = layout.bursts[chosen].T
        return boxes(start, end, (ratio - 1) * setup.power_mw)

    return Twist(setup, f"{share:.0%} at {ratio:.2f}", load)


@HOSTILE_STAMPS.add(draw_two_lengths)
def counts_left_out(setup: Setup, rng: Random) -> Twist:
    def changed(stamps: RunStamps, layout: Layout, rng: Random) -> RunStamps:
        return msgspec.structs.replace(stamps, counts=(), controls=())

    return Twist(setup, "all", after=on_stamps(changed))


@HOSTILE_STAMPS.add(draw_two_lengths)
def counts_mixed_up(setup: Setup, rng: Random) -> Twist:
    def changed(stamps: RunStamps, layout: Layout, rng: Random) -> RunStamps:
        return msgspec.structs.replace(stamps, counts=tuple(rng.permutation(stamps.counts).tolist()))

    return Twist(setup, "all", after=on_stamps(changed))


@HOSTILE_STAMPS.add(draw_two_lengths)
def controls_that_ran(setup: Setup, rng: Random) -> Twist:
    """The runner forgot not to run."""
    share = rng.uniform(0.3, 1.0)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        return boxes(layout.controls[:, 0], layout.controls[:, 1], share * setup.power_mw)

    return Twist(setup, f"at {share:.0%}", load)
