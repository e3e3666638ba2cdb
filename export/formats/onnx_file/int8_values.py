"""Floats as 8 bits: weights with a scale for each output, activations with one scale and a zero point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.quantization.plan import Range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

INT8_MOST, UINT8_MOST = 127, 255
BIAS_MOST = 2.0**30
"""Chosen: half of what the int32 of a bias holds, so that the sum with its product does not overflow."""


def weight_scales(weights: Floats, axis: int | None) -> Floats:
    """The scale of each output, for values between -127 and 127.

    Args:
        weights: Any shape.
        axis: That of the outputs; None for one output.

    Returns:
        ``(outputs,) float32``, or ``() float32`` for one.
    """
    others = tuple(k for k in range(weights.ndim) if axis is None or k != axis % weights.ndim)
    most = np.abs(weights).max(axis=others)
    return np.asarray(np.where(most > 0, most / INT8_MOST, 1), np.float32)


def rounded(weights: Floats, scales: Floats, axis: int | None) -> NDArray[np.int8]:
    """``weights`` in steps of their outputs' scales, halves to even."""
    steps = np.rint(weights / along(scales, axis, weights.ndim))
    return steps.clip(-INT8_MOST, INT8_MOST).astype(np.int8)


def along(scales: Floats, axis: int | None, rank: int) -> Floats:
    """``scales`` in a shape that multiplies ``axis`` of a tensor of ``rank``."""
    if axis is None:
        return scales
    return scales.reshape([-1 if k == axis % rank else 1 for k in range(rank)])


def activation_scale(found: Range) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of an activation as uint8; its range is widened to hold 0 exactly."""
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    scale = np.float32((high - low) / UINT8_MOST) or np.float32(1)
    return scale, np.uint8(np.rint(-low / scale).clip(0, UINT8_MOST))


def wide_enough(scales: Floats, activation: np.float32, bias: Floats) -> Floats:
    """``scales`` of weights, raised where the bias in steps of both scales would not fit into int32.

    That needs a bias some 10^7 times as large as the largest product, which loses nothing by it.
    """
    least = np.abs(bias).reshape(-1) / (np.float64(activation) * BIAS_MOST)
    return np.maximum(scales, least).astype(np.float32)


def rounded_bias(bias: Floats, scales: Floats) -> NDArray[np.int32]:
    """A bias in steps of ``scales``, those of the product."""
    return np.rint(bias.astype(np.float64) / scales).astype(np.int32)
