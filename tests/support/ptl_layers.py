"""A small network of every kind of layer, with plans of what becomes of them in int8: for the tests of ptl files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from pass_rig import captured, randomised
from torch import Tensor, nn

from export.formats.ptl_file.write import write
from export.int8.plan import Quantization
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.pipeline import optimize
from export.program import Program
from export.quantization.layers import layers_of, place_of
from export.quantization.run import ranges
from export.recipe import Format, Precision, Recipe

SHAPE = (1, 3, 16, 12)
Choice = Callable[[LayerKind], Scheme]
"""What becomes of a layer of that kind."""


class Layers(nn.Module):
    """Convolutions of every kind, two products with nothing float between them, and a head; -> (1, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2))
        self.mix = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.wide, self.narrow = nn.Linear(24, 16, bias=False), nn.Linear(16, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.mix(nn.functional.relu6(self.stem(x))))
        x = self.narrow(self.wide(x))
        return self.head(nn.functional.gelu(x).mean((1, 2)))


def images(count: int, seed: int = 1) -> list[Tensor]:
    """Images of the network's shape, from a seeded generator."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator) for _ in range(count)]


def network() -> nn.Module:
    """The network in float32, with weights that no symmetry hides."""
    return randomised(Layers()).float()


def planned(recipe: Recipe, choice: Choice | None = None, module: nn.Module | None = None) -> Program:
    """The network as optimised for ``recipe``; where layers get a scheme of ``choice``, with ranges of 20 images."""
    program = optimize(captured(module or network(), SHAPE, torch.float32), recipe)
    if choice is None:
        return program
    feeds = tuple((image,) for image in images(20))
    layers = {
        node.name: LayerRecord(
            name=node.name, module=place_of(node), kind=kind, weights=weights.numel(), scheme=choice(kind)
        )
        for node, kind, weights in layers_of(program)
    }
    return dataclasses.replace(program, quantization=Quantization(layers, *ranges(program, feeds), feeds))


def static(kind: LayerKind) -> Scheme:
    """Linear layers and convolutions with fixed ranges, all others with narrow weights."""
    return Scheme.STATIC if kind in (LayerKind.LINEAR, LayerKind.CONV, LayerKind.DEPTHWISE) else Scheme.WEIGHTS


def dynamic(kind: LayerKind) -> Scheme:
    """Linear layers with ranges of their own in every call, all others with narrow weights."""
    return Scheme.DYNAMIC if kind is LayerKind.LINEAR else Scheme.WEIGHTS


def written(path: Path, precision: Precision, choice: Choice | None = None, **asked: object) -> Path:
    """The network's file."""
    recipe = Recipe(format=Format.PTL, precision=precision, **asked)  # type: ignore[arg-type]
    write(planned(recipe, choice), recipe, path)
    return path


def sqnr_db(expected: Tensor, found: Tensor) -> float:
    """How far the error lies below the signal."""
    error = (expected.double() - found.double()).square().sum()
    return float(10 * torch.log10(expected.double().square().sum() / error))
