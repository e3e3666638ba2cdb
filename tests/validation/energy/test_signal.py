"""The signal under all energy figures: integrals, holes, noise."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.errors import FailureError
from runtimes.power.trace import PowerTrace
from validation.energy.signal import moving_mean, signal_of


def test_integral_between_any_two_moments_is_exact() -> None:
    trace = PowerTrace(1000.0, np.arange(2000.0), np.zeros(2000, np.uint8))
    signal = signal_of(trace)
    expected = 0.5 * 3 / 1000 + (4 + 5) / 1000 + 0.25 * 6 / 1000
    assert signal.energy_mj(np.array([0.0035]), np.array([0.00625]))[0] == pytest.approx(expected)
    assert signal.mean_mw(5.0, 6.0) != signal.mean_mw(5.0, 6.0)


def _trace(power_mw: np.ndarray, rate_hz: float = 1000.0) -> PowerTrace:
    return PowerTrace(rate_hz, power_mw, np.zeros(len(power_mw), np.uint8))


def test_holes_are_filled_with_a_line_and_remembered() -> None:
    power = np.arange(2000.0)
    power[500:503] = np.nan
    power[700] = np.nan
    signal = signal_of(_trace(power))
    np.testing.assert_array_equal(signal.power_mw, np.arange(2000.0))
    starts, ends = np.array([0.1, 0.45, 0.501, 0.69]), np.array([0.2, 0.55, 0.502, 0.71])
    np.testing.assert_allclose(signal.longest_hole_s(starts, ends), [0.0, 0.003, 0.003, 0.001])


def test_what_was_hardly_measured_is_refused() -> None:
    for power in (np.ones(99), np.where(np.arange(1000) % 3 == 0, 1.0, np.nan)):
        with pytest.raises(FailureError, match="nothing to analyse"):
            signal_of(_trace(power))


def test_blocks_are_means_of_whole_blocks_only() -> None:
    signal = signal_of(_trace(np.repeat([1.0, 3.0], 1000)))
    np.testing.assert_allclose(signal.blocks_mw(0.9, 1.19, 0.1), [1.0, 3.0])
    assert len(signal.blocks_mw(1.0, 1.05, 0.1)) == 0


def test_noise_is_what_was_added_whatever_the_steps() -> None:
    generator = np.random.default_rng(1)
    steps = np.repeat([100.0, 900.0], 500)
    power = np.tile(steps, 20) + generator.normal(0, 25.0, 20_000)
    assert signal_of(_trace(power)).noise_mw == pytest.approx(25.0, rel=0.05)


def test_moving_mean_is_numpys_convolution_inside_and_narrower_at_the_ends() -> None:
    values = np.random.default_rng(2).normal(size=50)
    smooth = moving_mean(values, 5)
    np.testing.assert_allclose(smooth[2:-2], np.convolve(values, np.ones(5) / 5, "valid"))
    assert smooth[0] == pytest.approx(values[:3].mean())
    assert moving_mean(values, 1) is values
