"""Power traces with exactly known energy, to test meters and analysis with.

Every busy interval is integrated analytically over each sample period, so the energy in a trace before noise is exact,
whatever the phase of the sampling. Times in seconds on the meter's clock; the device's clock has its own offset and
drift, and appears in the stamps only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevit.records import Record
from runtimes.power.monsoon_packets import RATE_HZ
from runtimes.power.scenarios import Scenario
from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import CALIBRATION, LOST, Doubles, PowerTrace

CALIBRATION_PERIOD_S = 1.25  # the HVPM's, as CALIBRATION_MS of ``monsoon_unit``
VOLTAGE_V = 3.85  # nominal voltage of a phone's battery


class SimulationTruth(Record):
    """What is really in a simulated trace.

    Energies are means over the inferences, above the background. ``active_mj`` is what an inference itself draws
    between its start and its end; ``window_mj`` adds what earlier inferences still draw in that window (their tails);
    ``total_mj`` is all that the inferences cause, tails included, divided by their number. ``slope_mj`` is what one
    inference more in a burst draws, the least-squares line through the bursts; None where all hold as many.
    ``counts``, ``active_each_mj``, ``starts_s`` and ``ends_s`` are of the bursts. What a locked load draws is in none.
    """

    scenario: str
    seed: int
    inferences: int
    active_mj: float
    window_mj: float
    total_mj: float
    slope_mj: float | None
    duration_ms: float
    power_mw: float
    clock_offset_s: float
    clock_drift_ppm: float
    lost_samples: int
    counts: tuple[int, ...]
    active_each_mj: tuple[float, ...]
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Simulation:
    """A trace, the runner's stamps for it, and the truth."""

    trace: PowerTrace
    stamps: RunStamps
    truth: SimulationTruth


@dataclass(frozen=True)
class Busy:
    """One busy interval: level above background, ramp at its start and tail after its end (powers in mW)."""

    start_s: float
    end_s: float
    level_mw: float
    ramp_s: float = 0.0
    ramp_from: float = 1.0
    tail_s: float = 0.0
    tail_mw: float = 0.0
    tail_decays: bool = False

    def active_mj(self, t: Doubles | float) -> Doubles:
        """Energy in mJ drawn from the start until the times ``t``, (n,) s or one; tail not counted."""
        x = np.clip(np.asarray(t, np.float64) - self.start_s, 0.0, self.end_s - self.start_s)
        if self.ramp_s == 0.0:
            return self.level_mw * x
        missing = (1.0 - self.ramp_from) * self.ramp_s * -np.expm1(-x / self.ramp_s)
        return self.level_mw * (x - missing)

    def tail_mj(self, t: Doubles | float) -> Doubles:
        """Energy in mJ of the tail from the end of the interval until the times ``t``, (n,) s or one."""
        x = np.clip(np.asarray(t, np.float64) - self.end_s, 0.0, self.reach_s - self.end_s)
        if not (self.tail_decays and self.tail_s):
            return self.tail_mw * x
        constant = self.tail_s / 3.0
        return self.tail_mw * constant * -np.expm1(-x / constant)

    @property
    def reach_s(self) -> float:
        """When the last of the tail is gone."""
        return self.end_s + self.tail_s * (2.0 if self.tail_decays else 1.0)


def simulate(scenario: Scenario, seed: int) -> Simulation:
    """Make the trace of ``scenario`` for ``seed``; equal arguments give equal traces."""
    rng = np.random.Generator(np.random.PCG64([seed, *scenario.name.encode()]))
    plan = _timeline(scenario, rng)
    edges = np.arange(round(plan.seconds * RATE_HZ) + 1) / RATE_HZ
    caused = np.zeros(len(edges) - 1)
    for busy in (*plan.pulses, *plan.warmup, *plan.runs, *_locked(scenario, plan)):
        _add(caused, busy, edges)
    power = caused + _background(scenario, edges, rng)
    flags = _holes(scenario, len(power), rng)
    offset_s, drift = float(rng.uniform(10.0, 1e5)), float(rng.uniform(-scenario.clock_ppm, scenario.clock_ppm)) * 1e-6
    stamps = _stamps(scenario, plan, offset_s, drift, rng)
    truth = _truth(scenario, seed, plan, offset_s, drift * 1e6, int(np.sum(flags & LOST)))
    return Simulation(_trace(power, flags, scenario, seed), stamps, truth)


@dataclass(frozen=True)
class Plan:
    """All that the device does, in order: pulses, warm-up back to back, bursts with controls between, pulses.

    ``counts`` are the inferences of each of ``runs``; ``controls`` draw nothing.
    """

    pulses: tuple[Busy, ...]
    warmup: tuple[Busy, ...]
    runs: tuple[Busy, ...]
    controls: tuple[Busy, ...]
    counts: tuple[int, ...]
    seconds: float


def _timeline(scenario: Scenario, rng: np.random.Generator) -> Plan:
    tail_mw = scenario.burst_mw * (float(rng.uniform(0.2, 0.4)) if scenario.tail_ms else 0.0)
    decays = bool(rng.integers(2))

    def busy(start_s: float, duration_s: float, level_mw: float, tail_mw: float = tail_mw) -> Busy:
        return Busy(
            start_s, start_s + duration_s, level_mw, scenario.ramp_ms / 1e3, scenario.ramp_from,
            scenario.tail_ms / 1e3, tail_mw, decays,
        )  # fmt: skip

    def pulses_from(start_s: float) -> list[Busy]:
        made: list[Busy] = []
        for length_ms in scenario.pulses_ms:
            made.append(busy(start_s, length_ms / 1e3 + float(rng.uniform(0, 1e-3)), scenario.pulse_mw))
            start_s = made[-1].end_s + 0.3
        return made

    def series(start_s: float, gap_s: float, durations: list[float], levels: list[float]) -> list[Busy]:
        made: list[Busy] = []
        for duration_s, level_mw in zip(durations, levels, strict=True):
            varied = 1.0 + (float(rng.uniform(-1.0, 1.0)) * scenario.gap_spread if scenario.gap_spread else 0.0)
            start_s += gap_s * varied * float(rng.uniform(1.0, 1.01))
            made.append(busy(start_s, duration_s, level_mw, tail_mw if level_mw else 0.0))
            start_s = made[-1].end_s
        return made

    counts, durations, levels = _bursts(scenario, rng)
    before = pulses_from(scenario.idle_s + float(rng.uniform(0, 0.5)))
    now = (before[-1].end_s if before else scenario.idle_s) + 0.3
    one = [level for level in levels if level][:5]
    warm = [replace(run, tail_mw=0.0) for run in series(now, 0.0, [scenario.latency_ms / 1e3] * len(one), one)]
    warm[-1] = replace(warm[-1], tail_mw=tail_mw)
    steps = series(warm[-1].end_s, scenario.gap_ms / 1e3, durations, levels)
    after = pulses_from(steps[-1].end_s + 0.3)
    end_s = (after or steps)[-1].end_s + 0.3
    runs, controls = (tuple(step for step in steps if bool(step.level_mw) == runs) for runs in (True, False))
    return Plan(tuple(before + after), tuple(warm), runs, controls, counts, end_s + scenario.idle_s)


def _bursts(scenario: Scenario, rng: np.random.Generator) -> tuple[tuple[int, ...], list[float], list[float]]:
    """Inferences of each burst; durations in s and levels in mW of all bursts and controls, which have the level 0."""
    spread, factors = scenario.latency_spread, scenario.burst_factors
    one_s = scenario.latency_ms / 1e3 * np.exp(rng.normal(-(spread**2) / 2, spread, scenario.runs))
    one_s[0] *= scenario.first_slower
    levels = (scenario.burst_mw * (1.0 + rng.normal(0.0, scenario.power_spread, scenario.runs))).tolist()
    counts = np.resize(factors, scenario.runs)
    if len(factors) > 1:
        counts = rng.permutation(counts)
    durations = (one_s * counts).tolist()
    for place in sorted(rng.integers(1, scenario.runs, scenario.controls).tolist() if scenario.controls else ()):
        durations.insert(place, float(rng.choice(factors)) * scenario.latency_ms / 1e3)
        levels.insert(place, 0.0)
    return tuple(counts.tolist()), durations, levels


def _locked(scenario: Scenario, plan: Plan) -> list[Busy]:
    """What another load draws that starts with every burst and control."""
    if not scenario.locked_mw:
        return []
    for_s = scenario.locked_ms / 1e3
    return [
        Busy(step.start_s, step.start_s + for_s if for_s else step.end_s, scenario.locked_mw)
        for step in (*plan.runs, *plan.controls)
    ]


def _add(power_mw: Doubles, busy: Busy, edges: Doubles) -> None:
    """Add to (n,) mW the mean power of ``busy`` over each sample period that it touches; ``edges`` (n + 1,) s."""
    first = max(0, math.floor(busy.start_s * RATE_HZ) - 1)
    last = min(len(edges) - 1, math.ceil(busy.reach_s * RATE_HZ) + 1)
    local = edges[first : last + 1]
    power_mw[first:last] += np.diff(busy.active_mj(local) + busy.tail_mj(local)) * RATE_HZ


def _background(scenario: Scenario, edges: Doubles, rng: np.random.Generator) -> Doubles:
    """(n,) mW of all but the model, noise included, in the sample periods between ``edges``, (n + 1,) s."""
    count, seconds = len(edges) - 1, float(edges[-1])
    middle = (edges[:-1] + edges[1:]) / 2
    power = scenario.idle_mw + scenario.drift_mw_per_s * middle + _wander(scenario, count, rng)
    power += scenario.step_mw * (middle > scenario.step_at * seconds)
    interference = [
        *_events(rng, scenario.spikes_per_s, seconds, (1e-3, 8e-3), (300.0, 1500.0)),
        *_events(rng, scenario.interference_per_s, seconds, scenario.interference_s, (300.0, 1200.0)),
    ]
    if scenario.radio_period_s:
        starts = np.arange(float(rng.uniform(0, scenario.radio_period_s)), seconds, scenario.radio_period_s)
        interference += [Busy(float(start), float(start) + 6e-3, 400.0) for start in starts]
    for event in interference:
        _add(power, event, edges)
    return power + rng.normal(0.0, scenario.noise_mw, count)


def _wander(scenario: Scenario, count: int, rng: np.random.Generator) -> Doubles:
    """(count,) mW of slow random change: knots every 0.25 s from a mean-reverting walk, linear between."""
    knots = max(2, int(count / RATE_HZ * 4) + 2)
    keep = math.exp(-0.25 / 2.0)
    walk = np.zeros(knots)
    steps = rng.normal(0.0, scenario.wander_mw * math.sqrt(1 - keep**2), knots)
    for i in range(1, knots):
        walk[i] = keep * walk[i - 1] + steps[i]
    return np.interp(np.arange(count) / RATE_HZ, np.arange(knots) * 0.25, walk)


def _events(
    rng: np.random.Generator, per_s: float, seconds: float, length_s: tuple[float, float], level: tuple[float, float]
) -> list[Busy]:
    count = int(rng.poisson(per_s * seconds))
    starts, lengths = rng.uniform(0, seconds, count), rng.uniform(*length_s, count)
    levels = rng.uniform(*level, count)
    return [Busy(float(s), float(s + d), float(p)) for s, d, p in zip(starts, lengths, levels, strict=True)]


def _holes(scenario: Scenario, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(count,) flags: calibration slots and lost samples."""
    flags = np.zeros(count, np.uint8)
    slots = np.arange(CALIBRATION_PERIOD_S, count / RATE_HZ - 0.01, CALIBRATION_PERIOD_S) * RATE_HZ
    for slot in slots.astype(int):
        flags[slot : slot + 2] = CALIBRATION
    for start in rng.integers(0, count, int(scenario.lost_share * count / 3)):
        flags[start : start + 3] = LOST
    return flags


def _stamps(scenario: Scenario, plan: Plan, offset_s: float, drift: float, rng: np.random.Generator) -> RunStamps:
    def stamp(moment_s: float) -> int:
        jitter_s = float(rng.normal(0.0, scenario.stamp_jitter_us * 1e-6))
        return round(((moment_s + jitter_s) * (1 + drift) + offset_s) * 1e9)

    def windows(series: tuple[Busy, ...]) -> tuple[Window, ...]:
        made: list[Window] = []
        floor = 0
        for busy in series:  # back to back, a jittered start may not lie before the end of its predecessor
            start = max(stamp(busy.start_s), floor)
            floor = max(stamp(busy.end_s), start + 1000)
            made.append(Window(start_ns=start, end_ns=floor))
        return tuple(made)

    warmup, bursts = windows(plan.warmup), windows(plan.runs)
    if bursts[0].start_ns < warmup[-1].end_ns:
        bursts = (Window(start_ns=warmup[-1].end_ns, end_ns=bursts[0].end_ns), *bursts[1:])
    counts = plan.counts if len(set(plan.counts)) > 1 else ()
    return RunStamps(
        bursts=bursts, counts=counts, controls=windows(plan.controls), pulses=windows(plan.pulses), warmup=warmup,
        inferences_per_burst=min(plan.counts),
    )  # fmt: skip


def _truth(scenario: Scenario, seed: int, plan: Plan, offset_s: float, drift_ppm: float, lost: int) -> SimulationTruth:
    runs = plan.runs
    before = (plan.warmup[-1], *runs)
    active = np.array([float(run.active_mj(run.end_s)) for run in runs])
    tails = sum(float(run.tail_mj(run.reach_s)) for run in runs)
    carried = sum(
        float(earlier.tail_mj(run.end_s) - earlier.tail_mj(run.start_s))
        for index, run in enumerate(runs)
        for earlier in before[max(0, index - 20) : index + 1]
    )
    busy_s, inferences = sum(run.end_s - run.start_s for run in runs), sum(plan.counts)
    differ = len(set(plan.counts)) > 1
    return SimulationTruth(
        scenario=scenario.name,
        seed=seed,
        inferences=inferences,
        active_mj=float(active.sum() / inferences),
        window_mj=float((active.sum() + carried) / inferences),
        total_mj=float((active.sum() + tails) / inferences),
        slope_mj=float(np.polyfit(plan.counts, active, 1)[0]) if differ else None,
        duration_ms=busy_s / inferences * 1e3,
        power_mw=float(active.sum() / busy_s),
        clock_offset_s=offset_s,
        clock_drift_ppm=drift_ppm,
        lost_samples=lost,
        counts=plan.counts,
        active_each_mj=tuple(active.tolist()),
        starts_s=tuple(run.start_s for run in runs),
        ends_s=tuple(run.end_s for run in runs),
    )


def _trace(power_mw: Doubles, flags: NDArray[np.uint8], scenario: Scenario, seed: int) -> PowerTrace:
    """The trace of (n,) mW and (n,) flags, NaN where a flag is set."""
    power = np.where(flags == 0, power_mw, np.nan).astype(np.float32)
    voltage = np.full(len(power), VOLTAGE_V, np.float32)
    index = np.arange(0, len(power), 500, dtype=np.float64)
    return PowerTrace(
        rate_hz=RATE_HZ,
        power_mw=power,
        flags=flags,
        current_ma=power / voltage,
        voltage_v=voltage,
        host_stamps=np.stack([index, 100.0 + index / RATE_HZ], axis=1),
        meta={"meter": "simulation", "scenario": scenario.name, "seed": str(seed)},
    )
