"""Every format's list of passes on whole networks, in float64."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pass_rig import calls, captured, in_double, randomised
from torch import nn

from edgevit.build import build_model
from edgevit.spec import Layout
from export.formats.table import FORMATS
from export.pipeline import FULL, optimize
from export.program import Program, capture, module_of, with_input_layout
from export.recipe import Format, Optimize, Precision, Recipe

TOLERANCE = 1e-10
aten = torch.ops.aten
OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "batch": {"batch": 2},
    "rectangle": {"input_size": (64, 96)},
    "features": {"task": "features"},
    "average": {"delegate": "avg"},
    "maximum": {"delegate": "max"},
    "bilinear": {"propagation": "bilinear"},
    "no propagation": {"propagation": "none"},
    "no aggregation": {"aggregation": False},
}


def edgevit(**options: object) -> Program:
    """XXS in float64 with random statistics."""
    model, spec = build_model("xxs", **{"input_size": (64, 64), **options})  # type: ignore[arg-type]
    return capture(randomised(model), in_double(spec))


def assert_same(program: Program, optimised: Program) -> None:
    before, after = program.module(*program.example), optimised.module(*optimised.example)
    before, after = (value if isinstance(value, tuple) else (value,) for value in (before, after))
    for expected, seen in zip(before, after, strict=True):
        assert expected.shape == seen.shape
        assert (expected - seen).abs().max() <= TOLERANCE * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("options", OPTIONS)
def test_every_list_is_exact_for_every_option(options: str) -> None:
    program = edgevit(**OPTIONS[options])
    for format in (Format.ONNX, Format.TFLITE, Format.PTE):
        assert_same(program, optimize(program, Recipe(format=format)))


@pytest.mark.parametrize("options", ["plain", "rectangle"])
@pytest.mark.parametrize(
    "recipe",
    [Recipe(format=f, precision=p) for (f, p), steps in FULL.items() if steps != FULL[f, Precision.FP32]],
    ids=lambda recipe: f"{recipe.format}-{recipe.precision}",
)
def test_every_list_of_another_precision_is_exact(recipe: Recipe, options: str) -> None:
    program = edgevit(**OPTIONS[options])
    assert_same(program, optimize(program, recipe))


def test_the_basic_list_is_exact() -> None:
    program = edgevit()
    assert_same(program, optimize(program, Recipe(format=Format.ONNX, optimize=Optimize.BASIC)))


def test_none_touches_nothing() -> None:
    program = captured(nn.Linear(2, 2).double(), (1, 2))
    assert optimize(program, Recipe(format=Format.ONNX, optimize=Optimize.NONE)) is program


@pytest.mark.parametrize("format", Format)
def test_optimising_twice_is_exact_and_the_program_stays(format: Format) -> None:
    program = edgevit()
    state = {name: tensor.clone() for name, tensor in program.module.state_dict().items()}
    once = optimize(program, Recipe(format=format))
    assert_same(program, optimize(dataclasses.replace(once, passes=()), Recipe(format=format)))
    assert all(torch.equal(tensor, state[name]) for name, tensor in program.module.state_dict().items())
    assert once.passes
    assert all(log.detail for log in once.passes if log.rewrites)


def test_the_input_permute_vanishes_where_images_are_channels_last() -> None:
    program = edgevit()
    turned = with_input_layout(program, Layout.NHWC)
    optimised = optimize(turned, Recipe(format=Format.TFLITE, input_layout=Layout.NHWC))
    image = next(node for node in optimised.module.graph.nodes if node.op == "placeholder")
    reader = next(iter(image.users))
    assert reader.target is aten.permute.default
    assert [user.target for user in reader.users] == [aten.conv2d.default]
    assert_same(turned, optimised)


def test_new_calls_know_their_module() -> None:
    program = optimize(edgevit(), Recipe(format=Format.TFLITE))
    named = [node for node in program.module.graph.nodes if node.op == "call_function" and module_of(node)]
    everything = [node for node in program.module.graph.nodes if node.op == "call_function"]
    assert len(named) >= 0.95 * len(everything)


@pytest.mark.parametrize("format", Format)
def test_another_backbone(format: Format) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.norm(self.conv(x)))
            return x + y * self.gate(y)

    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    net = nn.Sequential(stem, Residual(), Residual(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    program = captured(randomised(net), (2, 3, 32, 32))
    optimised = optimize(program, Recipe(format=format))
    assert_same(program, optimised)
    assert calls(optimised.module, aten.batch_norm.default) == 0


def test_every_precision_that_a_format_offers_has_its_list_of_passes() -> None:
    offered = {(row.format, precision) for row in FORMATS.values() for precision in row.precisions}
    assert set(FULL) == offered


@pytest.mark.parametrize("format", Format)
def test_every_pass_logs_under_the_name_of_its_file(format: Format) -> None:
    recipe = Recipe(format=format)
    program = captured(randomised(nn.Linear(3, 4)), (2, 3))
    names = [step.__name__.rpartition(".")[2] for step in FULL[format, recipe.precision]]
    assert [log.name for log in optimize(program, recipe).passes] == names


@pytest.mark.parametrize("format", Format)
def test_an_edgevit_is_optimised_without_a_refusal(format: Format) -> None:
    logs = optimize(edgevit(), Recipe(format=format)).passes
    assert [row for log in logs for row in log.refused] == []
    assert {log.not_run for log in logs} == {None}


def test_what_old_runtimes_need_is_written_whatever_else_is_asked_for() -> None:
    class Writing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.sin()
            torch._foreach_add_([y], 1.0)  # no pass may run on this graph
            return nn.functional.gelu(y)

    for module in (nn.GELU(), Writing()):
        program = captured(module.double(), (2, 3))
        for how in Optimize:
            recipe = Recipe(format=Format.PTL, ptl_bytecode=4, optimize=how)
            optimised = optimize(program, recipe)
            assert_same(program, optimised)
            assert calls(optimised.module, aten.gelu.default) == 0
        ran = [log.name for log in optimised.passes if log.not_run is None]
        assert ("in_place" in ran) == isinstance(module, nn.GELU)
