"""What a quantised program answers when torch runs it: what its artifact must come to, but for rounding."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from export.program import Program
from export.quantization.feeds import answers_of, feeds_of
from export.quantization.record import Scheme
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

    def replace(node: Node, args: tuple[object, ...], result: Tensor) -> Tensor:
        scheme = plan.layers[node.name].scheme
        return result if scheme is Scheme.FLOAT else rounded.call(node, args, scheme)

    return LayerRun(program, replace).all_of(feeds)


def run_in_half(program: Program, feeds: Sequence[Inputs]) -> list[object]:
    """The answers, call by call, with all constants rounded to half precision and products taken in float32."""
    module = in_half(program.module)
    with torch.no_grad():
        return [module(*inputs) for inputs in feeds]


def in_half(module: GraphModule) -> GraphModule:
    """A copy of ``module`` whose float32 constants have the values that half precision holds."""
    rounded = copy.copy(module)
    rounded._parameters, rounded._buffers = dict(module._parameters), dict(module._buffers)
    for name, value in rounded._parameters.items():
        if value is not None and value.dtype is torch.float32:
            rounded._parameters[name] = torch.nn.Parameter(value.detach().half().float(), requires_grad=False)
    for name, held in rounded._buffers.items():
        if held is not None and held.dtype is torch.float32:
            rounded._buffers[name] = held.half().float()
    return rounded
