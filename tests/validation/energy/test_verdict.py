"""What is verified, and what never is: recordings and stamps of simulated runs, damaged on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from trace_section import section

from runtimes.power.scenarios import HARD, Scenario, scenario_named
from runtimes.power.simulate import Simulation, simulate
from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import OVER_CURRENT, PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport

SEEDS = (101, 102, 103)
Damage = Callable[[RunStamps], RunStamps]


def _report(made: Simulation, **options: object) -> EnergyReport:
    return analyze_energy(made.trace, stamps=made.stamps, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", HARD, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_wrong_is_verified(scenario: Scenario, seed: int) -> None:
    made = simulate(scenario, seed)
    report = _report(made)
    if report.passed:
        assert report.energy_mj == pytest.approx(made.truth.active_mj, rel=0.03)


@pytest.mark.parametrize("name", ["clean", "short", "ramp-tail", "drift", "latency-spread", "radio", "no-pulses"])
def test_good_recordings_are_verified(name: str) -> None:
    report = _report(simulate(scenario_named(name), 104))
    assert report.reasons == ()
    assert report.regions is not None and report.regions.found == 50


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-gaps", "segmentation found 1 regions, not 50"),
        ("lossy", "of the samples are lost"),
        ("buried", "noise alone puts"),
        ("long-foreign", "windows are disturbed by other activity"),
    ],
)
def test_recordings_that_cannot_be_trusted_say_why(name: str, words: str) -> None:
    reasons = _report(simulate(scenario_named(name), 104)).reasons
    assert any(words in reason for reason in reasons), reasons


def _shifted(windows: tuple[Window, ...], by_ns: int) -> tuple[Window, ...]:
    return tuple(Window(start_ns=window.start_ns + by_ns, end_ns=window.end_ns + by_ns) for window in windows)


def _without(index: int) -> Damage:
    return lambda stamps: msgspec.structs.replace(
        stamps, bursts=stamps.bursts[: index % 50] + stamps.bursts[index % 50 + 1 :]
    )


def _clock_jump(by_ns: int) -> Damage:
    def jump(stamps: RunStamps) -> RunStamps:
        middle = stamps.bursts[25].start_ns
        later = tuple(pulse for pulse in stamps.pulses if pulse.start_ns > middle)
        return msgspec.structs.replace(
            stamps,
            bursts=stamps.bursts[:25] + _shifted(stamps.bursts[25:], by_ns),
            pulses=stamps.pulses[: len(stamps.pulses) - len(later)] + _shifted(later, by_ns),
        )

    return jump


def _one_period_off(stamps: RunStamps) -> RunStamps:
    period = stamps.bursts[-1].start_ns - stamps.bursts[-2].start_ns
    bursts = stamps.bursts[1:] + _shifted(stamps.bursts[-1:], period)
    return msgspec.structs.replace(stamps, bursts=bursts, pulses=(), warmup=())


def _longer(stamps: RunStamps) -> RunStamps:
    bursts = tuple(Window(start_ns=w.start_ns, end_ns=w.end_ns + 8_000_000) for w in stamps.bursts)
    return msgspec.structs.replace(stamps, bursts=bursts)


def _asleep(stamps: RunStamps) -> RunStamps:
    return msgspec.structs.replace(stamps, suspended_ns=400_000_000)


@pytest.mark.parametrize("name", ["clean", "no-pulses", "ramp-tail"])
@pytest.mark.parametrize(
    "damage",
    [_without(0), _without(20), _without(49), _clock_jump(500_000_000), _clock_jump(5_000_000), _one_period_off,
     _longer, _asleep],
    ids=["first", "one", "last", "clock-jump", "small-clock-jump", "one-period-off", "too-long", "asleep"],
)  # fmt: skip
def test_stamps_that_do_not_fit_are_never_verified(name: str, damage: Damage) -> None:
    made = simulate(scenario_named(name), 107)
    report = analyze_energy(made.trace, stamps=damage(made.stamps))
    assert not report.passed
    assert report.reasons


@pytest.mark.parametrize("name", ["clean", "no-pulses", "ramp-tail", "latency-spread"])
def test_stamps_of_another_run_are_never_verified(name: str) -> None:
    made, other = simulate(scenario_named(name), 108), simulate(scenario_named(name), 109)
    assert not analyze_energy(made.trace, stamps=other.stamps).passed


def _with(trace: PowerTrace, **changes: object) -> PowerTrace:
    return replace(trace, **changes)  # type: ignore[arg-type]


def test_current_limit_wrong_rate_and_missing_idle_are_reasons() -> None:
    made = simulate(scenario_named("clean"), 110)
    flags = made.trace.flags.copy()
    flags[40_000] |= OVER_CURRENT
    assert "current limit" in " ".join(analyze_energy(_with(made.trace, flags=flags), stamps=made.stamps).reasons)
    slow = made.trace.host_stamps * np.array([1.0, 1.01])
    reasons = " ".join(analyze_energy(_with(made.trace, host_stamps=slow), stamps=made.stamps).reasons)
    assert "by the host's clock" in reasons
    cut = section(made.trace, 3.6, made.trace.seconds)
    assert "s of idle before the run" in " ".join(analyze_energy(cut, stamps=made.stamps).reasons)
