"""Programs and files of a small network and of EdgeViT-XXS for the TFLite and ExecuTorch tests, built once each."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from edgevit.build import build_model
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights
from export.formats.table import FORMATS, load
from export.pipeline import optimize
from export.program import Program, capture, with_input_layout
from export.quiet import quiet
from export.recipe import Format, Optimize, Recipe

LABELS = tuple(f"class {place}" for place in range(10))


class Small(nn.Module):
    """No EdgeViT: convolutions, batch norm, GELU, a residual and a head; (1, 3, 32, 24) -> (1, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.mix = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.head = nn.Linear(8, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = x + nn.functional.gelu(self.mix(x))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


@dataclass(frozen=True)
class Built:
    """A file, the program that it was written from, and what it was asked to be."""

    path: Path
    program: Program
    recipe: Recipe

    def answers(self) -> dict[str, Tensor]:
        """What the program itself answers to its example, by output name."""
        with torch.no_grad():
            results = self.program.module(*self.program.example)
        results = results if isinstance(results, tuple) else (results,)
        return {spec.name: result for spec, result in zip(self.program.outputs, results, strict=True)}


def small_program(layout: Layout = Layout.NCHW) -> Program:
    """The small network, captured for a 32 x 24 image."""
    torch.manual_seed(5)
    spec = ModelSpec(
        name="small",
        variant="small",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(1, 3, 32, 24), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(1, 10)),),
        weights=Weights(source="random", seed=5),
        num_classes=10,
        preprocessing=Preprocessing(
            mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize_px=36, crop_px=(32, 24)
        ),
        labels=LABELS,
    )
    return with_input_layout(capture(Small().eval(), spec), layout)


@cache
def small(format: Format, layout: Layout = Layout.NCHW) -> Built:
    """The small network in ``format``, plainly converted."""
    recipe = Recipe(format=format, optimize=Optimize.NONE, input_layout=layout)
    return _built(small_program(layout), recipe)


@cache
def edgevit(format: Format, task: Task, layout: Layout = Layout.NCHW) -> Built:
    """EdgeViT-XXS in ``format``, optimised; at 64 x 64, which has the operators of any other size."""
    model, spec = build_model("xxs", task=task, input_size=(64, 64), num_classes=20 if task is Task.CLASSIFY else None)
    recipe = Recipe(format=format, input_layout=layout)
    return _built(optimize(with_input_layout(capture(model, spec), layout), recipe), recipe)


def _built(program: Program, recipe: Recipe) -> Built:
    directory = Path(tempfile.mkdtemp(prefix="edgevit-test-"))
    path = directory / f"{program.spec.name}.{recipe.format}"
    with quiet():
        load(FORMATS[recipe.format].exporter)(program, recipe, path)
    return Built(path, program, recipe)
