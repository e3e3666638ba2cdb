"""Checks on the recording and its clocks: nearly each is the only one that fails for some recording."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from power_course import exponential_tail
from power_judged import SOUND, TWO_LENGTHS, check_of, error_of, failing, jumped, moved, with_stamps
from power_physics import build

from runtimes.power.stamps import Window
from validation.energy.analysis import examine
from validation.energy.checks import QUESTIONS, check_figure

BASE = build(SOUND, 1)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("setup", [SOUND, TWO_LENGTHS, replace(SOUND, tail=exponential_tail(0.7), wander_mw=20.0)])
def test_sound_recordings_pass_every_check(setup: object, seed: int) -> None:
    case = build(setup, seed)  # type: ignore[arg-type]
    assert failing(case) == {}
    assert abs(error_of(case)) < 0.01


NEEDS_MORE = {"controls", "overhead", "tails by length"}


def test_what_a_recording_cannot_be_asked_is_not_said_to_be_passed() -> None:
    two = build(TWO_LENGTHS, 1)
    asked = {check.name for check in check_figure(examine(two.trace, two.stamps))}
    assert asked - {check.name for check in check_figure(examine(BASE.trace, BASE.stamps))} == NEEDS_MORE


def test_pulses_between_the_bursts_are_none_behind_them() -> None:
    early, last = BASE.stamps.pulses[:3], BASE.stamps.bursts[-1]
    between = Window(start_ns=last.start_ns - 50_000_000, end_ns=last.start_ns - 40_000_000)
    assert "sync pulses" in failing(with_stamps(BASE, pulses=(*early, between)))


def test_every_check_says_value_limit_and_name() -> None:
    checks = check_figure(examine(BASE.trace, BASE.stamps))
    assert len({check.name for check in checks}) == len(checks)
    assert len(checks) == len(QUESTIONS) + 3 - len(NEEDS_MORE), "three ask the trace alone"
    assert all(check.value is not None and check.passed and not check.reason for check in checks)


def test_a_device_that_slept_is_refused() -> None:
    assert failing(with_stamps(BASE, suspended_ns=1_000_000)) == {}
    assert set(failing(with_stamps(BASE, suspended_ns=1_000_001))) == {"suspended"}


def test_sync_pulses_are_needed_on_both_sides() -> None:
    for kept in (BASE.stamps.pulses[:3], BASE.stamps.pulses[3:]):
        reasons = set(failing(with_stamps(BASE, pulses=kept)))
        assert {"sync pulses"} <= reasons <= {"sync pulses", "ceiling"}, (
            "pulses that no stamp names may look like background"
        )


def test_stamps_of_another_run_do_not_fit() -> None:
    other = build(replace(SOUND, gap_s=0.13), 2)
    assert "place" in failing(replace(BASE, stamps=other.stamps))


def test_clocks_may_drift_as_quartz_does() -> None:
    assert failing(build(replace(SOUND, drift_ppm=150.0), 1)) == {}
    assert set(failing(build(replace(SOUND, drift_ppm=-330.0), 1))) == {"drift"}


def test_a_clock_that_jumps_is_told() -> None:
    assert "clock" in failing(replace(BASE, stamps=jumped(BASE.stamps, 5.0)))


def test_stamps_that_are_too_short_or_too_long_are_told() -> None:
    short = with_stamps(BASE, bursts=moved(BASE.stamps.bursts, 0.0, -3.0))
    assert error_of(short) < -0.05
    reasons = failing(short)
    assert set(reasons) == {"lengths"} and "shorter than the power" in reasons["lengths"]
    assert set(failing(with_stamps(BASE, bursts=moved(BASE.stamps.bursts, 0.0, 3.0)))) == {"lengths"}
    assert failing(with_stamps(BASE, bursts=moved(BASE.stamps.bursts, -0.2, 0.2))) == {}


def test_few_windows_tell_too_little() -> None:
    assert "windows" in failing(build(replace(SOUND, plan=(1,) * 7), 1))
    assert "windows" not in failing(build(replace(SOUND, plan=(1,) * 8), 1))


def test_a_window_needs_samples_and_the_reason_says_how_to_have_them() -> None:
    reasons = failing(build(replace(SOUND, rate_hz=100.0, noise_mw=1.0), 1))
    assert "bursts of 2 would be enough" in reasons["samples"]
    assert "samples" not in failing(build(replace(SOUND, rate_hz=100.0, plan=(2,) * 50, noise_mw=1.0), 1))


def test_a_gap_needs_samples_and_the_reason_says_how_long() -> None:
    reasons = failing(build(replace(SOUND, rate_hz=250.0, gap_s=0.020), 1))
    told = re.search(r"--gap (\d+) would be enough", reasons["gaps"])
    assert told is not None
    told_s = int(told[1]) / 1000
    assert "gaps" not in failing(build(replace(SOUND, rate_hz=250.0, gap_s=told_s + 0.002), 1))
    assert "gaps" in failing(build(replace(SOUND, rate_hz=250.0, gap_s=told_s * 0.8), 1))


def test_idle_is_needed_on_both_sides_and_more_of_it_changes_nothing() -> None:
    assert set(failing(build(replace(SOUND, idle_after_s=0.3), 1))) == {"idle"}
    verdicts = [failing(build(replace(SOUND, idle_before_s=s, idle_after_s=s), 1)) for s in (2.0, 6.0, 20.0)]
    assert verdicts == [{}, {}, {}]


def test_a_wrong_sample_rate_is_never_verified() -> None:
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1):
        trace = replace(BASE.trace, rate_hz=BASE.trace.rate_hz * factor, host_stamps=np.zeros((0, 2)))
        assert failing(replace(BASE, trace=trace))


KNOWN = examine(BASE.trace, BASE.stamps)
PAD_MS = 1.0 + 30.0 * float(KNOWN.model.bursts.durations_s.min()) / 0.030 / 40  # a sample and a fortieth of a window


@pytest.mark.parametrize(
    ("name", "changes", "held"),
    [
        ("place", {"place_sigma": 5.5}, True),
        ("place", {"place_sigma": 5.49}, False),
        ("drift", {"drift": 199.9e-6}, True),
        ("drift", {"drift": -199.9e-6}, True),
        ("drift", {"drift": 200.1e-6}, False),
        ("drift", {"drift": -200.1e-6}, False),
        ("clock", {"residual_s": (PAD_MS - 0.01) * 1e-3}, True),
        ("clock", {"residual_s": (PAD_MS + 0.01) * 1e-3}, False),
        ("clock", {"residual_s": float("nan")}, False),
        ("lengths", {"longer_s": (PAD_MS - 0.27) * 1e-3}, True),
        ("lengths", {"longer_s": (PAD_MS - 0.23) * 1e-3}, False),
        ("lengths", {"longer_s": -(PAD_MS - 0.27) * 1e-3}, True),
        ("lengths", {"longer_s": -(PAD_MS - 0.23) * 1e-3}, False),
        ("lengths", {"longer_s": float("nan")}, False),
    ],
)
def test_clocks_are_judged_up_to_their_limits(name: str, changes: dict[str, float], held: bool) -> None:
    doctored = replace(KNOWN, alignment=replace(KNOWN.alignment, drift_error=0.0, **changes))
    assert check_of(doctored, name).passed == held


def test_most_of_a_sample_is_no_length_where_windows_are_short() -> None:
    short = build(replace(SOUND, latency_s=0.010, pulse_ratio=1.6), 1)
    known = examine(short.trace, short.stamps)
    for longer_s, held in ((0.00097, True), (0.00103, False)):
        doctored = replace(known, alignment=replace(known.alignment, longer_s=longer_s))
        assert check_of(doctored, "lengths").passed == held


@pytest.mark.parametrize(("rate_hz", "held"), [(163.0, False), (172.0, True)])
def test_five_samples_are_a_window(rate_hz: float, held: bool) -> None:
    case = build(replace(SOUND, rate_hz=rate_hz, latency_jitter=0.0, noise_mw=1.0), 1)
    assert check_of(examine(case.trace, case.stamps), "samples").passed == held


@pytest.mark.parametrize(("gap_s", "held"), [(0.0060, False), (0.0070, True)])
def test_four_samples_between_the_pads_are_a_gap(gap_s: float, held: bool) -> None:
    case = build(replace(SOUND, gap_s=gap_s, tail_height=0.0, noise_mw=1.0, latency_jitter=0.0), 1)
    check = check_of(examine(case.trace, case.stamps), "gaps")
    assert check.passed == held and check.limit == 4


@pytest.mark.parametrize(
    ("side", "seconds", "held"),
    [
        ("idle_before_s", 0.2, False),
        ("idle_before_s", 0.3, True),
        ("idle_after_s", 0.33, False),
        ("idle_after_s", 0.4, True),
    ],
)
def test_half_a_second_of_idle_is_needed(side: str, seconds: float, held: bool) -> None:
    case = build(replace(SOUND, **{side: seconds}), 1)  # and 0.3 s beside the pulses, of which 0.05 s or a quarter go
    assert check_of(examine(case.trace, case.stamps), "idle").passed == held
