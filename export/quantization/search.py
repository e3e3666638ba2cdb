"""Leave as many of the worst layers in float as a network needs to answer as exactly as was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgevit.errors import UsageError
from export.int8.record import SEARCHED, LayerRecord, Scheme
from export.quantization.feeds import answers_of
from export.quantization.run import Inputs, LayerRun, ratio_db
from export.quantization.simulate import run_quantized
from export.quantization.stored import counted_once
from export.stimuli import Floats

if TYPE_CHECKING:
    from export.program import Program
    from export.recipe import Recipe


def searched(program: Program, recipe: Recipe, measured: Sequence[Inputs]) -> Program:
    """``program`` with the fewest of its worst layers in float that reach what ``recipe`` asks for.

    Layers are taken by the SQNR of their own output, the lowest first; how many is found by halving, since more float
    layers answer more exactly but for some tenths of a dB: one fewer than what is found does not reach it.

    Args:
        program: With its quantisation.
        recipe: With ``reach_sqnr_db`` or ``reach_agreement``.
        measured: The inputs that the answers are compared on, torch's int8 with torch's float.

    Raises:
        UsageError: Not even with a single int8 layer left; says what is reached.
    """
    plan = program.quantization
    assert plan is not None
    rows = [layer for layer in plan.layers.values() if layer.sqnr_db is not None]
    worst = [layer.name for layer in sorted(rows, key=lambda layer: layer.sqnr_db or 0.0)]
    exact = _answers(program, LayerRun(program, lambda node, args, in_float: in_float()).all_of(measured))
    if recipe.reach_agreement is not None and not any(map(_has_classes, exact.values())):
        raise UsageError(f"{program.spec.name} has no output of classes, whose agreement could be searched for",
                         hint="--reach-sqnr")  # fmt: skip

    def reached(count: int) -> tuple[Program, bool, str]:
        tried = with_float(program, worst[:count])
        agree, words = _compared(_answers(tried, run_quantized(tried, recipe, measured)), exact, recipe)
        return tried, agree, words

    found, enough, _ = reached(0)
    if enough:
        return found
    least, most = 1, max(1, len(worst) - 1)
    found, enough, words = reached(len(worst) - 1)
    if not enough:
        raise UsageError(
            f"{program.spec.name} as {recipe.format} int8 does not reach what was asked for, with all but one of its "
            f"{len(worst)} layers float: {words}",
            hint="ask for less, or for fp16",
        )
    while least < most:
        middle = (least + most) // 2
        tried, enough, _ = reached(middle)
        least, most, found = (least, middle, tried) if enough else (middle + 1, most, found)
    return found


def with_float(program: Program, names: Sequence[str]) -> Program:
    """``program`` with the layers called ``names`` in float."""
    plan = program.quantization
    assert plan is not None
    layers: dict[str, LayerRecord] = dict(plan.layers)
    for name in names:
        layers[name] = msgspec.structs.replace(layers[name], scheme=Scheme.FLOAT, why=SEARCHED, sqnr_db=None)
    plan = dataclasses.replace(plan, layers=counted_once(program, layers))
    return dataclasses.replace(program, quantization=plan)


def _answers(program: Program, results: Sequence[object]) -> dict[str, Floats]:
    batch = program.example[0].shape[0]
    return answers_of(program, results, len(results) * batch)


def _compared(seen: dict[str, Floats], exact: dict[str, Floats], recipe: Recipe) -> tuple[bool, str]:
    """Whether the answers are as exact as ``recipe`` asks for, the worst output counting, and how exact they are."""
    sqnr = min(_sqnr_db(seen[name], values) for name, values in exact.items())
    agreement = min(_agreement(seen[name], values) for name, values in exact.items())
    enough = sqnr >= (recipe.reach_sqnr_db or -np.inf) and agreement >= (recipe.reach_agreement or 0.0)
    return enough, f"SQNR {sqnr:.1f} dB, {agreement:.1%} agreement"


def _sqnr_db(seen: Floats, exact: Floats) -> float:
    return ratio_db(float(np.square(exact).sum()), float(np.square(seen - exact).sum()))


def _agreement(seen: Floats, exact: Floats) -> float:
    """Share of the rows of ``(count, classes)`` with the same top class; 1 for outputs that are no classes."""
    if not _has_classes(exact):
        return 1.0
    return float(np.mean(seen.argmax(axis=1) == exact.argmax(axis=1)))


def _has_classes(values: Floats) -> bool:
    """Whether an output is ``(count, classes)``."""
    return values.ndim == 2 and values.shape[1] > 1
