"""Calls of one module in schemes of their own: each as torch computes it with the same rounding, in every runtime."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from pass_rig import captured
from torch import Tensor, nn

from export.formats.table import FORMATS, load, read_artifact
from export.int8.plan import Quantization
from export.int8.record import LayerRecord, Scheme
from export.pipeline import optimize
from export.program import Program
from export.quantization.layers import layers_of, place_of
from export.quantization.run import ranges
from export.quantization.simulate import run_quantized
from export.quantization.stored import counted_once
from export.quiet import quiet
from export.recipe import Format, Optimize, Precision, Recipe
from runtimes.sessions.table import open_session
from validation.artifact.agreement import sqnr_db_of
from validation.artifact.audit import audit

FLOAT, WEIGHTS, DYNAMIC, STATIC = Scheme.FLOAT, Scheme.WEIGHTS, Scheme.DYNAMIC, Scheme.STATIC
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Linears(nn.Module):
    """A linear layer used twice, what lies between such that nothing can be folded."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(32, 32, bias=bias), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        first = nn.functional.gelu(self.fc(x))
        return self.head(first + nn.functional.gelu(self.fc(torch.sin(first))))


class Convolutions(nn.Module):
    """A convolution used twice, of images of two sizes."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.fc, self.head = nn.Conv2d(8, 8, 3, padding=1, bias=bias), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        first = torch.tanh(self.fc(x))
        second = torch.tanh(self.fc(nn.functional.max_pool2d(torch.sin(first), 2)))
        return self.head(first.mean((2, 3)) + second.mean((2, 3)))


def mixed(model: nn.Module, shape: tuple[int, ...], schemes: tuple[Scheme, Scheme], recipe: Recipe) -> Program:
    """The network with the two calls of its shared layer in ``schemes`` and its head in float."""
    program = optimize(captured(model.eval(), shape, torch.float32), recipe)
    feeds = tuple((torch.randn(shape),) for _ in range(24))
    layers = {
        node.name: LayerRecord(name=node.name, module=place_of(node), kind=kind, weights=weight.numel(), scheme=scheme)
        for (node, kind, weight), scheme in zip(layers_of(program), (*schemes, FLOAT), strict=True)
    }
    plan = Quantization(counted_once(program, layers), *ranges(program, feeds), feeds)
    return dataclasses.replace(program, quantization=plan)


LINEAR_MIXES = [(FLOAT, DYNAMIC), (STATIC, FLOAT), (DYNAMIC, STATIC), (STATIC, STATIC)]
CONVOLUTION_MIXES = {
    Format.TFLITE: [(FLOAT, DYNAMIC), (STATIC, FLOAT), (STATIC, DYNAMIC), (STATIC, STATIC)],
    Format.ONNX: [(FLOAT, WEIGHTS), (WEIGHTS, FLOAT), (WEIGHTS, WEIGHTS)],
    Format.PTL: [(FLOAT, WEIGHTS), (WEIGHTS, FLOAT), (STATIC, FLOAT), (STATIC, WEIGHTS), (STATIC, STATIC)],
    Format.PTE: [(FLOAT, DYNAMIC), (STATIC, FLOAT), (STATIC, DYNAMIC), (STATIC, STATIC)],
}
MIXES = [
    *((format, Linears, (1, 32), mix) for format in Format for mix in LINEAR_MIXES),
    *((format, Convolutions, (1, 8, 10, 8), mix) for format, mixes in CONVOLUTION_MIXES.items() for mix in mixes),
]


@pytest.mark.parametrize(("format", "network", "shape", "schemes"), MIXES)
def test_calls_of_one_module_may_have_schemes_of_their_own(
    format: Format, network: type[nn.Module], shape: tuple[int, ...], schemes: tuple[Scheme, Scheme], tmp_path: Path
) -> None:
    torch.manual_seed(6)
    recipe = Recipe(format=format, precision=Precision.INT8, optimize=Optimize.NONE)
    program, path = mixed(network(bias=len({*schemes}) > 1), shape, schemes, recipe), tmp_path / f"m.{format}"
    with quiet():
        load(FORMATS[format].exporter)(program, recipe, path)
    plan = program.quantization
    assert plan is not None
    with closing(open_session(path, format, threads=1)) as session:
        seen = np.concatenate([next(iter(session.run({"x": x.numpy()}).values())) for (x,) in plan.feeds])
    wanted = torch.cat([program.module(x) for (x,) in plan.feeds]).detach().numpy()
    simulated = torch.cat(run_quantized(program, recipe, plan.feeds)).numpy()  # type: ignore[arg-type]
    assert sqnr_db_of(seen, wanted) > 30
    assert sqnr_db_of(seen, simulated) > sqnr_db_of(simulated, wanted) + 6, "the same rounding, not just as much"
    assert audit(read_artifact(path, format), recipe, program.layers).passed
