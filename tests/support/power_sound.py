"""Recordings that a good analysis verifies: drawn at random over all that devices and meters do lawfully."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from power_course import Course, Shape, Sine, boxes, exponential_tail, inference_shape, linear_tail, polylines, total
from power_physics import Case, Layout, Setup, build

ODD_RATES = (100.0, 137.0, 200.0, 333.0, 500.0, 1000.0, 1250.0, 1667.0, 2000.0, 2500.0, 5000.0)
LEAST_SAMPLES = 8  # in a window, and in the shortest gap
MOST_SAMPLES = 500_000  # of a trace, so that a thousand of them can be tried


MOST_TAIL = 0.6  # of the last power: with less of a drop the end of an inference shows no better than that of its tail


def draw(seed: int) -> tuple[Setup, np.random.Generator]:
    """A sound recording, and the stream to draw whatever else is done to it."""
    rng = np.random.default_rng([seed, 7])
    rate = float(rng.choice(ODD_RATES)) if rng.random() < 0.6 else round(log_uniform(rng, 100, 5000), 1)
    latency = log_uniform(rng, 0.005, 1.0)
    members = int(np.ceil(LEAST_SAMPLES / (rate * latency)))
    bursts = 50 if rng.random() < 0.6 else int(rng.integers(30, 61))
    gap = max(0.1, 2 * latency * members)
    rate = min(rate, MOST_SAMPLES / (bursts * (latency * members + gap)))
    rate = max(rate, LEAST_SAMPLES / (latency * members))
    spread = float(rng.choice([0.0, 0.6])) * (gap * rate * 0.4 > LEAST_SAMPLES)
    power, idle = log_uniform(rng, 200, 4000), log_uniform(rng, 300, 2500)
    tail, tail_s = draw_tail(rng, gap * (1 - spread))
    shape = draw_shape(rng, latency)
    setup = Setup(
        latency_s=latency,
        plan=(members,) * bursts,
        gap_s=gap,
        gap_spread=spread,
        latency_jitter=log_uniform(rng, 0.0005, 0.03),
        power_mw=power,
        power_jitter=log_uniform(rng, 0.0005, 0.03),
        growth=float(rng.choice([0.0, rng.uniform(-0.04, 0.04)])),
        shape=shape,
        tail=tail,
        tail_s=tail_s,
        tail_height=rng.uniform(0.1, MOST_TAIL),
        idle_mw=idle,
        pulse_ratio=rng.uniform(1.15, 2.2) * float(shape.y.max()),  # pulses are on all cores
        warmup=int(rng.integers(2, 11)),
        loading_s=float(rng.choice([0.0, rng.uniform(0.3, 1.5)])),
        idle_before_s=rng.uniform(2.0, 10.0),
        idle_after_s=rng.uniform(2.0, 10.0),
        rate_hz=rate,
    )
    return draw_clock(rng, draw_meter(rng, draw_rest(rng, setup))), rng


def sound(seed: int) -> Case:
    """A run on a device of its own."""
    setup, _ = draw(seed)
    return build(setup, seed, name="sound", detail=describe(setup))


def draw_two_lengths(seed: int) -> tuple[Setup, np.random.Generator]:
    """Bursts of one and three times as many inferences, and controls, in random order with random gaps."""
    setup, rng = draw(seed)
    members = setup.plan[0]
    bursts = 2 * (len(setup.plan) // 4)
    controls = int(rng.integers(6, 13))
    plan = rng.permutation([members] * bursts + [3 * members] * bursts + [0] * controls)
    spread = 0.6 if setup.gap_s * setup.rate_hz * 0.4 > LEAST_SAMPLES else 0.2
    tail, tail_s = draw_tail(rng, setup.gap_s * (1 - spread))
    return replace(
        setup, plan=tuple(plan.tolist()), gap_spread=spread, control_s=float(rng.choice([1, 3])) * setup.burst_s,
        tail=tail, tail_s=tail_s,
    ), rng  # fmt: skip


def sound_two_lengths(seed: int) -> Case:
    """A run on a device of its own, recorded so that what goes with a burst and not with its length can be told."""
    setup, _ = draw_two_lengths(seed)
    return build(setup, seed, name="sound_two_lengths", detail=describe(setup))


def sound_loaded(seed: int) -> Case:
    """A sound run beside others that know nothing of it: the mean over the windows is still well determined."""
    return beside_others(*draw(seed), seed, "sound_loaded")


def sound_two_lengths_loaded(seed: int) -> Case:
    """The same with bursts of two lengths."""
    return beside_others(*draw_two_lengths(seed), seed, "sound_two_lengths_loaded")


def beside_others(setup: Setup, rng: np.random.Generator, seed: int, name: str) -> Case:
    """The recording with one to four kinds of foreign loads."""
    kinds = [kind for kind in (spikes, processes, radio, screen) if rng.random() < 0.5] or [processes]

    def load(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
        return total([kind(layout, setup, rng) for kind in kinds])

    names = ", ".join(kind.__name__ for kind in kinds)
    return build(setup, seed, load=load, name=name, detail=f"{names}; {describe(setup)}")


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between the two, whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_shape(rng: np.random.Generator, latency_s: float) -> Shape:
    """One to twelve phases, and a rise of up to a third of the inference or 20 ms."""
    phases = int(rng.choice([1, 1, 2, 4, 7, 12]))
    levels = rng.uniform(0.7, 1.3, phases) if phases > 1 else np.ones(1)
    rise = float(rng.choice([0.0, log_uniform(rng, 0.001, 0.02)]))
    return inference_shape(
        rng.uniform(0.3, 1.0, phases), levels, min(rise / latency_s, 0.33), rng.uniform(0.2, 0.9), rng.random() < 0.5
    )


def draw_tail(rng: np.random.Generator, gap_s: float) -> tuple[Shape, float]:
    """A tail of 10 to 80 ms where the gap allows it, over within half of it."""
    tail = (exponential_tail(), exponential_tail(0.7), linear_tail())[int(rng.integers(3))]
    longest = float(tail.x[-1])
    return tail, min(log_uniform(rng, 0.010, 0.080), 0.5 * gap_s) / longest


def draw_rest(rng: np.random.Generator, setup: Setup) -> Setup:
    """A background that wanders slowly, and ripples fast."""
    power, cycle = setup.power_mw, setup.cycle_s
    slow = [
        Sine(power * log_uniform(rng, 0.002, 0.1), 1 / log_uniform(rng, 6 * cycle, 40 * cycle), rng.uniform(0, 6.28))
        for _ in range(int(rng.integers(0, 4)))
    ]
    fast = [
        Sine(power * log_uniform(rng, 0.001, 0.03), log_uniform(rng, 200, 20_000), rng.uniform(0, 6.28))
        for _ in range(int(rng.integers(0, 3)))
    ]
    wander = float(rng.choice([0.0, power * log_uniform(rng, 0.001, 0.03)]))
    return replace(setup, sines=(*slow, *fast), wander_mw=wander, wander_s=log_uniform(rng, cycle, 20 * cycle))


def draw_meter(rng: np.random.Generator, setup: Setup) -> Setup:
    """A meter whose noise alone moves the mean by 0.01 to 0.3 %, and that now and then loses a sample."""
    samples = len(setup.plan) * setup.burst_s * setup.rate_hz
    noise = setup.power_mw * min(log_uniform(rng, 1e-4, 3e-3) * np.sqrt(samples / 2), 0.5)
    lossy = rng.random() < 0.3
    return replace(
        setup,
        meter=str(rng.choice(["mean", "mean", "point", "low-pass"])),
        low_pass_s=max(min(log_uniform(rng, 0.0002, 0.002), 0.02 * setup.latency_s), 0.25 / setup.rate_hz),
        noise_mw=float(noise),
        lsb_mw=float(rng.choice([0.0, min(log_uniform(rng, 0.05, 5), 0.02 * setup.power_mw)])),
        lost_share=log_uniform(rng, 1e-5, 1e-2) * lossy,
        lost_runs=int(rng.integers(0, 10)) * lossy,
        calibration_s=float(rng.choice([0.0, 0.0, 1.0])),
        columns=bool(rng.random() < 0.5),
        host_stamps=bool(rng.random() < 0.7),
    )


def draw_clock(rng: np.random.Generator, setup: Setup) -> Setup:
    """A clock that began anywhere, runs up to 100 ppm off, and is read within 5 to 50 us (0.2 % of a burst at most)."""
    return replace(
        setup,
        epoch_s=log_uniform(rng, 1, 1e6),
        drift_ppm=rng.uniform(-100, 100),
        stamp_jitter_s=min(log_uniform(rng, 5e-6, 50e-6), 0.002 * setup.burst_s),
    )


def spikes(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
    """Short ones of a few milliseconds, a few a second."""
    count = rng.poisson(layout.seconds * rng.uniform(0.3, 2))
    starts = rng.uniform(0, layout.seconds, count)
    return boxes(starts, starts + rng.uniform(0.001, 0.008, count), setup.power_mw * rng.uniform(0.1, 0.7, count))


def processes(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
    """Others' work of 50 to 200 ms at random times: under 2 % of all time."""
    count = rng.poisson(layout.seconds * rng.uniform(0.02, 0.15))
    starts = rng.uniform(0, layout.seconds, count)
    return boxes(starts, starts + rng.uniform(0.05, 0.2, count), setup.power_mw * rng.uniform(0.1, 0.6, count))


def radio(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
    """A radio that wakes for 20 to 60 ms at a period of its own, high at first and then waiting at a third."""
    period = rng.uniform(0.9, 1.7)
    starts = rng.uniform(0, period) + period * np.arange(int(layout.seconds / period))
    starts = starts + rng.normal(0, 0.02 * period, len(starts))
    wake = Shape(np.array([0.0, 0.3, 0.3, 1.0]), np.array([1.0, 1.0, 0.3, 0.3]))
    return wake.at(starts, rng.uniform(0.02, 0.06), setup.power_mw * rng.uniform(0.05, 0.4))


def screen(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
    """The screen goes on for good within a few milliseconds."""
    start = rng.uniform(0.1, 0.9) * layout.seconds
    height = setup.power_mw * rng.uniform(0.05, 0.8)
    return polylines([start, start + rng.uniform(0.001, 0.3), layout.seconds], [0.0, height, height])


def describe(setup: Setup) -> str:
    """The recording in a line."""
    return (
        f"{1e3 * setup.latency_s:.1f} ms at {setup.power_mw:.0f} over {setup.idle_mw:.0f} mW, "
        f"{len(setup.plan)} windows of {sorted(set(setup.plan))}, {setup.rate_hz:g} Hz ({setup.meter}), "
        f"noise {setup.noise_mw:.0f} mW, tail {1e3 * setup.tail_s * setup.tail.x[-1]:.0f} ms"
    )
