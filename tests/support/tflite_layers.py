"""A small network whose layers share modules, with plans of what becomes of them in int8: for the TFLite tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from edgevit.spec import Layout, ModelSpec, Task, TensorSpec, Weights
from export.formats.tflite_file.write import write
from export.int8.plan import Quantization
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.pipeline import optimize
from export.program import Program, capture
from export.quantization.layers import layers_of, place_of
from export.quiet import quiet
from export.recipe import Format, Precision, Recipe

LABELS = tuple(f"class {place}" for place in range(10))
IMAGE = (1, 3, 32, 24)
Choice = Callable[[LayerKind, str], Scheme]
"""What becomes of a layer of that kind in that module."""


class Products(nn.Module):
    """A convolution, a depthwise one, two linear layers without a module, and a head; (1, 3, 32, 24) -> (1, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU())
        self.mix = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.wide = nn.Parameter(torch.randn(32, 16) / 4)
        self.narrow = nn.Parameter(torch.randn(16, 32) / 6)
        self.head = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = (x + self.mix(x)).flatten(2).transpose(1, 2)
        x = x + nn.functional.linear(nn.functional.gelu(nn.functional.linear(x, self.wide)), self.narrow)
        scores: Tensor = self.head(x.mean(1))
        return scores


@cache
def products() -> Program:
    """The network, captured and optimised for TFLite."""
    torch.manual_seed(7)
    spec = ModelSpec(
        name="products",
        variant="products",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=IMAGE, layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(1, 10)),),
        weights=Weights(source="random", seed=7),
        num_classes=10,
        labels=LABELS,
    )
    return optimize(capture(Products().eval(), spec), Recipe(format=Format.TFLITE))


def images(count: int, seed: int = 1) -> list[Tensor]:
    """Images of the network's shape, from a seeded generator."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(IMAGE, generator=generator) for _ in range(count)]


def planned(program: Program, choice: Choice, feeds: list[Tensor] | None = None) -> Program:
    """``program`` with a plan that gives each layer the scheme of ``choice``."""
    layers = {
        node.name: LayerRecord(
            name=node.name,
            module=place_of(node),
            kind=kind,
            weights=weights.numel(),
            scheme=choice(kind, place_of(node)),
        )
        for node, kind, weights in layers_of(program)
    }
    plan = Quantization(layers=layers, feeds=tuple((feed,) for feed in feeds or ()))
    return dataclasses.replace(program, quantization=plan)


def written(program: Program, precision: Precision, directory: Path) -> Path:
    """The file of ``program`` in ``precision``."""
    path = directory / f"{program.spec.name}-{precision}.tflite"
    with quiet():
        write(program, Recipe(format=Format.TFLITE, precision=precision), path)
    return path


def answers(program: Program, feeds: list[Tensor]) -> Tensor:
    """What the program itself answers, image for image."""
    with torch.no_grad():
        return torch.cat([program.module(feed) for feed in feeds])
