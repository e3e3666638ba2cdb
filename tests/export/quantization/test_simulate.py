"""Programs run in another precision, against networks that were rounded by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from small_artifacts import small_net, small_spec
from small_models import two_inputs
from torch import Tensor, nn

from edgevit.spec import ModelSpec
from export.int8.record import Scheme
from export.pipeline import optimize
from export.program import capture
from export.quantization.assign import quantized
from export.quantization.calibration import CalibrationImages, digests_of
from export.quantization.simulate import simulated
from export.recipe import Format, Optimize, Precision, Recipe
from export.stimuli import Samples, make_samples


def eager(model: nn.Module, spec: ModelSpec, samples: Samples) -> dict[str, np.ndarray]:
    """By output name, sample by sample, what ``model`` answers."""
    rows = []
    for row in range(len(samples.labels)):
        answer = model(*(torch.from_numpy(samples.arrays[tensor.name][row : row + 1]) for tensor in spec.inputs))
        rows.append(answer if isinstance(answer, tuple) else (answer,))
    return {
        tensor.name: torch.cat([row[k] for row in rows]).detach().double().numpy()
        for k, tensor in enumerate(spec.outputs)
    }


def in_half(model: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers have the values of half precision, all of them."""
    rounded = copy.deepcopy(model)
    for tensor in (*rounded.parameters(), *rounded.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half().float()
    return rounded


@pytest.mark.parametrize("make", [two_inputs, lambda: (small_net(), small_spec())])
def test_every_constant_is_in_half_precision_those_inside_of_modules_too(make: object) -> None:
    model, spec = make()  # type: ignore[operator]
    if hasattr(model, "blocks"):  # a batch norm is not a constant of its own in torch's capture
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean, module.running_var = module.running_mean.half().float(), module.running_var.half()
                module.running_var = module.running_var.float()
    recipe = Recipe(format=Format.PTL, precision=Precision.FP16, optimize=Optimize.NONE)
    samples = make_samples(spec)
    seen = simulated(optimize(capture(model, spec), recipe), recipe, samples)
    expected, plain = eager(in_half(model), spec, samples), eager(model, spec, samples)
    for name, values in expected.items():
        scale = np.abs(plain[name] - values).max()
        assert scale > 0
        np.testing.assert_allclose(seen[name], values, atol=scale / 10)


class Pair(nn.Module):
    """Two products with what is no layer between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 40), nn.Linear(40, 7)

    def forward(self, image: Tensor) -> Tensor:
        rows: Tensor = image.reshape(image.shape[0], -1)[:, :12]
        answer: Tensor = self.second(self.first(rows).relu())
        return answer


def rounded_rows(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """256 values from ``low`` to ``high``, zero among them; written out."""
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = np.maximum((high - low) / 255, 1e-12)
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale


def int8_weights(weight: Tensor) -> np.ndarray:
    values = weight.detach().double().numpy()
    scale = np.abs(values).max(1, keepdims=True) / 127
    return np.rint(values / scale) * scale


def by_hand(model: Pair, rows: np.ndarray) -> np.ndarray:
    """The network in int8 with run-time ranges row by row, by numpy in float64: ``(count, 7)``."""
    value = rows.astype(np.float64)
    for layer in (model.first, model.second):
        value = np.maximum(value, 0) if layer is model.second else value
        value = rounded_rows(value, value.min(1, keepdims=True), value.max(1, keepdims=True))
        value = value @ int8_weights(layer.weight).T + layer.bias.detach().double().numpy()
    return value


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(5)
    return Pair().eval()


def test_dynamic_int8_is_what_numpy_computes_row_by_row(pair: Pair) -> None:
    spec, recipe = small_spec(), Recipe(format=Format.TFLITE, precision=Precision.INT8)
    samples = make_samples(spec)
    program = quantized(capture(pair, spec), recipe, None)
    assert program.quantization is not None
    assert [layer.scheme for layer in program.quantization.layers.values()] == [Scheme.DYNAMIC] * 2
    seen = simulated(program, recipe, samples)["logits"]
    rows = samples.arrays["image"].reshape(len(samples.labels), -1)[:, :12]
    expected, plain = by_hand(pair, rows), eager(pair, spec, samples)["logits"]
    lost = np.abs(expected - plain).max()
    assert np.median(np.abs(seen - expected)) < lost / 100, "but for a rare tie in rounding"
    assert np.abs(seen - plain).max() > lost / 3


def test_static_int8_is_what_numpy_computes_with_ranges_over_all_images(pair: Pair) -> None:
    spec, generator = small_spec(), np.random.default_rng(1)
    images = generator.normal(size=(64, 3, 16, 16)).astype(np.float32)
    calibration = Samples(tuple(f"image-{k}" for k in range(64)), {"image": images})
    chosen = CalibrationImages(calibration, digests_of(calibration))
    recipe = Recipe(format=Format.TFLITE, precision=Precision.INT8, calibration=chosen.record)
    program = quantized(capture(pair, spec), recipe, chosen)
    assert program.quantization is not None
    schemes = {layer.module: layer.scheme for layer in program.quantization.layers.values()}
    assert schemes == {"first": Scheme.STATIC, "second": Scheme.DYNAMIC}, "the answer itself has no fixed range"
    rows = images.reshape(64, -1)[:, :12]
    first = eager(pair.first, spec, Samples(calibration.labels, {"image": rows}))["logits"]
    hidden = rounded_rows(by_first(pair, rows), 0.0, first.max())  # its activation leaves nothing below zero
    expected = rounded_rows(hidden, hidden.min(1, keepdims=True), hidden.max(1, keepdims=True))
    expected = expected @ int8_weights(pair.second.weight).T + pair.second.bias.detach().double().numpy()
    seen = simulated(program, recipe, calibration)["logits"]
    plain = eager(pair, spec, calibration)["logits"]
    lost = np.abs(expected - plain).max()
    assert np.median(np.abs(seen - expected)) < lost / 100
    assert np.abs(seen - plain).max() > lost / 3


def by_first(model: Pair, rows: np.ndarray) -> np.ndarray:
    """The first product on inputs of one fixed range."""
    value = rounded_rows(rows.astype(np.float64), rows.min(), rows.max())
    return np.asarray(value @ int8_weights(model.first.weight).T + model.first.bias.detach().double().numpy())
