"""What a quantised program answers when torch runs it: what its artifact must come to, but for rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch.fx import Interpreter

from export.int8.record import Scheme
from export.program import Program
from export.quantization.feeds import answers_of, feeds_of
from export.quantization.run import Inputs, LayerRun, RoundedLayers
from export.quantization.schemes import SCHEMES
from export.recipe import Precision, Recipe
from export.stimuli import Floats, Samples

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule, Node


def simulated(program: Program, recipe: Recipe, samples: Samples) -> dict[str, Floats]:
    """By output name ``(count, *shape without batch)``, the answers of ``program`` in the precision of ``recipe``.

    Args:
        program: As optimised, with its quantisation where the precision is int8; with a fixed batch.
        recipe: Format and precision.
        samples: One array per input.
    """
    feeds = feeds_of(program, samples)
    results = (
        run_in_half(program, feeds) if recipe.precision is Precision.FP16 else run_quantized(program, recipe, feeds)
    )
    return answers_of(program, results, len(samples.labels))


def run_quantized(program: Program, recipe: Recipe, feeds: Sequence[Inputs]) -> list[object]:
    """The answers, call by call, with every layer in its scheme."""
    plan = program.quantization
    assert plan is not None
    rounded = RoundedLayers(program, SCHEMES[recipe.format], plan.inputs, plan.outputs)

    def replace(node: Node, args: tuple[object, ...], in_float: Callable[[], Tensor]) -> Tensor:
        scheme = plan.layers[node.name].scheme
        return in_float() if scheme is Scheme.FLOAT else rounded.call(node, args, scheme)

    return LayerRun(program, replace).all_of(feeds)


def run_in_half(program: Program, feeds: Sequence[Inputs]) -> list[object]:
    """The answers, call by call, with all constants rounded to half precision and products taken in float32."""
    rounded = _InHalf(program.module)
    with torch.no_grad():
        return [rounded.run(*inputs) for inputs in feeds]


class _InHalf(Interpreter):
    """Runs a module whose float32 constants, at any depth, have the values that half precision holds."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self._rounded: dict[str, object] = {}

    def fetch_attr(self, target: str) -> object:
        """The constant called ``target``, rounded once."""
        if target not in self._rounded:
            held = super().fetch_attr(target)
            is_rounded = isinstance(held, torch.Tensor) and held.dtype is torch.float32
            self._rounded[target] = held.half().float() if is_rounded else held
        return self._rounded[target]
