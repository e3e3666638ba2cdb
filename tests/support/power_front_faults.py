"""What a meter's front end does to the power, and its reader to the unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from power_course import Doubles, leaky_sum
from power_physics import Case, Front, Layout, Setup
from power_sound import log_uniform
from power_twist import After, Kinds, Twist

HOSTILE_METERS = Kinds()
UNKNOWABLE_METERS = Kinds()

Random = np.random.Generator


def on_power(change: Callable[[Doubles], Doubles]) -> After:
    """Change the written power; the columns that it came from go, as they would tell."""

    def after(case: Case, layout: Layout, rng: Random) -> Case:
        power = change(np.asarray(case.trace.power_mw, np.float64))
        return replace(case, trace=replace(case.trace, power_mw=power, current_ma=None, voltage_v=None))

    return after


def level_below_peak(setup: Setup, rng: Random) -> float:
    """2 to 40 % below the highest power of a mean inference, mW at the supply."""
    return setup.idle_mw + (1 - log_uniform(rng, 0.02, 0.4)) * setup.power_mw * float(setup.shape.y.max())


def clipped(level: float, knee: float = 0.0) -> Front:
    """A front end that saturates at ``level``, softly over the last ``knee`` mW below it."""

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        if not knee:
            return np.minimum(power, level)
        over = np.maximum(power - (level - knee), 0)
        return np.minimum(power, level - knee) + knee * np.tanh(over / knee)

    return front


@HOSTILE_METERS.add(both=True)
def clipped_exactly(setup: Setup, rng: Random) -> Twist:
    level = level_below_peak(setup, rng)
    return Twist(setup, f"at {level:.0f} mW", after=on_power(lambda power: np.minimum(power, level)))


@HOSTILE_METERS.add(both=True)
def clipped_before_noise(setup: Setup, rng: Random) -> Twist:
    level = level_below_peak(setup, rng)
    return Twist(setup, f"at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add(both=True)
def clipped_ever_lower(setup: Setup, rng: Random) -> Twist:
    """A supply that sags from well above the inferences to below their peak, steadily or at once; or it recovers."""
    highest = setup.idle_mw + (1 + rng.uniform(0.1, 1.0)) * setup.power_mw * float(setup.shape.y.max())
    limits, steps = [highest, level_below_peak(setup, rng)], int(rng.choice([1, 1000]))
    limits = limits[:: int(rng.choice([1, -1]))]

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        share = np.rint(np.linspace(0.0, 1.0, len(power)) * steps) / steps
        return np.minimum(power, np.interp(share, (0.0, 1.0), limits))

    return Twist(setup, f"from {limits[0]:.0f} to {limits[1]:.0f} mW in {steps} steps", front=front)


@HOSTILE_METERS.add(both=True)
def clipped_softly(setup: Setup, rng: Random) -> Twist:
    """Over so little that the pulses, much higher in truth, come out hardly higher."""
    level, knee = level_below_peak(setup, rng), rng.uniform(0.01, 0.1) * setup.power_mw
    return Twist(setup, f"at {level:.0f} mW over {knee:.0f}", front=clipped(level, knee))


@UNKNOWABLE_METERS.add()
def not_linear(setup: Setup, rng: Random) -> Twist:
    """Over so much that the pulses stay higher than the inferences, and nothing shows."""
    level, knee = level_below_peak(setup, rng), rng.uniform(0.2, 0.8) * setup.power_mw
    return Twist(setup, f"at {level:.0f} mW over {knee:.0f}", front=clipped(level, knee))


@HOSTILE_METERS.add(both=True)
def pulses_clipped(setup: Setup, rng: Random) -> Twist:
    """The inferences stay below."""
    highest = setup.power_mw * float(setup.shape.y.max()) * (1 + 4 * setup.power_jitter)
    level = setup.idle_mw + highest + 4 * setup.noise_mw + rng.uniform(0.05, 0.3) * setup.power_mw
    return Twist(replace(setup, pulse_ratio=2.5), f"at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add(both=True)
def weak_pulses(setup: Setup, rng: Random) -> Twist:
    """Harmless, but for what it cannot show."""
    ratio = rng.uniform(0.3, 0.95)
    return Twist(replace(setup, pulse_ratio=ratio), f"{ratio:.0%}")


@HOSTILE_METERS.add(both=True)
def weak_pulses_and_clipping(setup: Setup, rng: Random) -> Twist:
    ratio, level = rng.uniform(0.3, 0.9), level_below_peak(setup, rng)
    return Twist(replace(setup, pulse_ratio=ratio), f"{ratio:.0%}, at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add(both=True)
def no_pulses_and_clipping(setup: Setup, rng: Random) -> Twist:
    level = level_below_peak(setup, rng)
    return Twist(replace(setup, pulses=False), f"at {level:.0f} mW", front=clipped(level))


@HOSTILE_METERS.add(both=True)
def no_pulses(setup: Setup, rng: Random) -> Twist:
    """Harmless, but for what it cannot show."""
    return Twist(replace(setup, pulses=False), "none")


def switching(threshold: float, gain: float, hold: int) -> Front:
    """A front end with another gain above a threshold, that holds its last value for ``hold`` samples to switch."""

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        high = power > threshold
        recent = np.zeros(len(power), bool)
        switched = np.flatnonzero(high[1:] != high[:-1]) + 1
        for later in range(hold):
            recent[np.minimum(switched + later, len(power) - 1)] = True
        kept = np.maximum.accumulate(np.where(recent, 0, np.arange(len(power))))
        scaled: Doubles = np.where(high, gain * power, power)[kept]
        return scaled

    return front


@HOSTILE_METERS.add(both=True)
def range_switches(setup: Setup, rng: Random) -> Twist:
    """Ranges that agree within 4 % of the inference, and some samples held at every switch."""
    gain = 1 + rng.uniform(-0.04, 0.04) * setup.power_mw / (setup.idle_mw + setup.power_mw)
    threshold, hold = setup.idle_mw + rng.uniform(0.1, 1.2) * setup.power_mw, int(rng.integers(0, 6))
    return Twist(setup, f"above {threshold:.0f} mW, {hold} held", front=switching(threshold, gain, hold))


@UNKNOWABLE_METERS.add()
def ranges_that_disagree(setup: Setup, rng: Random) -> Twist:
    gain, threshold = 1 + rng.uniform(-0.2, 0.2), setup.idle_mw + rng.uniform(0.3, 0.6) * setup.power_mw
    return Twist(setup, f"gain {gain:.2f} above {threshold:.0f} mW", front=switching(threshold, gain, 0))


@HOSTILE_METERS.add(both=True)
def floor(setup: Setup, rng: Random) -> Twist:
    """Too little power reads as the least that the meter knows."""
    level = setup.idle_mw + rng.uniform(-0.05, 0.6) * setup.power_mw
    return Twist(setup, f"{level:.0f} mW", after=on_power(lambda power: np.maximum(power, level)))


@UNKNOWABLE_METERS.add()
def floor_before_noise(setup: Setup, rng: Random) -> Twist:
    level = setup.idle_mw + rng.uniform(0.0, 0.4) * setup.power_mw
    return Twist(setup, f"{level:.0f} mW", front=lambda power, *_: np.maximum(power, level))


@HOSTILE_METERS.add(both=True)
def dead_zone(setup: Setup, rng: Random) -> Twist:
    """Too little power reads as none."""
    level = setup.idle_mw + rng.uniform(-0.1, 0.6) * setup.power_mw
    return Twist(setup, f"{level:.0f} mW", after=on_power(lambda power: np.where(power < level, 0, power)))


@HOSTILE_METERS.add(both=True)
def gaps_auto_zeroed(setup: Setup, rng: Random) -> Twist:
    """The meter takes whatever is low for its own zero, now and then, and subtracts it from there on."""
    every = log_uniform(rng, 0.5, 20) * setup.cycle_s

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        length = max(1, int(every * setup.rate_hz))
        block = np.arange(len(power)) // length
        zeros = power[::length] * rng.uniform(0.0, 0.3, block[-1] + 1)
        return power - zeros[block]

    return Twist(setup, f"every {every:.2f} s", front=front)


@HOSTILE_METERS.add(both=True)
def coarse_converter(setup: Setup, rng: Random) -> Twist:
    step = log_uniform(rng, 0.05, 2) * setup.power_mw
    return Twist(replace(setup, lsb_mw=step, noise_mw=0.02 * setup.noise_mw), f"{step:.0f} mW")


@HOSTILE_METERS.add(both=True)
def buried_in_noise(setup: Setup, rng: Random) -> Twist:
    error = log_uniform(rng, 0.02, 1.0)
    noise = error * setup.power_mw * np.sqrt(len(setup.plan) * setup.burst_s * setup.rate_hz / 2)
    return Twist(replace(setup, noise_mw=float(noise)), f"{error:.0%} of the mean")


@HOSTILE_METERS.add(both=True)
def heavy_low_pass(setup: Setup, rng: Random) -> Twist:
    seconds = log_uniform(rng, 0.05, 4) * setup.burst_s
    return Twist(replace(setup, meter="low-pass", low_pass_s=seconds), f"{1e3 * seconds:.1f} ms")


@HOSTILE_METERS.add(both=True)
def alternating_current_only(setup: Setup, rng: Random) -> Twist:
    """The front end loses what is constant, with a time constant of a few bursts to many."""
    seconds = log_uniform(rng, 1, 300) * setup.burst_s

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        keep = float(np.exp(-1 / setup.rate_hz / seconds))
        alternating = power - power[0]
        return alternating - (1 - keep) * leaky_sum(alternating, keep)

    return Twist(setup, f"{seconds:.2f} s", front=front)


@HOSTILE_METERS.add(both=True)
def delay_drifts(setup: Setup, rng: Random) -> Twist:
    """The samples come later and later, or earlier and later in turns."""
    delay, turns = log_uniform(rng, 0.03, 2) * setup.burst_s, rng.uniform(0.5, 4)

    def front(power: Doubles, layout: Layout, setup: Setup, rng: Random) -> Doubles:
        index = np.arange(len(power), dtype=np.float64)
        late = delay * setup.rate_hz * np.sin(2 * np.pi * turns * index / len(power))
        return np.interp(index - late, index, power)

    return Twist(setup, f"{1e3 * delay:.1f} ms, {turns:.1f} turns", front=front)


@HOSTILE_METERS.add(both=True)
def negated(setup: Setup, rng: Random) -> Twist:
    return Twist(setup, "all", after=on_power(lambda power: -power))


@UNKNOWABLE_METERS.add()
def rectified(setup: Setup, rng: Random) -> Twist:
    """The meter's zero is off, and it shows no sign."""
    zero = setup.idle_mw + rng.uniform(-0.5, 0.8) * setup.power_mw
    return Twist(setup, f"about {zero:.0f} mW", front=lambda power, *_: np.abs(power - zero))


@HOSTILE_METERS.add(both=True)
def other_unit(setup: Setup, rng: Random) -> Twist:
    scale = float(rng.choice([1e-6, 1e-3, 1e3, 1e6]))
    return Twist(setup, f"times {scale:g}", after=on_power(lambda power: scale * power))


@HOSTILE_METERS.add(both=True)
def constant(setup: Setup, rng: Random) -> Twist:
    level, noise = rng.uniform(0, setup.idle_mw + setup.power_mw), float(rng.choice([0.0, setup.noise_mw]))
    flat = on_power(lambda power: level + noise * rng.standard_normal(len(power)))
    return Twist(setup, f"{level:.0f} mW", after=flat)
