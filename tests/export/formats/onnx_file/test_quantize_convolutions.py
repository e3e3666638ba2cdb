"""Static convolutions in ONNX files: between roundings, whole numbers as by hand, and int8 from one to the next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from int8_plans import planned
from pass_rig import Lambda
from small_models import spec_of
from torch import Tensor, nn
from torch.nn import functional

from edgevit.spec import TensorSpec
from export.formats.onnx_file.write import write
from export.int8.record import LayerKind, Scheme
from export.program import Program, capture
from export.recipe import Format, Precision, Recipe

INT8 = Recipe(format=Format.ONNX, precision=Precision.INT8)
STATIC = dict.fromkeys((LayerKind.CONV, LayerKind.DEPTHWISE, LayerKind.LINEAR), Scheme.STATIC)


def captured(model: nn.Module, *shape: int) -> Program:
    with torch.no_grad():
        result = tuple(model.eval()(torch.zeros(shape)).shape)
    return capture(model, spec_of("net", (TensorSpec(name="x", shape=shape),), (TensorSpec(name="y", shape=result),)))


def feeds(count: int, *shape: int) -> tuple[tuple[Tensor, ...], ...]:
    made = torch.Generator().manual_seed(7)
    return tuple((torch.randn(shape, generator=made),) for _ in range(count))


def loaded(path: Path, image: Tensor) -> tuple[np.ndarray, Counter[str]]:
    """The answer, and what ONNX Runtime computes instead of the file's operators."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path.with_suffix(".loaded.onnx"))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(path.with_suffix(".loaded.onnx")).graph
    return session.run(None, {"x": image.numpy()})[0], Counter(node.op_type for node in graph.node)


def steps(value: np.ndarray, low: float, high: float) -> tuple[np.ndarray, float]:
    """Whole numbers from -zero to 255 - zero, and their scale."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    return np.clip(np.rint(value / scale) + zero, 0, 255) - zero, scale


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 4, 9, 7), (2, 4, 9)])
def test_a_convolution_is_that_of_whole_numbers(tmp_path: Path, shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(3)
    kind = nn.Conv2d if len(shape) == 4 else nn.Conv1d
    layer = kind(4, 6, 3, stride=2, padding=1, bias=bias)
    ((image,),) = feeds(1, *shape)
    write(planned(captured(nn.Sequential(layer), *shape), STATIC, ((image,),)), INT8, tmp_path / "m.onnx")
    seen, operators = loaded(tmp_path / "m.onnx", image)
    assert operators["QLinearConv"] == 1, operators

    weight = layer.weight.detach().double().numpy()
    scales = np.abs(weight).max(tuple(range(1, weight.ndim)), keepdims=True) / 127
    taken, scale = steps(image.double().numpy(), float(image.min()), float(image.max()))
    whole = functional.conv2d if len(shape) == 4 else functional.conv1d
    product = whole(torch.from_numpy(taken), torch.from_numpy(np.rint(weight / scales)), stride=2, padding=1).numpy()
    result = product * scale * scales.reshape(1, -1, *[1] * (len(shape) - 2))
    if layer.bias is not None:
        result += layer.bias.detach().numpy().reshape(1, -1, *[1] * (len(shape) - 2))
    exact = layer(image).detach().numpy()
    expected, unit = steps(result, float(exact.min()), float(exact.max()))
    np.testing.assert_allclose(seen / unit, expected, atol=1.01)  # a step where a half is rounded the other way
    assert np.mean(np.abs(seen / unit - expected) > 0.01) < 0.02
    assert not np.allclose(exact / unit, expected, atol=0.3), "which is not what floats give"


def inverted(clamp: object) -> nn.Module:
    """Pointwise, depthwise and pointwise with an activation between them, and the sum with what came in."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        answer: Tensor = x + m["narrow"](clamp(m["depthwise"](clamp(m["wide"](x)))))  # type: ignore[operator]
        return answer

    torch.manual_seed(0)
    return Lambda(
        forward,
        wide=nn.Conv2d(8, 32, 1),
        depthwise=nn.Conv2d(32, 32, 3, padding=1, groups=32),
        narrow=nn.Conv2d(32, 8, 1),
    )


@pytest.mark.parametrize(
    "clamp", [functional.relu, functional.relu6, lambda x: functional.hardtanh(x, -0.25, 0.5), lambda x: x.clamp(min=0)]
)
def test_int8_passes_from_one_convolution_to_the_next(tmp_path: Path, clamp: object) -> None:
    model, shape = inverted(clamp), (1, 8, 10, 10)
    program = planned(captured(model, *shape), STATIC, feeds(8, *shape))
    write(program, INT8, tmp_path / "m.onnx")
    written = Counter(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
    assert not written["Relu"] + written["Clip"] + written["Max"], "a rounding cuts off already"
    ((image,),) = feeds(1, *shape)
    seen, operators = loaded(tmp_path / "m.onnx", image)
    assert operators["QLinearConv"] == 3, operators
    assert operators["QuantizeLinear"] + operators["DequantizeLinear"] == 2, operators
    exact = model(image).detach().numpy()
    assert 10 * np.log10(np.square(exact).sum() / np.square(seen - exact).sum()) > 30


def test_an_activation_that_does_not_let_zero_through_stays(tmp_path: Path) -> None:
    model, shape = inverted(lambda x: x.clamp(0.5, 2.0)), (1, 8, 10, 10)
    write(planned(captured(model, *shape), STATIC, feeds(8, *shape)), INT8, tmp_path / "m.onnx")
    ((image,),) = feeds(1, *shape)
    exact = model(image).detach().numpy()
    seen, _ = loaded(tmp_path / "m.onnx", image)
    assert 10 * np.log10(np.square(exact).sum() / np.square(seen - exact).sum()) > 30


def test_what_others_read_is_not_lost(tmp_path: Path) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        x = functional.relu(m["first"](x))
        y = m["second"](x)
        answer: Tensor = functional.gelu(x) + functional.relu(y) * y
        return answer

    torch.manual_seed(0)
    model, shape = Lambda(forward, first=nn.Conv2d(4, 4, 3, padding=1), second=nn.Conv2d(4, 4, 1)), (1, 4, 8, 8)
    write(planned(captured(model, *shape), STATIC, feeds(8, *shape)), INT8, tmp_path / "m.onnx")
    ((image,),) = feeds(1, *shape)
    seen, operators = loaded(tmp_path / "m.onnx", image)
    exact = model(image).detach().numpy()
    assert 10 * np.log10(np.square(exact).sum() / np.square(seen - exact).sum()) > 30
    assert operators["QLinearConv"] == 2


def test_a_bias_that_int32_could_not_hold_costs_only_its_own_channel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, shape = nn.Conv2d(3, 4, 3), (1, 3, 8, 8)
    with torch.no_grad():
        layer.weight[1] *= 1e-9
        layer.bias[1] = 2.0
    ((image,),) = feeds(1, *shape)
    write(planned(captured(nn.Sequential(layer), *shape), STATIC, ((image,),)), INT8, tmp_path / "m.onnx")
    seen, _ = loaded(tmp_path / "m.onnx", image)
    np.testing.assert_allclose(seen, layer(image).detach().numpy(), atol=0.05)


def test_a_computed_bias_is_an_error_that_names_the_layer(tmp_path: Path) -> None:
    from edgevit.errors import ExportError

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return functional.conv2d(x, m["first"].weight, x.mean((0, 2, 3)))

    model, shape = Lambda(forward, first=nn.Conv2d(4, 4, 3)), (1, 4, 8, 8)
    program = planned(captured(model, *shape), STATIC, feeds(2, *shape))
    with pytest.raises(ExportError, match="its bias is computed"):
        write(program, INT8, tmp_path / "m.onnx")
