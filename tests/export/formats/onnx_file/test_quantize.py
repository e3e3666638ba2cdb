"""int8 in ONNX files: exactly the planned layers, computed in int8 by the runtime, as integers come out by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgevit_tiny import tiny
from int8_plans import planned
from onnx import numpy_helper
from small_models import conv_net, spec_of
from torch import Tensor, nn

from edgevit.errors import ExportError
from edgevit.network.model import EdgeViT
from edgevit.spec import TensorSpec
from export.dynamic_batch import with_dynamic_batch
from export.formats.onnx_file.read import read
from export.formats.onnx_file.write import write
from export.int8.record import LayerKind, Scheme
from export.pipeline import optimize
from export.program import Program, capture
from export.recipe import Format, Optimize, Precision, Recipe

INT8 = Recipe(format=Format.ONNX, precision=Precision.INT8)
DYNAMIC = {LayerKind.LINEAR: Scheme.DYNAMIC, LayerKind.CONV: Scheme.WEIGHTS}
STATIC = {LayerKind.LINEAR: Scheme.STATIC, LayerKind.CONV: Scheme.WEIGHTS}
IN_INT8 = {"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QGemm", "QLinearMatMul"}
"""ONNX Runtime's own names of what it makes of the standard operators when it loads a file."""


def opened(path: Path, loaded: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if loaded:
        options.optimized_model_filepath = str(loaded)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, images: Tensor) -> np.ndarray:
    session = opened(path)
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]


def loaded_operators(path: Path) -> Counter[str]:
    """What ONNX Runtime computes instead of the file's operators."""
    opened(path, path.with_suffix(".loaded.onnx"))
    return Counter(node.op_type for node in onnx.load(path.with_suffix(".loaded.onnx")).graph.node)


def edgevit(recipe: Recipe) -> Program:
    torch.manual_seed(0)
    image = TensorSpec(name="image", shape=(1, 3, 64, 64))
    spec = spec_of("tiny", (image,), (TensorSpec(name="logits", shape=(1, 1000)),))
    return optimize(capture(EdgeViT(tiny()).eval(), spec), recipe)


def images(count: int, *shape: int) -> tuple[tuple[Tensor, ...], ...]:
    made = torch.Generator().manual_seed(7)
    return tuple((torch.randn(1, *shape, generator=made),) for _ in range(count))


def sqnr_db(seen: np.ndarray, expected: np.ndarray) -> float:
    return 10 * np.log10(np.square(expected).sum() / np.square(seen - expected).sum())


class Line(nn.Module):
    """One product whose inputs and weights are known."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


def line(*leading: int, bias: bool = True) -> tuple[Line, Program]:
    torch.manual_seed(3)
    model = Line(bias).eval()
    shapes = ((*leading, 6), (*leading, 4))
    specs = (TensorSpec(name=name, shape=shape) for name, shape in zip("xy", shapes, strict=True))
    x, y = specs
    return model, capture(model, spec_of("line", (x,), (y,)))


def by_hand(model: Line, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Whole numbers times two scales, as ONNX's DynamicQuantizeLinear and MatMulInteger are defined."""
    weight = model.fc.weight.detach().numpy()
    scales = np.abs(weight).max(1) / 127
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    steps = np.clip(np.rint(x / scale) + zero, 0, 255) - zero
    product = steps @ np.rint(weight / scales[:, None]).T * (scale * scales)
    return product if model.fc.bias is None else product + model.fc.bias.detach().numpy()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(3,), (2, 3), (2, 3, 5)])
@pytest.mark.parametrize("scheme", [Scheme.DYNAMIC, Scheme.STATIC])
def test_a_product_is_that_of_whole_numbers(
    tmp_path: Path, scheme: Scheme, leading: tuple[int, ...], bias: bool
) -> None:
    model, program = line(*leading, bias=bias)
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 3, (*leading, 6)).astype(np.float32))
    program = planned(program, {LayerKind.LINEAR: scheme}, ((x,),) if scheme is Scheme.STATIC else ())
    write(program, INT8, tmp_path / "m.onnx")
    expected = by_hand(model, x.numpy(), float(x.min()), float(x.max()))
    step = float(x.max() - x.min()) / 255 * float(model.fc.weight.detach().abs().max()) / 127
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x), expected, atol=step, rtol=1e-5)
    assert np.abs(expected - model(x).detach().numpy()).max() > 3 * step, "which is not what floats give"
    assert not IN_INT8.isdisjoint(loaded_operators(tmp_path / "m.onnx"))


def test_static_ranges_cut_off_what_lies_beyond(tmp_path: Path) -> None:
    model, program = line(3)
    narrow = torch.linspace(-0.5, 0.5, 18).reshape(3, 6)
    write(planned(program, {LayerKind.LINEAR: Scheme.STATIC}, ((narrow,),)), INT8, tmp_path / "m.onnx")
    seen = run(tmp_path / "m.onnx", 10 * narrow)
    np.testing.assert_allclose(seen, model((10 * narrow).clamp(-0.5, 0.5)).detach().numpy(), atol=0.02)


@pytest.mark.parametrize(
    ("schemes", "opset"),
    [*((DYNAMIC, opset) for opset in (11, 12, 13, 17, 19, 20)), *((STATIC, opset) for opset in (13, 17, 19, 20))],
)
def test_every_opset_runs(tmp_path: Path, schemes: dict[LayerKind, Scheme], opset: int) -> None:
    model, spec = conv_net()
    feeds = images(4, 3, 32, 32) if schemes is STATIC else ()
    program, path = planned(capture(model, spec), schemes, feeds), tmp_path / "m.onnx"
    recipe = Recipe(format=Format.ONNX, precision=Precision.INT8, opset=opset)
    write(program, recipe, path)
    ((image,),) = images(1, 3, 32, 32)
    assert sqnr_db(run(path, image), model(image).detach().numpy()) > 35
    facts = read(path)
    assert facts.weights["int8"] >= 8 * 3 * 3 * 3 + 8 * 8 * 8 * 10
    assert all(operator.standard and operator.since for operator in facts.operators)
    assert max(operator.version or 0 for operator in facts.operators) <= opset


@pytest.mark.parametrize("schemes", [DYNAMIC, STATIC], ids=["dynamic", "static"])
@pytest.mark.parametrize("optimised", list(Optimize))
def test_all_planned_layers_of_an_edgevit_are_int8(
    tmp_path: Path, schemes: dict[LayerKind, Scheme], optimised: Optimize
) -> None:
    recipe = Recipe(format=Format.ONNX, precision=Precision.INT8, optimize=optimised)
    float_program, path = edgevit(recipe), tmp_path / "m.onnx"
    feeds = images(8, 3, 64, 64) if schemes is STATIC else ()
    program = planned(float_program, schemes, feeds)
    write(program, recipe, path)
    assert program.quantization is not None
    layers = program.quantization.layers.values()
    products = [layer for layer in layers if layer.kind is LayerKind.LINEAR]
    widened = [layer for layer in layers if layer.kind is LayerKind.CONV]
    assert len(products) > 15
    loaded = loaded_operators(path)
    assert sum(loaded[name] for name in IN_INT8) == len(products), loaded
    assert not loaded["DequantizeLinear"]
    weights = Counter(
        numpy_helper.to_array(tensor).size
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.endswith("weight_int8")
    )
    assert weights == Counter(layer.weights for layer in (*products, *widened))
    ((image,),) = images(1, 3, 64, 64)
    with torch.no_grad():
        assert sqnr_db(run(path, image), float_program.module(image).numpy()) > 25


@pytest.mark.parametrize("schemes", [DYNAMIC, STATIC], ids=["dynamic", "static"])
def test_a_free_batch_runs_at_other_batches(tmp_path: Path, schemes: dict[LayerKind, Scheme]) -> None:
    program = planned(edgevit(INT8), schemes, images(8, 3, 64, 64))
    free = with_dynamic_batch(program)
    write(free, INT8, tmp_path / "m.onnx")
    for batch in (1, 3):
        many = torch.cat([image for (image,) in images(batch, 3, 64, 64)])
        with torch.no_grad():
            expected = np.concatenate([program.module(image[None]).numpy() for image in many])
        assert sqnr_db(run(tmp_path / "m.onnx", many), expected) > 25


class Shared(nn.Module):
    """A product that a sum and a later product read, and two that read one activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left, self.right = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x + self.left(x) * self.right(x)


@pytest.mark.parametrize("scheme", [Scheme.DYNAMIC, Scheme.STATIC])
def test_layers_that_share_activations_are_all_int8(tmp_path: Path, scheme: Scheme) -> None:
    torch.manual_seed(0)
    model, shape = Shared().eval(), (24, 16)
    spec = spec_of("shared", (TensorSpec(name="x", shape=shape),), (TensorSpec(name="y", shape=shape),))
    x = torch.randn(shape)
    program = planned(capture(model, spec), {LayerKind.LINEAR: scheme}, ((x,),))
    write(program, INT8, tmp_path / "m.onnx")
    roundings = {node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node if "QuantizeL" in node.op_type}
    count = Counter(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
    assert sum(count[name] for name in roundings if not name.startswith("Deq")) == 2
    assert sum(loaded_operators(tmp_path / "m.onnx")[name] for name in IN_INT8) == 3
    assert sqnr_db(run(tmp_path / "m.onnx", x), model(x).detach().numpy()) > 30


class Sums(nn.Module):
    """Products with factors of their own, spelled so that ONNX keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.scaled, self.turned, self.plain = (nn.Parameter(torch.randn(5, 7)) for _ in range(3))
        self.bias = nn.Parameter(torch.randn(7))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scaled = torch.addmm(self.bias, x, self.scaled, beta=0.5, alpha=2.0)
        turned = torch.addmm(self.bias, x.reshape(5, 4).t(), self.turned)
        return scaled + torch.addmm(y, x, self.plain) + turned


@pytest.mark.parametrize("scheme", [Scheme.DYNAMIC, Scheme.STATIC])
def test_factors_and_computed_biases_are_kept(tmp_path: Path, scheme: Scheme) -> None:
    torch.manual_seed(0)
    model, inputs = Sums().eval(), (torch.randn(4, 5), torch.randn(4, 7))
    specs = [TensorSpec(name=name, shape=shape) for name, shape in (("x", (4, 5)), ("y", (4, 7)), ("z", (4, 7)))]
    captured = capture(model, spec_of("sums", tuple(specs[:2]), (specs[2],)))
    program = planned(captured, {LayerKind.LINEAR: scheme}, (inputs,))
    write(program, INT8, tmp_path / "m.onnx")
    feeds = {tensor.name: value.numpy() for tensor, value in zip(specs[:2], inputs, strict=True)}
    seen = opened(tmp_path / "m.onnx").run(None, feeds)[0]
    assert sqnr_db(seen, model(*inputs).detach().numpy()) > 35
    assert sum(loaded_operators(tmp_path / "m.onnx")[name] for name in IN_INT8) == 3


class Convolutions(nn.Module):
    """Every kind of convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = nn.Conv2d(3, 8, 3)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.back = nn.ConvTranspose2d(8, 4, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.depthwise(self.grouped(self.whole(x))))


def convolutions(schemes: dict[LayerKind, Scheme]) -> tuple[Convolutions, Program]:
    torch.manual_seed(0)
    model = Convolutions().eval()
    specs = TensorSpec(name="x", shape=(1, 3, 16, 16)), TensorSpec(name="y", shape=(1, 4, 20, 20))
    return model, planned(capture(model, spec_of("convolutions", specs[:1], specs[1:])), schemes, images(2, 3, 16, 16))


def test_weights_of_convolutions_are_rounded_and_widened_on_loading(tmp_path: Path) -> None:
    kinds = (LayerKind.CONV, LayerKind.GROUPED, LayerKind.TRANSPOSED)
    model, program = convolutions(dict.fromkeys(kinds, Scheme.WEIGHTS))
    write(program, INT8, tmp_path / "m.onnx")
    assert read(tmp_path / "m.onnx").weights["int8"] == 8 * 3 * 9 + 8 * 4 * 9 + 8 * 4 * 4
    rounded = {"whole": (1, 2, 3), "grouped": (1, 2, 3), "back": (0, 2, 3)}
    with torch.no_grad():
        for name, axes in rounded.items():
            weight = getattr(model, name).weight
            scale = weight.abs().amax(axes, keepdim=True) / 127
            weight.copy_((weight / scale).round() * scale)
        ((image,),) = images(1, 3, 16, 16)
        np.testing.assert_allclose(run(tmp_path / "m.onnx", image), model(image).numpy(), rtol=1e-3, atol=1e-5)
    assert set(loaded_operators(tmp_path / "m.onnx")) <= {"Conv", "ConvTranspose"}


@pytest.mark.parametrize(
    ("kind", "scheme", "words"),
    [
        (LayerKind.GROUPED, Scheme.DYNAMIC, "grouped: ONNX has no dynamic int8 form of Conv"),
        (LayerKind.TRANSPOSED, Scheme.DYNAMIC, "back: ONNX has no dynamic int8 form of ConvTranspose"),
        (LayerKind.TRANSPOSED, Scheme.STATIC, "back: ONNX has no static int8 form of ConvTranspose"),
    ],
)
def test_a_convolution_without_such_a_form_is_an_error(
    tmp_path: Path, kind: LayerKind, scheme: Scheme, words: str
) -> None:
    _, program = convolutions({kind: scheme})
    with pytest.raises(ExportError, match=words):
        write(program, INT8, tmp_path / "m.onnx")


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    for schemes in (DYNAMIC, STATIC):
        for name in ("first.onnx", "second.onnx"):
            write(planned(capture(*conv_net()), schemes, images(2, 3, 32, 32)), INT8, tmp_path / name)
        assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()


def test_nodes_keep_the_module_of_their_layer(tmp_path: Path) -> None:
    write(planned(capture(*conv_net()), DYNAMIC), INT8, tmp_path / "m.onnx")
    modules = {operator.name: operator.modules for operator in read(tmp_path / "m.onnx").operators}
    assert modules["MatMulInteger"] == modules["DynamicQuantizeLinear"] == ("head",)
    names = [node.name for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert len(set(names)) == len(names)
