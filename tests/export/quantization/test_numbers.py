"""Rounding to int8, against torch's own observers, ONNX Runtime's operator, and plain loops."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver

from export.int8.plan import Range
from export.quantization.numbers import (
    activation_scale,
    rounded_activation,
    rounded_as_it_comes,
    rounded_weight,
    weight_scales,
)


def noise(*shape: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_rounded_as_torch_does_it_channel_by_channel(axis: int) -> None:
    weight = noise(6, 5, 3, 3) * torch.logspace(-3, 3, 6).reshape(6, 1, 1, 1)
    observer = PerChannelMinMaxObserver(
        ch_axis=axis, dtype=torch.qint8, qscheme=torch.per_channel_symmetric, quant_min=-127, quant_max=127
    )
    observer(weight)
    scale, zero = observer.calculate_qparams()
    expected = torch.fake_quantize_per_channel_affine(weight, scale, zero.int(), axis, -127, 127)
    torch.testing.assert_close(weight_scales(weight, axis), scale)
    torch.testing.assert_close(rounded_weight(weight, axis), expected)
    assert (rounded_weight(weight, axis) - weight).abs().max() > 0


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = noise(4, 8)
    weight[2] = 0
    rounded = rounded_weight(weight, 0)
    assert torch.isfinite(rounded).all()
    assert not rounded[2].any() and rounded[1].any()


@pytest.mark.parametrize(("shift", "name"), [(0.0, "both signs"), (9.0, "all above zero"), (-9.0, "all below zero")])
def test_fixed_ranges_round_as_torchs_observer_does(shift: float, name: str) -> None:
    value = noise(50, 40, shift=shift)
    observer = MinMaxObserver(dtype=torch.quint8, qscheme=torch.per_tensor_affine)
    observer(value)
    scale, zero = observer.calculate_qparams()
    expected = torch.fake_quantize_per_tensor_affine(value, scale, zero.int(), 0, 255)
    found = Range(float(value.min()), float(value.max()))
    assert activation_scale(found) == (pytest.approx(float(scale)), int(zero)), name
    torch.testing.assert_close(rounded_activation(value, found), expected)


def test_zero_is_exact_and_what_is_beyond_a_range_is_cut_off() -> None:
    value = torch.tensor([-100.0, 0.0, 100.0])
    rounded = rounded_activation(value, Range(-1.0, 3.0))
    assert rounded[1] == 0
    assert rounded[0] == pytest.approx(-1.0, abs=4 / 255) and rounded[2] == pytest.approx(3.0, abs=4 / 255)


def test_an_activation_that_never_leaves_zero_stays_zero() -> None:
    zeros = torch.zeros(3, 4)
    assert not rounded_activation(zeros, Range(0.0, 0.0)).any()
    assert not rounded_as_it_comes(zeros, rows=1).any()


@pytest.mark.parametrize("found", [Range(-math.inf, 1.0), Range(0.0, math.inf), Range(math.nan, math.nan)])
def test_a_range_without_end_leaves_no_numbers(found: Range) -> None:
    assert rounded_activation(torch.ones(3), found).isnan().all()


def quantised_by_onnx(value: np.ndarray) -> np.ndarray:
    """``value`` through ``DynamicQuantizeLinear``, and back by hand."""
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.UINT8, list(value.shape)),
        helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        helper.make_tensor_value_info("zero", TensorProto.UINT8, []),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(value.shape))
    model = helper.make_model(
        helper.make_graph([node], "one", [given], outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(model)
    y, scale, zero = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": value})
    return (y.astype(np.float32) - zero.astype(np.float32)) * scale


@pytest.mark.parametrize("shift", [0.0, 4.0, -4.0])
def test_run_time_ranges_of_a_whole_tensor_round_as_onnx_runtime_does(shift: float) -> None:
    value = noise(30, 20, shift=shift)
    expected = quantised_by_onnx(value.numpy())
    np.testing.assert_allclose(rounded_as_it_comes(value, rows=0).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("shape", "rows"), [((7, 11), 1), ((2, 5, 11), 2), ((3, 4, 6, 6), 1)])
def test_run_time_ranges_of_rows_are_those_of_each_row_alone(shape: tuple[int, ...], rows: int) -> None:
    value = noise(*shape) * torch.logspace(0, 4, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    expected = np.empty(shape, np.float32)
    for place in np.ndindex(*shape[:rows]):
        block = value[place].numpy()
        expected[place] = quantised_by_onnx(block.reshape(1, -1)).reshape(block.shape)
    seen = rounded_as_it_comes(value, rows=rows).numpy()
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(rounded_as_it_comes(value, rows=0).numpy() - seen).max() > 1, "one range for all is another thing"
