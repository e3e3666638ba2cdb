"""Scales and steps of int8, counted by hand."""

import numpy as np
import pytest

from export.formats.onnx_file.int8_values import along, rounded, rounded_bias, scales_of, uint8_scale, wide_enough
from export.int8.plan import Range

MATRIX = np.array([[1.27, -2.0], [-0.635, 25.4]], np.float32)


def test_each_output_has_a_scale_of_its_own() -> None:
    np.testing.assert_allclose(scales_of(MATRIX, 1), [0.01, 0.2], rtol=1e-6)
    np.testing.assert_allclose(scales_of(MATRIX, 0), [2 / 127, 0.2], rtol=1e-6)
    assert scales_of(MATRIX[:, 0], None).shape == ()
    assert scales_of(MATRIX[:, 0], None) == pytest.approx(0.01)


def test_weights_are_steps_of_their_scale_halves_to_even() -> None:
    scales = np.array([0.01, 0.2], np.float32)
    found = rounded(MATRIX, scales, 1)
    assert found.dtype == np.int8
    assert found.tolist() == [[127, -10], [-64, 127]]
    assert rounded(np.array([0.5, 1.5, 999, -999], np.float32), np.float32(1), None).tolist() == [0, 2, 127, -127]


def test_a_channel_of_zeros_stays_zeros() -> None:
    zeros = np.zeros((3, 2), np.float32)
    assert (scales_of(zeros, 1) > 0).all()
    assert not rounded(zeros, scales_of(zeros, 1), 1).any()


def test_scales_stand_along_their_axis() -> None:
    assert along(np.ones(5, np.float32), 0, 4).shape == (5, 1, 1, 1)
    assert along(np.ones(5, np.float32), 1, 3).shape == (1, 5, 1)


@pytest.mark.parametrize(("low", "high", "zero"), [(-1.0, 1.55, 100), (0.5, 2.55, 0), (-2.55, -1.0, 255)])
def test_an_activation_holds_zero_exactly(low: float, high: float, zero: int) -> None:
    scale, point = uint8_scale(Range(low, high))
    assert scale == pytest.approx(0.01)
    assert (scale.dtype, point.dtype, int(point)) == (np.float32, np.uint8, zero)


def test_a_bias_far_beyond_its_weights_fits_into_int32() -> None:
    bias, scales = np.array([1.0, 1.0], np.float32), np.array([1e-12, 0.01], np.float32)
    raised = wide_enough(scales, np.float32(0.01), bias)
    assert raised[1] == scales[1]
    steps = rounded_bias(bias, raised * np.float32(0.01))
    assert steps.dtype == np.int32
    np.testing.assert_allclose(steps * (raised * 0.01), bias, rtol=1e-4)
