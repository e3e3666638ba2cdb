"""Power traces of runs on a device, from the physics: what is drawn, what the meter makes of it, what the clock says.

    case = build(Setup(latency_s=0.03, power_mw=900.0), seed=1)
    report = analyze_energy(case.trace, stamps=case.stamps)     # report.energy_mj against case.truth_mj

Time is the meter's. The truth is the exact integral of the inferences alone, each within its own window: no tail, no
predecessor's tail, no background, no foreign load.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from power_course import (
    NOTHING,
    Course,
    Doubles,
    Shape,
    Sine,
    Supply,
    boxes,
    exponential_tail,
    inference_shape,
    leaky_sum,
    low_pass,
    polylines,
    total,
)

from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import CALIBRATION, LOST, PowerTrace

PULSES_S = (0.300, 0.150, 0.450)
PULSE_REST_S = 0.300
PAUSE_S = 3e-6  # between inferences of one burst: the loop around them


@dataclass(frozen=True, eq=False)
class Setup:
    """One recording; every default is harmless.

    Attributes:
        plan: Inferences of each burst in order; 0 is a control, a window in which the device rests for ``control_s``.
        gap_s: Rest before every burst, and before the pulses behind the last; ``gap_spread`` is by how much of it the
            rests vary at random (0.6: +-60 %).
        latency_jitter: Standard deviation of single latencies, relative; ``power_jitter`` that of single powers.
        growth: By how much of itself the inference's power grows from the first burst to the last.
        shape: Power within an inference.
        tail: What follows each busy interval, from ``tail_height`` times its last power, stretched by ``tail_s``.
        wander_mw: Standard deviation of the background's random walk back to its mean, with time constant
            ``wander_s``; ``sines`` are added to it.
        pulse_ratio: Power of the sync pulses over that of an inference; ``pulses`` whether there are any.
        loading_s: Length of a busy phase early in the trace that the stamps mark as "other"; 0 for none.
        meter: Mean over each sample, value at its middle, or mean behind a low-pass of ``low_pass_s``.
        noise_mw: Standard deviation of white noise of one sample; ``lsb_mw`` the step of the converter, 0 for none.
        lost_share: Share of samples lost one by one; ``lost_runs`` how many runs of up to ``lost_run_s`` besides.
        calibration_s: Time between single samples that the meter spends on itself; 0 for never.
        columns: Whether the trace has current and voltage beside the power; ``host_stamps`` whether it has these.
        epoch_s: Device's clock at the trace's start; ``drift_ppm`` how much faster it runs; ``stamp_jitter_s`` sd.
    """

    latency_s: float = 0.030
    plan: tuple[int, ...] = (1,) * 50
    gap_s: float = 0.100
    gap_spread: float = 0.0
    control_s: float = 0.060
    latency_jitter: float = 0.01
    power_mw: float = 1500.0
    power_jitter: float = 0.01
    growth: float = 0.0
    shape: Shape = field(default_factory=lambda: inference_shape([1], [1], 0.0, 1.0, False))
    tail: Shape = field(default_factory=exponential_tail)
    tail_s: float = 0.005
    tail_height: float = 0.5
    idle_mw: float = 800.0
    wander_mw: float = 0.0
    wander_s: float = 1.0
    sines: tuple[Sine, ...] = ()
    pulse_ratio: float = 1.4
    pulses: bool = True
    warmup: int = 5
    loading_s: float = 0.0
    idle_before_s: float = 4.0
    idle_after_s: float = 4.0
    rate_hz: float = 1000.0
    meter: str = "mean"
    low_pass_s: float = 0.002
    noise_mw: float = 10.0
    lsb_mw: float = 0.0
    lost_share: float = 0.0
    lost_runs: int = 0
    lost_run_s: float = 0.02
    calibration_s: float = 0.0
    columns: bool = False
    host_stamps: bool = True
    epoch_s: float = 5000.0
    drift_ppm: float = 20.0
    stamp_jitter_s: float = 10e-6

    @property
    def burst_s(self) -> float:
        """Length of the shortest burst as planned."""
        return self.latency_s * min(count for count in self.plan if count)

    @property
    def cycle_s(self) -> float:
        """Mean time from one burst or control to the next, as planned."""
        return self.gap_s + float(np.mean([self.latency_s * count or self.control_s for count in self.plan]))


@dataclass(frozen=True, eq=False)
class Layout:
    """When everything happens, in s of the meter's clock.

    Attributes:
        starts: (m,) starts of single inferences; ``lengths`` (m,), ``powers`` (m,) in mW.
        bursts: (n, 2) starts and ends; ``counts`` (n,) the inferences of each.
        controls, pulses, warmup, other: (., 2) each.
        seconds: Length of the recording.
        spans: (n + c, 2) bursts and controls in order.
    """

    starts: Doubles
    lengths: Doubles
    powers: Doubles
    bursts: Doubles
    counts: tuple[int, ...]
    controls: Doubles
    pulses: Doubles
    warmup: Doubles
    other: Doubles
    spans: Doubles
    seconds: float

    @property
    def cycle_s(self) -> float:
        """Mean time from one burst or control to the next."""
        return float(np.ptp(self.spans[:, 0]) / (len(self.spans) - 1))


@dataclass(frozen=True, eq=False)
class Case:
    """A recording with the energy of one inference that is known; ``detail`` says what is special about it."""

    name: str
    seed: int
    trace: PowerTrace
    stamps: RunStamps
    truth_mj: float
    detail: str


Load = Callable[[Layout, Setup, np.random.Generator], Course]
Front = Callable[[Doubles, Layout, Setup, np.random.Generator], Doubles]


def no_load(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
    """Nothing but the run draws power."""
    return NOTHING


def no_front(power: Doubles, layout: Layout, setup: Setup, rng: np.random.Generator) -> Doubles:
    """A meter's front end that passes what there is, (n,) mW, before noise."""
    return power


def build(
    setup: Setup, seed: int, *, load: Load = no_load, front: Front = no_front, name: str = "case", detail: str = ""
) -> Case:
    """Record one run.

    The run, the load and the meter draw from random streams of their own, so that the same seed with and without a
    load, or a front end, differs in nothing else.

    Args:
        setup: The recording.
        seed: Of everything random in it.
        load: What else draws power, on top of all.
        front: What the meter's front end does to the power of each sample before noise and quantisation.
        name: Of the case.
        detail: What is special about it.
    """
    streams = np.random.default_rng(seed).spawn(5)
    layout = lay_out(setup, streams[0])  # as layout_of
    supply = Supply(
        total([run_course(layout, setup), background(layout, setup, streams[1]), load(layout, setup, streams[2])]),
        setup.sines,
    )
    trace = meter(supply, layout, setup, front, streams[3])
    return Case(name, seed, trace, stamps_of(layout, setup, streams[4]), truth_mj(layout, setup), detail)


def layout_of(setup: Setup, seed: int) -> Layout:
    """When everything happens in ``build(setup, seed)``."""
    return lay_out(setup, np.random.default_rng(seed).spawn(1)[0])


def lay_out(setup: Setup, rng: np.random.Generator) -> Layout:
    """Draw when everything happens: idle, pulses, warm-up without gaps, bursts, pulses, idle."""
    loading = _loading(setup)
    first = setup.idle_before_s + loading[:, 1].max(initial=0.0)
    before, time = _pulses(first, setup)
    counts = np.array(setup.plan)
    count = setup.warmup + int(counts.sum())
    lengths = setup.latency_s * _around_one(rng, setup.latency_jitter, count)
    late = rng.random(count) < 0.02 * (setup.latency_jitter > 0.005)  # now and then the scheduler interferes
    lengths *= np.where(late, rng.uniform(1.0, 1.4, count), 1.0)
    gaps = setup.gap_s * (1 + setup.gap_spread * rng.uniform(-1, 1, len(counts)))
    starts, spans = np.zeros(count), np.zeros((len(counts), 2))
    done = 0
    for index, members in enumerate((setup.warmup, *setup.plan)):
        time += gaps[index - 1] if index else 0.0
        begun = time
        for _ in range(members):
            starts[done] = time
            time += lengths[done]
            done += 1
            time += PAUSE_S if _ + 1 < members else 0.0
        time += 0.0 if members or not index else setup.control_s
        if index:
            spans[index - 1] = begun, time
    after, time = _pulses(time, setup)
    busy = counts > 0
    burst_of = np.concatenate([np.zeros(setup.warmup), np.repeat(np.arange(len(counts)), counts)])
    powers = setup.power_mw * _around_one(rng, setup.power_jitter, count)
    powers *= 1 + setup.growth * burst_of / max(1, len(counts) - 1)
    warm = slice(setup.warmup)
    return Layout(
        starts=starts, lengths=lengths, powers=powers, bursts=spans[busy], counts=tuple(counts[busy].tolist()),
        controls=spans[~busy], pulses=np.concatenate([before, after]),
        warmup=np.stack([starts[warm], starts[warm] + lengths[warm]], axis=1), other=loading, spans=spans,
        seconds=time + setup.idle_after_s,
    )  # fmt: skip


def _around_one(rng: np.random.Generator, spread: float, count: int) -> Doubles:
    return np.clip(1 + spread * rng.standard_normal(count), 0.5, 1.5)


def _loading(setup: Setup) -> Doubles:
    return np.array([[1.0, 1.0 + setup.loading_s]]) if setup.loading_s else np.zeros((0, 2))


def _pulses(time: float, setup: Setup) -> tuple[Doubles, float]:
    windows = []
    for busy in PULSES_S if setup.pulses else ():
        time += PULSE_REST_S
        windows.append((time, time + busy))
        time += busy
    return np.array(windows).reshape(-1, 2), time + PULSE_REST_S


def run_course(layout: Layout, setup: Setup) -> Course:
    """All that the run itself draws: inferences, pulses, loading, and their tails."""
    ends = layout.starts + layout.lengths
    last = np.cumsum(layout.counts) - 1 + setup.warmup
    last = np.concatenate([[setup.warmup - 1], last]) if setup.warmup else last
    others = np.concatenate([layout.pulses, layout.other])
    busy = setup.power_mw * setup.pulse_ratio
    tails = setup.tail_height
    return total(
        [
            setup.shape.at(layout.starts, layout.lengths, layout.powers),
            setup.tail.at(ends[last], setup.tail_s, tails * layout.powers[last] * setup.shape.y[-1]),
            boxes(others[:, 0], others[:, 1], busy),
            setup.tail.at(others[:, 1], setup.tail_s, tails * busy),
        ]
    )


def background(layout: Layout, setup: Setup, rng: np.random.Generator) -> Course:
    """The device at rest: a level, and a random walk that is drawn back to it."""
    level = boxes(0.0, layout.seconds, setup.idle_mw)
    if not setup.wander_mw:
        return level
    step = max(setup.wander_s / 10, 0.02)
    times = np.arange(0.0, layout.seconds + step, step)
    keep = float(np.exp(-step / setup.wander_s))
    kicks = rng.standard_normal(len(times)) * np.sqrt(1 - keep**2)
    kicks[0] = rng.standard_normal()  # it has wandered before
    return level + polylines(times, setup.wander_mw * leaky_sum(kicks, keep))


def truth_mj(layout: Layout, setup: Setup) -> float:
    """Energy of the mean measured inference in mJ."""
    measured = slice(setup.warmup, None)
    return float(np.mean(layout.lengths[measured] * layout.powers[measured]) * setup.shape.area)


def meter(supply: Supply, layout: Layout, setup: Setup, front: Front, rng: np.random.Generator) -> PowerTrace:
    """What the meter writes down."""
    period = 1 / setup.rate_hz
    edges = np.arange(int(layout.seconds * setup.rate_hz) + 1) * period
    if setup.meter == "mean":
        power = supply.mean_power(edges)
    elif setup.meter == "point":
        power = supply.power(edges[:-1] + period / 2)
    else:
        power = low_pass(supply, edges, setup.low_pass_s)
    power = front(power, layout, setup, rng)
    power = power + setup.noise_mw * rng.standard_normal(len(power))
    if setup.lsb_mw:
        power = setup.lsb_mw * np.round(power / setup.lsb_mw)
    flags = _flags(len(power), setup, rng)
    power[flags != 0] = np.nan
    voltage = np.where(flags == 0, 4.2 - 5e-5 * power, np.nan) if setup.columns else None
    return PowerTrace(
        setup.rate_hz,
        power,
        flags,
        current_ma=None if voltage is None else power / voltage,
        voltage_v=voltage,
        host_stamps=_host_stamps(len(power), setup, rng),
        meta={"meter": f"{setup.meter} at {setup.rate_hz:g} Hz"},
    )


def _flags(count: int, setup: Setup, rng: np.random.Generator) -> np.typing.NDArray[np.uint8]:
    flags = np.zeros(count, np.uint8)
    if setup.calibration_s:
        flags[:: max(2, int(setup.calibration_s * setup.rate_hz))] = CALIBRATION
    lost = rng.random(count) < setup.lost_share
    longest = max(2, int(setup.lost_run_s * setup.rate_hz))
    starts, lengths = rng.integers(0, count, setup.lost_runs), rng.integers(2, longest + 1, setup.lost_runs)
    for start, length in zip(starts, lengths, strict=True):
        lost[start : start + length] = True
    flags[lost] = LOST
    return flags


def _host_stamps(count: int, setup: Setup, rng: np.random.Generator) -> Doubles:
    """The host reads every 50 ms or so, a millisecond or two late."""
    if not setup.host_stamps:
        return np.zeros((0, 2))
    index = np.arange(0, count, max(1, int(0.05 * setup.rate_hz)), dtype=np.float64)
    return np.stack([index, 777.0 + index / setup.rate_hz + rng.exponential(0.001, len(index))], axis=1)


def stamps_of(layout: Layout, setup: Setup, rng: np.random.Generator) -> RunStamps:
    """What the runner writes down, on the device's clock."""
    groups = {name: getattr(layout, name) for name in ("bursts", "controls", "pulses", "warmup", "other")}
    times = np.concatenate(list(groups.values())).ravel()
    jitter = setup.stamp_jitter_s * np.clip(rng.standard_normal(len(times)), -3, 3)
    order = np.argsort(times, kind="stable")
    ticks = np.zeros(len(times), np.int64)
    seconds = setup.epoch_s + (times + jitter) * (1 + setup.drift_ppm * 1e-6)
    ticks[order] = np.maximum.accumulate(np.round(seconds[order] * 1e9).astype(np.int64))
    pairs = np.split(ticks.reshape(-1, 2), np.cumsum([len(group) for group in groups.values()])[:-1])
    windows = {
        name: tuple(Window(start_ns=int(start), end_ns=int(end)) for start, end in pair)
        for name, pair in zip(groups, pairs, strict=True)
    }
    alike = len(set(layout.counts)) == 1 and not len(layout.controls)
    return RunStamps(**windows, counts=() if alike else layout.counts, inferences_per_burst=min(layout.counts))
