"""int8 as every runtime here counts it, in float: what a tensor is after it was rounded to 256 values.

Weights: symmetric, -127 to 127, one scale for each output channel. Activations: asymmetric, 256 values from the least
to the largest value, zero among them exactly (Jacob et al., Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference, 2018, section 2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from export.int8.plan import Range

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT_STEPS = 127
ACTIVATION_STEPS = 255
SMALLEST_SCALE = 2.0**-24
"""Chosen: a float16 subnormal; an activation that never leaves zero has no range, and no runtime divides by zero."""


def weight_scales(weight: Tensor, axis: int) -> Tensor:
    """``(channels,) float32``: the scale of each channel along ``axis`` of ``weight``."""
    others = [other for other in range(weight.dim()) if other != axis]
    largest = weight.detach().abs().float()
    largest = largest.amax(others) if others else largest
    return (largest / WEIGHT_STEPS).clamp_min(SMALLEST_SCALE)


def rounded_weight(weight: Tensor, axis: int) -> Tensor:
    """``weight`` in float, each channel along ``axis`` rounded to its 255 values."""
    return rounded_steps(weight, axis) * _along(weight, axis)


def rounded_steps(weight: Tensor, axis: int) -> Tensor:
    """``weight`` in steps of each channel's scale along ``axis``: whole numbers from -127 to 127, in float."""
    return (weight / _along(weight, axis)).round().clamp(-WEIGHT_STEPS, WEIGHT_STEPS)


def _along(weight: Tensor, axis: int) -> Tensor:
    """The scales of ``weight`` in a shape that multiplies ``axis``."""
    shape = [-1 if other == axis else 1 for other in range(weight.dim())]
    return weight_scales(weight, axis).to(weight.dtype).reshape(shape)


def activation_scale(found: Range) -> tuple[float, int]:
    """Scale and zero point, 0 to 255, of an activation with that range."""
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    scale = max((high - low) / ACTIVATION_STEPS, SMALLEST_SCALE)
    return scale, min(max(round(-low / scale), 0), ACTIVATION_STEPS)


def rounded_activation(value: Tensor, found: Range) -> Tensor:
    """``value`` of any shape, rounded to the 256 values of a fixed range and cut off at its ends.

    NaN for a range without end: no step is fine enough, and none is a number.
    """
    if not math.isfinite(found.high - found.low):
        return torch.full_like(value, math.nan)
    scale, zero = activation_scale(found)
    return torch.fake_quantize_per_tensor_affine(value, scale, zero, 0, ACTIVATION_STEPS)


def rounded_as_it_comes(value: Tensor, *, rows: int) -> Tensor:
    """``value`` rounded to 256 values of its own range: of each block along its first ``rows`` axes, 0 for all."""
    axes = list(range(rows, value.dim())) or [value.dim() - 1]
    low, high = value.amin(axes, keepdim=True).clamp_max(0), value.amax(axes, keepdim=True).clamp_min(0)
    scale = ((high - low) / ACTIVATION_STEPS).clamp_min(SMALLEST_SCALE)
    zero = (-low / scale).round()
    return ((value / scale).round() + zero).clamp(0, ACTIVATION_STEPS).sub(zero) * scale
