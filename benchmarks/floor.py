"""The arithmetic floor: a network's multiply-adds at the best rate that any runtime reaches with products alone.

Every runtime is given artifacts of nothing but products: one chain as the network's own dominant product, one of large
products. They run between the runs that they are held against.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgevit.errors import MissingDependencyError
from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.build import StagedArtifact, export_artifact
from export.multiply_adds import multiply_adds
from export.patterns import aten, is_call, operand, shape_of
from export.program import Program, capture
from export.recipe import Format, Optimize, Recipe

PRODUCTS = 4
"""In a chain. Chosen, because what a call costs besides (copies of input and output, Python) is paid once for four."""
LARGE = (256, 1024, 1024)
"""Rows, inputs and outputs. Chosen, because all are multiples of every kernel's tile and the sums are long."""


@dataclass(frozen=True)
class Chain:
    """Linear layers one behind the other; ``shape`` is (rows, inputs, outputs) of the first, the next turns back."""

    shape: tuple[int, int, int]

    @property
    def name(self) -> str:
        """``products-196x144x576``."""
        return "products-" + "x".join(map(str, self.shape))

    @property
    def multiply_adds(self) -> int:
        """Of one run; turning back takes as many as going."""
        return PRODUCTS * math.prod(self.shape)

    def program(self) -> Program:
        """``PRODUCTS`` linear layers from (rows, inputs) to (rows, outputs) and back, captured."""
        from torch import nn

        rows, inputs, outputs = self.shape
        sizes = [(inputs, outputs) if i % 2 == 0 else (outputs, inputs) for i in range(PRODUCTS)]
        tensors = (TensorSpec(name="x", shape=(rows, inputs)), TensorSpec(name="y", shape=(rows, sizes[-1][1])))
        spec = ModelSpec(
            name=self.name,
            variant="products",
            task=Task.FEATURES,
            inputs=tensors[:1],
            outputs=tensors[1:],
            weights=Weights(source="random", seed=0),
        )
        program = capture(nn.Sequential(*[nn.Linear(*size) for size in sizes]), spec)
        assert multiply_adds(program) == self.multiply_adds
        return program


@dataclass(frozen=True)
class Floor:
    """What arithmetic alone would take: ``rates`` are the best multiply-adds per second of each runtime's products."""

    multiply_adds: int
    rates: dict[Format, float]
    chains: list[Chain]

    @property
    def ms(self) -> float:
        """Milliseconds at the best rate of all."""
        return self.multiply_adds / max(self.rates.values()) * 1e3

    def describe(self) -> str:
        """How it came about."""
        shapes = " and ".join(" x ".join(map(str, one.shape)) for one in self.chains)
        rates = ", ".join(f"{runtime} {2 * rate / 1e9:.0f}" for runtime, rate in self.rates.items())
        return (
            f"Best rate of {PRODUCTS} products of {shapes} (rows x inputs x outputs), run between: {rates} GFLOP/s; at "
            f"the highest, the {self.multiply_adds / 1e9:.3f} G multiply-adds take {self.ms:.1f} ms, the floor."
        )


def dominant_product(program: Program) -> tuple[int, int, int]:
    """Rows, inputs and outputs of the linear layer or 1x1 convolution whose kind takes most of the multiply-adds."""
    totals: Counter[tuple[int, int, int]] = Counter()
    for node in program.module.graph.nodes:
        if is_call(node, aten.linear.default, aten.conv2d.default):
            outputs, inputs, *kernel = shape_of(operand(node, 1))
            rows = math.prod(shape_of(node)) // outputs
            if kernel in ([], [1, 1]):
                totals[rows, inputs, outputs] += rows * inputs * outputs
    return max(totals, key=totals.__getitem__)


def product_files(chains: list[Chain], folder: Path) -> dict[Format, tuple[Path, ...]]:
    """An artifact of every chain for every runtime that can be had here; what ``folder`` holds already is taken."""
    files: dict[Format, tuple[Path, ...]] = {}
    for format in Format:
        print(f"{format}: products", file=sys.stderr, flush=True)
        recipe = Recipe(format=format, optimize=Optimize.NONE)
        paths = [folder / recipe.file_name(one.name) for one in chains]
        try:
            for one, path in zip(chains, paths, strict=True):
                if not path.exists():
                    exported(one.program(), recipe, folder)
        except MissingDependencyError as error:
            print(f"{format}: not among the products: {error.message}", file=sys.stderr, flush=True)
            continue
        files[format] = tuple(paths)
    return files


def exported(program: Program, recipe: Recipe, stage: Path) -> StagedArtifact:
    """Write and read back, with the converters' chatter on stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        return export_artifact(program, recipe, stage)
