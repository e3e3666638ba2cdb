"""What others draw while a run is recorded, and a background that is not what it seems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from power_course import Course, Doubles, Sine, boxes, exponential_tail, polylines
from power_physics import Layout, Load, Setup
from power_sound import LEAST_SAMPLES, MOST_TAIL, draw_two_lengths, log_uniform
from power_twist import Kinds, Twist, steady

HOSTILE_LOADS = Kinds()
UNKNOWABLE_LOADS = Kinds()

Random = np.random.Generator
CALM = 4.0  # times that a load in all gaps is what the background wanders by
MOST_WINDOWS = 0.8  # that a load may coincide with and still be told in one trace with windows of one length


def varied(setup: Setup) -> Setup:
    """The same with rests that vary by 60 %, as far as the meter resolves the shortest."""
    return replace(setup, gap_spread=0.6 if setup.gap_s * setup.rate_hz * 0.4 > LEAST_SAMPLES else 0.3)


def over_windows(height: float, before: float = 0.0, behind: float = 0.0, *, of: str = "spans") -> Load:
    """A load over every window, from ``before`` s ahead of its start to ``behind`` s after its end."""

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        windows: Doubles = getattr(layout, of)
        return boxes(windows[:, 0] - before, windows[:, 1] + behind, height * setup.power_mw)

    return load


def over_some(share: float, height: float, first: float, last: float) -> Load:
    """A load over a share of the windows, from ``first`` to ``last`` of each window's length.

    Others keep to the schedule, if they do, and not to what runs in a window: controls are windows like the rest.
    """

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        start, end = layout.spans[rng.random(len(layout.spans)) < share].T
        return boxes(start + first * (end - start), start + last * (end - start), height * setup.power_mw)

    return load


def periodic(period: float, length: float, height: float, phase: float) -> Load:
    """A load of ``length`` s every ``period`` s through the whole recording."""

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        starts = phase * period + period * np.arange(int(layout.seconds / period))
        return boxes(starts, starts + length, height * setup.power_mw)

    return load


@HOSTILE_LOADS.add(both=True)
def load_in_some_windows(setup: Setup, rng: Random) -> Twist:
    share, height = rng.uniform(0.5, MOST_WINDOWS), log_uniform(rng, 0.02, 0.7)
    return Twist(setup, f"{share:.0%} by {height:.0%}", over_some(share, height, 0, 1))


@UNKNOWABLE_LOADS.add()
def load_in_most_windows(setup: Setup, rng: Random) -> Twist:
    """The few that it leaves out lie no further off than inferences differ by themselves, unless it is strong."""
    share, height = rng.uniform(MOST_WINDOWS, 0.98), log_uniform(rng, 0.02, 0.7)
    return Twist(setup, f"{share:.0%} by {height:.0%}", over_some(share, height, 0, 1))


@HOSTILE_LOADS.add(both=True)
def load_in_part_of_some_windows(setup: Setup, rng: Random) -> Twist:
    share, height, first = rng.uniform(0.4, MOST_WINDOWS), log_uniform(rng, 0.03, 0.9), rng.uniform(0, 0.6)
    last = rng.uniform(first + 0.3, 1.5)
    detail = f"{share:.0%} by {height:.0%} from {first:.2f} to {last:.2f}"
    return Twist(setup, detail, over_some(share, height, first, last))


@UNKNOWABLE_LOADS.add(both=True)
def load_of_varying_strength(setup: Setup, rng: Random) -> Twist:
    """Told where its strength spreads by more than inferences may, and never below."""
    height, shape = log_uniform(rng, 0.03, 0.6), rng.uniform(0.5, 3)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        strength = height * setup.power_mw * rng.gamma(shape, 1 / shape, len(layout.bursts))
        return boxes(layout.bursts[:, 0], layout.bursts[:, 1], strength)

    return Twist(setup, f"by {height:.0%} of shape {shape:.1f}", load)


@HOSTILE_LOADS.add(both=True)
def load_starts_before(setup: Setup, rng: Random) -> Twist:
    height = log_uniform(rng, 0.02, 0.5)
    before = log_uniform(rng, 3 / setup.rate_hz, 0.35 * setup.gap_s * (1 - setup.gap_spread))
    return Twist(setup, f"{1e3 * before:.1f} ms, by {height:.0%}", over_windows(height, before))


@HOSTILE_LOADS.add(both=True)
def load_around_windows(setup: Setup, rng: Random) -> Twist:
    height, room = log_uniform(rng, 0.02, 0.5), 0.4 * setup.gap_s * (1 - setup.gap_spread)
    before, behind = rng.uniform(0.05, 1, 2) * room
    return Twist(setup, f"{1e3 * before:.0f} and {1e3 * behind:.0f} ms", over_windows(height, before, behind))


@HOSTILE_LOADS.add(both=True)
def load_outlasts_some(setup: Setup, rng: Random) -> Twist:
    share, height = rng.uniform(0.4, MOST_WINDOWS), log_uniform(rng, 0.03, 0.7)
    load = over_some(share, height, 0, 1 + rng.uniform(0.1, 0.9) * 0.4 * setup.gap_s / setup.burst_s)
    return Twist(setup, f"{share:.0%} by {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def periodic_load(setup: Setup, rng: Random) -> Twist:
    period = log_uniform(rng, 0.2, 5) * setup.cycle_s
    length, height = rng.uniform(0.05, 0.7) * period, rng.uniform(0.1, 1.2)
    detail = f"{1e3 * length:.0f} of {1e3 * period:.0f} ms by {height:.0%}"
    return Twist(setup, detail, periodic(period, length, height, rng.random()))


@HOSTILE_LOADS.add(both=True)
def periodic_load_at_the_mean_period(setup: Setup, rng: Random) -> Twist:
    setup = varied(setup)
    period = setup.cycle_s * rng.uniform(0.999, 1.001)
    length, height = rng.uniform(0.3, 1.5) * setup.burst_s, rng.uniform(0.1, 0.8)
    return Twist(setup, f"{1e3 * length:.0f} ms by {height:.0%}", periodic(period, length, height, rng.random()))


@HOSTILE_LOADS.add(both=True)
def load_in_gaps(setup: Setup, rng: Random) -> Twist:
    """A process that yields to the inference: the background in the gaps is too high, and not by its own wandering."""
    height, share = log_uniform(rng, 0.02, 0.8), rng.uniform(0.5, 1.0)
    calm = min(setup.wander_mw, height * setup.power_mw / CALM)
    return Twist(replace(setup, wander_mw=calm, sines=()), f"{share:.0%} by {height:.0%}", over_gaps(share, height))


@UNKNOWABLE_LOADS.add()
def load_in_gaps_of_a_restless_device(setup: Setup, rng: Random) -> Twist:
    """The same where idle differs from idle by as much: only controls would tell."""
    height, share = log_uniform(rng, 0.02, 0.8), rng.uniform(0.5, 1.0)
    restless = max(setup.wander_mw, height * setup.power_mw / CALM)
    return Twist(replace(setup, wander_mw=restless), f"{share:.0%} by {height:.0%}", over_gaps(share, height))


def over_gaps(share: float, height: float) -> Load:
    """A load that fills a share of the gaps."""

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        chosen = rng.random(len(layout.spans) - 1) < share
        return boxes(layout.spans[:-1, 1][chosen], layout.spans[1:, 0][chosen], height * setup.power_mw)

    return load


@HOSTILE_LOADS.add(both=True)
def load_in_middle_of_gaps(setup: Setup, rng: Random) -> Twist:
    height, first, last = log_uniform(rng, 0.03, 1.0), rng.uniform(0.05, 0.5), rng.uniform(0.6, 0.98)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        end, start = layout.spans[:-1, 1], layout.spans[1:, 0]
        return boxes(end + first * (start - end), end + last * (start - end), height * setup.power_mw)

    return Twist(setup, f"from {first:.2f} to {last:.2f} by {height:.0%}", load)


@UNKNOWABLE_LOADS.add()
def process_that_yields(setup: Setup, rng: Random) -> Twist:
    """A background process runs all the time, but in the windows."""
    height = log_uniform(rng, 0.02, 0.5)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        power = height * setup.power_mw
        return boxes(0.0, layout.seconds, power) + boxes(layout.bursts[:, 0], layout.bursts[:, 1], -power)

    return Twist(setup, f"by {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def step_with_the_run(setup: Setup, rng: Random) -> Twist:
    height = rng.uniform(-0.3, 0.8) * min(1.0, setup.idle_mw / setup.power_mw)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        return boxes(layout.bursts[0, 0], layout.bursts[-1, 1], height * setup.power_mw)

    return Twist(setup, f"by {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def steps_in_windows(setup: Setup, rng: Random) -> Twist:
    """The background changes its level for good in the middle of many windows."""
    height, share = rng.uniform(0.05, 0.8), rng.uniform(0.2, 1.0)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        chosen = layout.bursts[rng.random(len(layout.bursts)) < share]
        at = np.repeat(chosen[:, 0] + rng.uniform(0, 1, len(chosen)) * np.ptp(chosen, axis=1), 2)
        levels = height * setup.power_mw * rng.random(len(chosen) + 1)
        return polylines(np.concatenate([[0.0], at, [layout.seconds]]), np.repeat(levels, 2) if len(at) else [0.0, 0.0])

    return Twist(setup, f"{share:.0%} by up to {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def ramps_in_windows(setup: Setup, rng: Random) -> Twist:
    """The background climbs in the windows and falls back in the gaps, in straight lines."""
    height = log_uniform(rng, 0.03, 0.8) * rng.choice([-1, 1]) * min(1.0, setup.idle_mw / setup.power_mw)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        powers = np.tile([0.0, height * setup.power_mw], len(layout.bursts))
        return polylines(layout.bursts.ravel(), powers)

    return Twist(setup, f"by {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def strong_loads_over_many_windows(setup: Setup, rng: Random) -> Twist:
    share, height = rng.uniform(0.15, 0.6), rng.uniform(0.3, 2.5)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        count = int(share * layout.seconds / layout.cycle_s)
        starts, lengths = rng.uniform(0, layout.seconds, count), rng.uniform(0.5, 3, count) * layout.cycle_s
        return boxes(starts, starts + lengths, height * setup.power_mw * rng.random(count))

    return Twist(setup, f"{share:.0%} by up to {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def telegraph(setup: Setup, rng: Random) -> Twist:
    """The background flips between two levels, as often as there are windows or more."""
    height, often = rng.uniform(0.05, 1.0), log_uniform(rng, 0.3, 10)

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        flips = np.cumsum(rng.exponential(layout.cycle_s / often, int(2 * layout.seconds / layout.cycle_s * often)))
        flips = flips[flips < layout.seconds]
        return boxes(flips[0 : len(flips) // 2 * 2 : 2], flips[1::2], height * setup.power_mw)

    return Twist(setup, f"{often:.1f} a cycle by {height:.0%}", load)


@HOSTILE_LOADS.add(both=True)
def hum(setup: Setup, rng: Random) -> Twist:
    """A strong sine at the period of the run, or a multiple of its frequency, and it keeps step."""
    setup = steady(setup)
    hertz = int(rng.integers(1, 6)) / setup.cycle_s
    sine = Sine(rng.uniform(0.02, 0.5) * min(setup.power_mw, setup.idle_mw), hertz, rng.uniform(0, 6.28))
    return Twist(replace(setup, sines=(*setup.sines, sine)), f"{sine.mw:.0f} mW at {hertz:.2f} Hz")


@HOSTILE_LOADS.add(both=True)
def power_grows(setup: Setup, rng: Random) -> Twist:
    growth = float(rng.choice([rng.uniform(-0.6, -0.1), rng.uniform(0.1, 1.5)]))
    return Twist(replace(setup, growth=growth), f"by {growth:.0%}")


@HOSTILE_LOADS.add(both=True)
def jittery(setup: Setup, rng: Random) -> Twist:
    latency, power = rng.uniform(0.03, 0.25, 2)
    return Twist(replace(setup, latency_jitter=latency, power_jitter=power), f"{latency:.0%}, {power:.0%}")


@HOSTILE_LOADS.add(both=True)
def tails_longer_than_gaps(setup: Setup, rng: Random) -> Twist:
    ratio, height = log_uniform(rng, 0.6, 8), rng.uniform(0.1, 1)
    tail = exponential_tail() if rng.random() < 0.5 else exponential_tail(0.6)
    changed = replace(setup, tail=tail, tail_s=ratio * setup.gap_s / float(tail.x[-1]), tail_height=height)
    return Twist(changed, f"{ratio:.1f} gaps, from {height:.0%}")


@HOSTILE_LOADS.add(both=True)
def no_drop_at_the_end(setup: Setup, rng: Random) -> Twist:
    height = rng.uniform(MOST_TAIL, 1.0)
    return Twist(replace(setup, tail_height=height), f"from {height:.0%}")


@HOSTILE_LOADS.add(both=True)
def fast_wander(setup: Setup, rng: Random) -> Twist:
    wander, cycle = rng.uniform(0.05, 1.0) * setup.power_mw, setup.cycle_s
    return Twist(replace(setup, wander_mw=wander, wander_s=log_uniform(rng, 0.1, 3) * cycle), f"{wander:.0f} mW")


@HOSTILE_LOADS.add(draw_two_lengths)
def load_on_every_window_and_control(setup: Setup, rng: Random) -> Twist:
    """Something that keeps to the schedule, and may outlast it: the controls show it."""
    height = log_uniform(rng, 0.02, 0.6)
    behind = float(rng.choice([0.0, rng.uniform(0.05, 0.4) * setup.gap_s * (1 - setup.gap_spread)]))
    return Twist(setup, f"by {height:.0%}, {1e3 * behind:.0f} ms on", over_windows(height, behind=behind, of="spans"))


@HOSTILE_LOADS.add(draw_two_lengths)
def fixed_load_per_burst(setup: Setup, rng: Random) -> Twist:
    """As much for a long burst as for a short one: it shows where the line over the lengths meets zero."""
    height, length = log_uniform(rng, 0.03, 0.8), rng.uniform(0.3, 1.0) * setup.burst_s

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        return boxes(layout.bursts[:, 0], layout.bursts[:, 0] + length, height * setup.power_mw)

    return Twist(setup, f"{1e3 * length:.0f} ms by {height:.0%}", load)


@HOSTILE_LOADS.add(draw_two_lengths)
def fixed_load_from_the_start(setup: Setup, rng: Random) -> Twist:
    """The same, but it outlasts the short bursts, and looks like their tail."""
    height, length = log_uniform(rng, 0.03, 0.6), setup.burst_s + rng.uniform(0.1, 0.9) * setup.gap_s * 0.4

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        return boxes(layout.bursts[:, 0], layout.bursts[:, 0] + length, height * setup.power_mw)

    return Twist(setup, f"{1e3 * length:.0f} ms by {height:.0%}", load)


@HOSTILE_LOADS.add(draw_two_lengths)
def cold_starts(setup: Setup, rng: Random) -> Twist:
    """The first inference of a burst draws less, or more, until rails and clocks are up: the truth is a warm one."""
    height = log_uniform(rng, 0.03, 0.5) * rng.choice([-1, 1])
    length = rng.uniform(0.1, 1.0) * setup.latency_s

    def load(layout: Layout, setup: Setup, rng: Random) -> Course:
        return boxes(layout.bursts[:, 0], layout.bursts[:, 0] + length, height * setup.power_mw)

    return Twist(setup, f"{1e3 * length:.0f} ms by {height:+.0%}", load)


@UNKNOWABLE_LOADS.add()
def load_in_every_window(setup: Setup, rng: Random) -> Twist:
    height = rng.uniform(0.05, 0.4)
    return Twist(steady(setup), f"by {height:.0%}", over_windows(height))


@UNKNOWABLE_LOADS.add()
def load_outlasts_every_window(setup: Setup, rng: Random) -> Twist:
    height, behind = rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.4) * setup.gap_s
    return Twist(steady(setup), f"{1e3 * behind:.0f} ms by {height:.0%}", over_windows(height, behind=behind))


@UNKNOWABLE_LOADS.add()
def load_at_the_period(setup: Setup, rng: Random) -> Twist:
    """Fixed gaps, and a load in step with them: it may lie in the windows, in the gaps or across."""
    setup = steady(setup)
    period, height = setup.cycle_s, rng.uniform(0.1, 0.6)
    length = rng.uniform(0.3, 1.0) * setup.burst_s
    return Twist(setup, f"{1e3 * length:.0f} ms by {height:.0%}", periodic(period, length, height, rng.random()))


@UNKNOWABLE_LOADS.add(draw_two_lengths)
def load_with_each_inference(setup: Setup, rng: Random) -> Twist:
    """Neither on the controls nor in the intercept: it may as well be the inference's own."""
    height = rng.uniform(0.05, 0.4)
    return Twist(setup, f"by {height:.0%}", over_windows(height, of="bursts"))
