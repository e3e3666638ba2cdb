"""Which layer becomes what: the row of the format, what the images cost, what is kept, what int8 would ruin."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from small_artifacts import small_net, small_spec
from torch import Tensor, nn

from edgevit.errors import UsageError
from export.int8.plan import MEASURED
from export.int8.record import LayerRecord, Scheme
from export.program import Program, capture
from export.quantization.assign import LEAST_STATIC_DB, kept_float, quantized
from export.quantization.calibration import CalibrationImages, digests_of
from export.recipe import Format, Precision, Recipe
from export.stimuli import Samples


def images(count: int = 20, *, seed: int = 0) -> CalibrationImages:
    arrays = {"image": np.random.default_rng(seed).normal(size=(count, 3, 16, 16)).astype(np.float32)}
    samples = Samples(tuple(f"image-{row}" for row in range(count)), arrays)
    return CalibrationImages(samples, digests_of(samples))


def int8(format: Format = Format.TFLITE, chosen: CalibrationImages | None = None, **more: object) -> Recipe:
    record = None if chosen is None else chosen.record
    return Recipe(format=format, precision=Precision.INT8, calibration=record, **more)  # type: ignore[arg-type]


def planned(model: nn.Module, recipe: Recipe, chosen: CalibrationImages | None = None) -> dict[str, LayerRecord]:
    """The layers' records by module."""
    program = quantized(capture(model.eval(), small_spec()), recipe, chosen)
    assert program.quantization is not None
    return {record.module: record for record in program.quantization.layers.values()}


class TwoProducts(nn.Module):
    """``hidden`` makes nothing but one channel of the first pixel, a hundred times as large."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.hidden, self.head = nn.Linear(48, 64), nn.Linear(64, 7)
        with torch.no_grad():
            self.hidden.weight[0] = 0
            self.hidden.weight[0, 0] = 100

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.head(self.hidden(image.flatten(1)[:, :48]).sin())
        return answer


@pytest.mark.parametrize(
    ("format", "next_one"),
    [(Format.TFLITE, Scheme.DYNAMIC), (Format.PTE, Scheme.DYNAMIC), (Format.PTL, Scheme.DYNAMIC)],
)
def test_a_layer_that_loses_too_much_as_static_takes_the_next_scheme(format: Format, next_one: Scheme) -> None:
    even, rare = images(), images()
    even.samples.arrays["image"][:, 0, 0, 0] = 0
    kept = planned(TwoProducts(), int8(format, even), even)["hidden"]
    assert (kept.scheme, kept.why) == (Scheme.STATIC, "")
    rare.samples.arrays["image"][:, 0, 0, 0] = np.arange(20) == 7  # once in twenty images the large channel speaks
    lost = planned(TwoProducts(), int8(format, rare), rare)["hidden"]
    assert lost.scheme is next_one
    assert re.fullmatch(r"static would cost it \d\d\.\d dB, below 30", lost.why)
    assert 10 < float(re.findall(r"[\d.]+", lost.why)[0]) < LEAST_STATIC_DB


@pytest.mark.parametrize("format", [Format.TFLITE, Format.PTE, Format.PTL])
def test_an_output_of_the_network_is_never_rounded_to_fixed_values(format: Format) -> None:
    chosen = images()
    found = planned(TwoProducts(), int8(format, chosen), chosen)["head"]
    assert found.scheme is not Scheme.STATIC
    assert "one of the network's" in found.why


def test_float_outputs_need_no_such_care() -> None:
    chosen = images()
    found = planned(TwoProducts(), int8(Format.ONNX, chosen), chosen)["head"]
    assert (found.scheme, found.why) == (Scheme.STATIC, "")


def test_without_images_ranges_are_taken_in_every_call_and_none_is_kept() -> None:
    program = quantized(capture(small_net(), small_spec()), int8(), None)
    plan = program.quantization
    assert plan is not None
    assert (plan.inputs, plan.outputs, plan.feeds, plan.digests) == ({}, {}, (), ())
    assert {record.scheme for record in plan.layers.values()} == {Scheme.DYNAMIC}
    assert plan.record.measured_on == "the golden inputs"
    assert all(record.sqnr_db is not None and record.sqnr_db > 20 for record in plan.layers.values())


def test_a_batch_measures_as_many_images_as_the_record_says() -> None:
    chosen = images(100)
    program = quantized(capture(small_net(), small_spec(batch=4)), int8(chosen=chosen), chosen)
    plan = program.quantization
    assert plan is not None and len(plan.feeds) == 25
    assert plan.record.measured_on == f"{MEASURED} images of the calibration"
    few = dataclasses.replace(chosen, samples=Samples(chosen.samples.labels[:MEASURED],
        {"image": chosen.samples.arrays["image"][:MEASURED]}), digests=chosen.digests[:MEASURED])  # fmt: skip
    alone = quantized(capture(small_net(), small_spec()), int8(chosen=few), few).quantization
    assert alone is not None
    same = [record for record in plan.layers.values() if plan.inputs[record.name] == alone.inputs.get(record.name)]
    for record in same:  # where the range is that of the first ones, the cost is theirs too
        assert record.sqnr_db == pytest.approx(alone.layers[record.name].sqnr_db, abs=0.3)


PLACES = {"linear": "head.fc", "conv2d": "stages.0.blocks.1.proj", "conv2d_1": "stages.1.blocks.1.proj"}


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        ("head", {"linear"}),
        ("head.fc", {"linear"}),
        ("stages.0", {"conv2d"}),
        ("stages.*", {"conv2d", "conv2d_1"}),
        ("*.proj", {"conv2d", "conv2d_1"}),
        ("stages.[1-9]", {"conv2d_1"}),
        ("conv2d", {"conv2d"}),
        ("conv2d_?", {"conv2d_1"}),
        ("*", set(PLACES)),
    ],
)
def test_a_pattern_fits_a_module_all_below_it_or_the_call(pattern: str, fitting: set[str]) -> None:
    assert set(kept_float(PLACES, (pattern,))) == fitting


def test_a_pattern_that_fits_nothing_names_what_is_near() -> None:
    with pytest.raises(UsageError, match=r"--keep-float 'head\.fx' fits none of the 3 layers, such as head\.fc"):
        kept_float(PLACES, ("stages", "head.fx"))
    with pytest.raises(UsageError, match="fits none"):
        kept_float(PLACES, ("HEAD",))
    with pytest.raises(UsageError, match="fits none"):
        kept_float(PLACES, ("",))


def test_what_is_kept_says_by_which_pattern_and_the_rest_is_int8() -> None:
    found = planned(small_net(), int8(keep_float=("blocks.1", "head")))
    kept = {module for module, record in found.items() if record.scheme is Scheme.FLOAT}
    assert kept == {"blocks.1.expand", "blocks.1.project", "head"}
    assert found["head"].why == "kept by 'head'" and found["blocks.1.expand"].why == "kept by 'blocks.1'"
    assert found["head"].sqnr_db is None


def test_nothing_left_to_be_int8_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"has nothing that tflite would make int8.*8 of 8 are kept float"):
        planned(small_net(), int8(keep_float=("*",)))

    class OnlyDepthwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, groups=3)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv(image).mean((2, 3)).repeat(1, 3)[:, :7]

    with pytest.raises(UsageError, match="its layers are depthwise"):
        planned(OnlyDepthwise(), int8())


class Masked(nn.Module):
    """``hidden`` reads minus infinity where a mask says so; what comes of that is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first, self.hidden, self.head = nn.Linear(48, 32), nn.Linear(32, 32), nn.Linear(32, 7)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image.flatten(1)[:, :48])
        y = self.hidden(torch.where(x > 0.5, torch.full_like(x, -torch.inf), x))
        answer: Tensor = self.head(x + torch.where(torch.isfinite(y), y, torch.zeros_like(y)))
        return answer


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("static", [False, True])
def test_a_layer_that_reads_infinity_stays_float_and_says_so(format: Format, static: bool) -> None:
    chosen = images() if static else None
    found = planned(Masked(), int8(format, chosen), chosen)
    assert found["hidden"].scheme is Scheme.FLOAT
    assert "would leave nothing of it" in found["hidden"].why
    assert found["first"].scheme is not Scheme.FLOAT


class Outlier(nn.Module):
    """One channel of ``first`` is a million times as large as the others, and weighs as little in ``head``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.head = nn.Linear(48, 32), nn.Linear(32, 7)
        with torch.no_grad():
            self.first.weight[0] *= 1e6
            self.head.weight[:, 0] *= 1e-9
            self.head.bias.zero_()

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.head(self.first(image.flatten(1)[:, :48]))
        return answer


def test_a_layer_whose_noise_would_drown_it_stays_float() -> None:
    found = planned(Outlier(), int8())
    assert found["head"].scheme is Scheme.FLOAT and "would leave nothing of it" in found["head"].why
    assert found["first"].scheme is Scheme.DYNAMIC


class Shared(nn.Module):
    """One layer that is used three times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.again, self.head = nn.Linear(48, 48), nn.Linear(48, 7)

    def forward(self, image: Tensor) -> Tensor:
        x = image.flatten(1)[:, :48]
        for _ in range(3):
            x = self.again(x).relu()
        answer: Tensor = self.head(x)
        return answer


def test_weights_that_several_layers_share_count_once() -> None:
    program: Program = quantized(capture(Shared().eval(), small_spec()), int8(), None)
    assert program.quantization is not None
    assert [layer.weights for layer in program.quantization.layers.values()] == [48 * 48, 0, 0, 48 * 7]


def test_the_limit_of_static_is_one_that_a_sound_layer_keeps() -> None:
    """36 dB and more were measured of layers that lose nothing: eight bits are some 40 dB of an even spread."""
    assert 24 < LEAST_STATIC_DB < 36


def test_a_plan_that_leaves_most_weights_float_is_no_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.quantization.assign.WORTHLESS_DB", 250.0)
    words = r"as onnx cannot be int8: 8 of 8 layers would stay float, such as stem: weights would leave nothing of it"
    with pytest.raises(UsageError, match=words):
        planned(small_net(seed=0), int8(Format.ONNX))


def inverted(activation: type[nn.Module]) -> nn.Module:
    """A stem of few channels, then pointwise, depthwise, pointwise and a heavy convolution, and a product."""
    torch.manual_seed(0)
    layers = {
        "stem": nn.Conv2d(3, 16, 3, padding=1), "gelu": nn.GELU(),
        "wide": nn.Conv2d(16, 32, 1), "clamp": activation(), "depthwise": nn.Conv2d(32, 32, 3, padding=1, groups=32),
        "clamp_too": activation(), "narrow": nn.Conv2d(32, 16, 1), "again": nn.GELU(),
        "heavy": nn.Conv2d(16, 32, 3, padding=1), "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(),
        "head": nn.Linear(32, 7),
    }  # fmt: skip
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


@pytest.mark.parametrize(
    ("activation", "chained"), [(nn.ReLU6, Scheme.STATIC), (nn.ReLU, Scheme.STATIC), (nn.SiLU, None)]
)
def test_convolutions_of_onnx_are_static_in_chains_or_where_there_is_work(
    activation: type[nn.Module], chained: Scheme | None
) -> None:
    found = planned(inverted(activation), int8(Format.ONNX, images()), images())
    assert (found["wide"].scheme, found["narrow"].scheme) == (chained or Scheme.WEIGHTS,) * 2
    assert found["depthwise"].scheme is (chained or Scheme.FLOAT)
    assert found["heavy"].scheme is Scheme.STATIC
    assert found["stem"].scheme is Scheme.WEIGHTS and not found["stem"].why, "roundings would cost more than it does"
    dynamic = planned(inverted(activation), int8(Format.ONNX))
    assert {layer.scheme for name, layer in dynamic.items() if name not in {"head", "depthwise"}} == {Scheme.WEIGHTS}


@pytest.mark.parametrize(("format", "left"), [(Format.PTL, Scheme.WEIGHTS), (Format.PTE, Scheme.FLOAT)])
def test_depthwise_convolutions_are_static_in_chains_alone(format: Format, left: Scheme) -> None:
    for activation, expected in ((nn.ReLU6, Scheme.STATIC), (nn.SiLU, left)):
        found = planned(inverted(activation), int8(format, images()), images())
        assert found["depthwise"].scheme is expected
        assert found["wide"].scheme is Scheme.STATIC
    assert planned(inverted(nn.ReLU6), int8(Format.TFLITE, images()), images())["depthwise"].scheme is Scheme.FLOAT


def test_a_kept_convolution_leaves_its_chain() -> None:
    found = planned(inverted(nn.ReLU), int8(Format.ONNX, images(), keep_float=("depthwise",)), images())
    assert found["depthwise"].scheme is Scheme.FLOAT and found["depthwise"].asked_for


def test_a_convolution_of_rows_is_static_where_the_format_has_that() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rows, self.head = nn.Conv1d(48, 64, 3), nn.Linear(64, 7)

        def forward(self, image: Tensor) -> Tensor:
            answer: Tensor = self.head(self.rows(image.flatten(1, 2)).relu().mean(2))
            return answer

    schemes = {format: planned(Rows(), int8(format, images()), images())["rows"].scheme for format in Format}
    assert schemes[Format.PTL] is Scheme.WEIGHTS, "PyTorch Mobile has int8 convolutions of images alone"
    assert {schemes[format] for format in Format if format is not Format.PTL} == {Scheme.STATIC}


def test_a_convolution_that_a_norm_is_folded_into_later_has_no_fixed_output_in_onnx() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.heavy, self.norm, self.head = nn.Conv2d(3, 64, 7), nn.BatchNorm2d(64), nn.Linear(64, 7)

        def forward(self, image: Tensor) -> Tensor:
            answer: Tensor = self.head(self.norm(self.heavy(image)).relu().mean((2, 3)))
            return answer

    schemes = {format: planned(Normed(), int8(format, images()), images())["heavy"].scheme for format in Format}
    assert schemes[Format.ONNX] is Scheme.WEIGHTS, "the exporter folds it, and the range would be the one before"
    assert {schemes[format] for format in Format if format is not Format.ONNX} == {Scheme.STATIC}


@pytest.mark.parametrize("format", list(Format))
def test_a_layer_whose_activation_never_fires_has_no_fixed_range(format: Format) -> None:
    net = inverted(nn.ReLU)
    with torch.no_grad():
        net.heavy.bias.fill_(-500.0)  # type: ignore[operator, union-attr]
    net.again, net.pool = nn.Identity(), nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    found = planned(net, int8(format, images()), images())["heavy"]
    assert found.scheme is not Scheme.STATIC and "hardly leaves zero" in found.why
