"""Named scenarios for simulated traces.

Ten that the accuracy table is made of, the ones that must be refused, and those whose gaps and bursts vary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgevit.errors import unknown_choice


@dataclass(frozen=True)
class Scenario:
    """Everything that shapes a simulated trace; rates are per second, powers above the idle level.

    ``quiet`` marks the scenarios that the stricter accuracy target applies to: nothing but the model, its clock
    governor and the meter's noise is at work. ``runs`` is the number of bursts, ``latency_ms`` what one inference
    takes. Gaps vary by up to ``gap_spread`` of ``gap_ms``, bursts hold each of ``burst_factors`` inferences as often,
    and between them are ``controls``, laid out like bursts, in which the model does not run. ``locked_mw`` is drawn by
    a load that is none of the model's and starts with every burst and control: for ``locked_ms``, or as long as each
    lasts where that is 0.
    """

    name: str
    summary: str
    quiet: bool = True
    runs: int = 50
    latency_ms: float = 60.0
    latency_spread: float = 0.03
    gap_ms: float = 300.0
    gap_spread: float = 0.0
    burst_factors: tuple[int, ...] = (1,)
    controls: int = 0
    locked_mw: float = 0.0
    locked_ms: float = 0.0
    idle_mw: float = 800.0
    burst_mw: float = 1700.0
    power_spread: float = 0.01
    pulse_mw: float = 2200.0
    pulses_ms: tuple[float, ...] = (300.0, 150.0, 450.0)
    idle_s: float = 4.0
    noise_mw: float = 40.0
    wander_mw: float = 4.0
    ramp_ms: float = 0.0
    ramp_from: float = 0.5
    tail_ms: float = 0.0
    drift_mw_per_s: float = 0.0
    step_mw: float = 0.0
    step_at: float = 0.5
    spikes_per_s: float = 0.0
    interference_per_s: float = 0.0
    interference_s: tuple[float, float] = (0.05, 0.2)
    radio_period_s: float = 0.0
    first_slower: float = 1.0
    lost_share: float = 0.0002
    clock_ppm: float = 100.0
    stamp_jitter_us: float = 20.0


TABLE: tuple[Scenario, ...] = (
    Scenario("clean", "60 ms bursts, 300 ms gaps, 40 mW of noise"),
    Scenario(
        "low-snr", "350 mW bursts in 150 mW of noise", quiet=False, burst_mw=350.0, pulse_mw=600.0, noise_mw=150.0
    ),
    Scenario("short", "5 ms bursts, 30 ms gaps", latency_ms=5.0, gap_ms=30.0),
    Scenario("ramp-tail", "clock ramp of 10 ms and a 50 ms tail", ramp_ms=10.0, tail_ms=50.0),
    Scenario("short-gap-tail", "20 ms gaps, shorter than the 50 ms tail", quiet=False, gap_ms=20.0, tail_ms=50.0),
    Scenario("no-gaps", "back to back", gap_ms=0.0),
    Scenario("spikes", "5 spikes of interference a second, 1-8 ms", quiet=False, spikes_per_s=5.0),
    Scenario("other-process", "interference of 50-200 ms, 0.3 a second", quiet=False, interference_per_s=0.3),
    Scenario("drift", "background rises by 60 mW a second", quiet=False, drift_mw_per_s=60.0),
    Scenario("latency-spread", "latency spread of 30 %", latency_spread=0.3),
)

HARD: tuple[Scenario, ...] = (
    Scenario("screen-on", "the screen goes on in the middle: +600 mW", quiet=False, step_mw=600.0),
    Scenario("radio", "radio wakes every 1.28 s", quiet=False, radio_period_s=1.28),
    Scenario("first-slower", "the first inference takes 3 times as long", first_slower=3.0),
    Scenario(
        "long-foreign",
        "interference of 0.3-1 s, longer than an inference",
        quiet=False,
        interference_per_s=0.3,
        interference_s=(0.3, 1.0),
    ),
    Scenario("lossy", "2 % of the samples are lost", quiet=False, lost_share=0.02),
    Scenario("no-pulses", "a runner without sync pulses", pulses_ms=()),
    Scenario("buried", "60 mW bursts in 250 mW of noise", quiet=False, burst_mw=60.0, pulse_mw=60.0, noise_mw=250.0),
)

_VARIED = Scenario(
    "two-lengths", "1 or 3 inferences, 180 to 720 ms apart at random, 10 controls",
    gap_ms=450.0, gap_spread=0.6, burst_factors=(1, 3), controls=10,
)  # fmt: skip
VARIED: tuple[Scenario, ...] = (
    _VARIED,
    replace(_VARIED, name="two-lengths-tail", summary="the same, 10 ms ramps, 50 ms tails", ramp_ms=10.0, tail_ms=50.0),
    replace(
        _VARIED, name="locked-load", summary="the same, 300 mW for 40 ms with every burst and control",
        quiet=False, locked_mw=300.0, locked_ms=40.0,
    ),
    replace(
        _VARIED, name="locked-window", summary="the same, 300 mW as long as every burst and control lasts",
        quiet=False, locked_mw=300.0,
    ),
)  # fmt: skip

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (*TABLE, *HARD, *VARIED)}


def scenario_named(name: str) -> Scenario:
    """The scenario called ``name``.

    Raises:
        UsageError: There is none; the message lists them.
    """
    if name not in SCENARIOS:
        raise unknown_choice("scenario", name, SCENARIOS)
    return SCENARIOS[name]
