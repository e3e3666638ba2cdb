"""Checks on the recording and its clocks: each is the only one that fails for some recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from power_course import exponential_tail
from power_judged import SOUND, TWO_LENGTHS, error_of, failing, jumped, moved, with_stamps
from power_physics import build

from validation.energy.analysis import examine
from validation.energy.checks import QUESTIONS, check_figure

BASE = build(SOUND, 1)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("setup", [SOUND, TWO_LENGTHS, replace(SOUND, tail=exponential_tail(0.7), wander_mw=20.0)])
def test_sound_recordings_pass_every_check(setup: object, seed: int) -> None:
    case = build(setup, seed)  # type: ignore[arg-type]
    assert failing(case) == {}
    assert abs(error_of(case)) < 0.01


def test_every_check_says_value_limit_and_name() -> None:
    checks = check_figure(examine(BASE.trace, BASE.stamps))
    assert len({check.name for check in checks}) == len(checks) >= len(QUESTIONS)
    assert all(check.value is not None and check.passed and not check.reason for check in checks)


def test_a_device_that_slept_is_refused() -> None:
    assert failing(with_stamps(BASE, suspended_ns=1_000_000)) == {}
    assert set(failing(with_stamps(BASE, suspended_ns=1_000_001))) == {"suspended"}


def test_sync_pulses_are_needed_on_both_sides() -> None:
    assert set(failing(with_stamps(BASE, pulses=BASE.stamps.pulses[:3]))) == {"sync pulses"}
    assert set(failing(with_stamps(BASE, pulses=BASE.stamps.pulses[3:]))) == {"sync pulses"}


def test_stamps_of_another_run_do_not_fit() -> None:
    other = build(replace(SOUND, gap_s=0.13), 2)
    assert "place" in failing(replace(BASE, stamps=other.stamps))


def test_clocks_may_drift_as_quartz_does() -> None:
    assert failing(build(replace(SOUND, drift_ppm=150.0), 1)) == {}
    assert set(failing(build(replace(SOUND, drift_ppm=-230.0), 1))) == {"drift"}


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
    assert "--gap" in reasons["gaps"]


def test_idle_is_needed_on_both_sides_and_more_of_it_changes_nothing() -> None:
    assert set(failing(build(replace(SOUND, idle_after_s=0.3), 1))) == {"idle"}
    verdicts = [failing(build(replace(SOUND, idle_before_s=s, idle_after_s=s), 1)) for s in (2.0, 6.0, 20.0)]
    assert verdicts == [{}, {}, {}]


def test_a_wrong_sample_rate_is_never_verified() -> None:
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1):
        trace = replace(BASE.trace, rate_hz=BASE.trace.rate_hz * factor, host_stamps=np.zeros((0, 2)))
        assert failing(replace(BASE, trace=trace))
