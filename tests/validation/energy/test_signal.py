"""The signal under all energy figures: integrals, holes, noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgevit.errors import FailureError
from runtimes.power.trace import PowerTrace
from validation.energy.signal import MAX_MISSING, MIN_SAMPLES, moving_mean, signal_of


def _trace(power_mw: NDArray[np.float64], rate_hz: float = 1000.0) -> PowerTrace:
    return PowerTrace(rate_hz, power_mw, np.zeros(len(power_mw), np.uint8))


RAMP = signal_of(_trace(np.arange(2000.0)))


def test_integral_between_any_two_moments_is_exact() -> None:
    expected = 0.5 * 3 / 1000 + (4 + 5) / 1000 + 0.25 * 6 / 1000
    assert RAMP.energy_mj(np.array([0.0035]), np.array([0.00625]))[0] == pytest.approx(expected)
    assert RAMP.mean_mw(0.0035, 0.00625) == pytest.approx(expected / 0.00275)
    whole = np.sum(np.arange(2000.0)) / 1000
    assert RAMP.energy_mj(np.array([0.0]), np.array([2.0]))[0] == pytest.approx(whole)


def test_the_rate_is_the_length_of_a_sample() -> None:
    signal = signal_of(_trace(np.full(500, 8.0), 250.0))
    assert (signal.seconds, signal.period_s) == (2.0, 0.004)
    assert signal.energy_mj(np.array([0.5]), np.array([1.5]))[0] == pytest.approx(8.0)


def test_nothing_is_drawn_outside_of_the_trace() -> None:
    assert RAMP.until_mj(np.array([-1.0, 0.0]))[0] == 0.0
    assert RAMP.until_mj(np.array([99.0]))[0] == pytest.approx(np.sum(np.arange(2000.0)) / 1000)
    assert RAMP.mean_mw(-5.0, 0.01) == pytest.approx(4.5), "the mean is that of what lies inside"
    assert RAMP.mean_mw(1.99, 7.0) == pytest.approx(1994.5)


@pytest.mark.parametrize(("start", "end"), [(5.0, 6.0), (-2.0, -1.0), (0.5, 0.5), (0.6, 0.5)])
def test_the_mean_of_nothing_is_no_number(start: float, end: float) -> None:
    assert np.isnan(RAMP.mean_mw(start, end))


def test_means_keep_the_form_of_what_is_asked() -> None:
    starts = np.array([[0.0, 0.1], [0.2, 0.3]])
    np.testing.assert_allclose(RAMP.means_mw(starts, starts + 0.01), starts * 1000 + 4.5)


def test_holes_are_filled_with_a_line_and_their_share_is_remembered() -> None:
    power = np.arange(2000.0)
    power[500:503] = np.nan
    power[700] = np.nan
    signal = signal_of(_trace(power))
    np.testing.assert_array_equal(signal.power_mw, np.arange(2000.0))
    starts, ends = np.array([0.1, 0.495, 0.501, 0.6995, 0.5]), np.array([0.2, 0.505, 0.502, 0.7005, 0.7])
    np.testing.assert_allclose(signal.missing_share(starts, ends), [0.0, 0.3, 1.0, 0.5, 3 / 200], atol=1e-9)


def test_holes_at_both_ends_are_filled_with_what_is_next_to_them() -> None:
    power = np.arange(1000.0)
    power[:5] = power[-3:] = np.nan
    filled = signal_of(_trace(power)).power_mw
    assert filled[:6].tolist() == [5.0] * 6 and filled[-4:].tolist() == [996.0] * 4


def test_what_was_hardly_measured_is_refused() -> None:
    half = np.where(np.arange(1000) % 2 == 0, 1.0, np.nan)
    assert MAX_MISSING == 0.5 and len(signal_of(_trace(half)).power_mw) == 1000
    more = half.copy()
    more[0] = np.nan
    with pytest.raises(FailureError, match="1000 samples of which 501 are missing: nothing to analyse"):
        signal_of(_trace(more))


def test_a_trace_needs_samples() -> None:
    assert signal_of(_trace(np.ones(MIN_SAMPLES))).seconds == 0.1
    for count in (0, MIN_SAMPLES - 1):
        with pytest.raises(FailureError, match="nothing to analyse"):
            signal_of(_trace(np.ones(count)))


def test_blocks_are_means_of_whole_blocks_only() -> None:
    signal = signal_of(_trace(np.repeat([1.0, 3.0], 1000)))
    np.testing.assert_allclose(signal.blocks_mw(0.9, 1.19, 0.1), [1.0, 3.0])
    np.testing.assert_allclose(signal.blocks_mw(-1.0, 0.2, 0.1), [1.0, 1.0])
    np.testing.assert_allclose(signal.blocks_mw(1.85, 9.0, 0.1), [3.0])
    assert len(signal.blocks_mw(0.0, 2.0, 0.1)) == 20, "rounding loses no block"
    assert len(signal.blocks_mw(1.0, 1.05, 0.1)) == 0


@pytest.mark.parametrize("count", [20, 1000])
def test_noise_is_what_was_added_whatever_the_steps(count: int) -> None:
    generator = np.random.default_rng(1)
    power = np.tile(np.repeat([100.0, 900.0], 500), count) + generator.normal(0, 25.0, count * 1000)
    assert signal_of(_trace(power)).noise_mw == pytest.approx(25.0, rel=0.05)


def test_a_steady_trace_has_no_noise() -> None:
    assert signal_of(_trace(np.full(1000, 7.0))).noise_mw == 0.0


def test_moving_mean_is_numpys_convolution_inside_and_narrower_at_the_ends() -> None:
    values = np.random.default_rng(2).normal(size=50)
    for width in (4, 5):  # made odd
        smooth = moving_mean(values, width)
        np.testing.assert_allclose(smooth[2:-2], np.convolve(values, np.ones(5) / 5, "valid"))
        assert smooth[0] == pytest.approx(values[:3].mean()) and smooth[-1] == pytest.approx(values[-3:].mean())
    assert moving_mean(values, 1) is values
    np.testing.assert_allclose(moving_mean(values, 1000), np.full(50, values.mean()))
