"""Floats as 8 bits: weights with a scale for each output, activations with one scale and a zero point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.int8.plan import Range
from export.quantization.numbers import WEIGHT_STEPS, activation_scale, weight_scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BIAS_MOST = 2.0**30
"""Chosen: half of what the int32 of a bias holds, so that the sum with its product does not overflow."""


def scales_of(weights: Floats, axis: int | None) -> Floats:
    """The scale of each output: ``(outputs,) float32``, or ``() float32`` where there is one, without an ``axis``."""
    import torch

    rows = weights.reshape(1, -1) if axis is None else np.moveaxis(weights, axis, 0)
    scales = weight_scales(torch.from_numpy(rows.copy()), 0).numpy()
    return scales.reshape(()) if axis is None else scales


def rounded(weights: Floats, scales: Floats, axis: int | None) -> NDArray[np.int8]:
    """``weights`` in steps of their outputs' scales, halves to even."""
    steps = np.rint(weights / along(scales, axis, weights.ndim)).clip(-WEIGHT_STEPS, WEIGHT_STEPS)
    return np.asarray(steps, np.int8)


def along(scales: Floats, axis: int | None, rank: int) -> Floats:
    """``scales`` in a shape that multiplies ``axis`` of a tensor of ``rank``."""
    return scales if axis is None else scales.reshape([-1 if k == axis else 1 for k in range(rank)])


def uint8_scale(found: Range) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of an activation with that range."""
    scale, zero = activation_scale(found)
    return np.float32(scale), np.uint8(zero)


def wide_enough(scales: Floats, activation: np.float32, bias: Floats) -> Floats:
    """``scales`` of weights, raised where the bias in steps of both scales would not fit into int32.

    That takes a bias 10^5 times as large as any product with it, which loses nothing by coarser weights.

    Args:
        scales: ``(outputs,)``.
        activation: The scale of what the weights are multiplied with.
        bias: ``(outputs,)``.
    """
    least = np.abs(bias.astype(np.float64)) / (float(activation) * BIAS_MOST)
    return np.maximum(scales, least).astype(np.float32)


def rounded_bias(bias: Floats, scales: Floats) -> NDArray[np.int32]:
    """``bias`` in steps of ``scales``, those of the product."""
    return np.asarray(np.rint(bias.astype(np.float64) / scales), np.int32)
