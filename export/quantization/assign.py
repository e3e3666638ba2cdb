"""Which layer of a program becomes what: the format's row, what its images cost each layer, and what the user keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import ceil, inf, isfinite
from typing import TYPE_CHECKING

from edgevit.errors import UsageError
from export.eager.answers import batch_of
from export.int8.plan import MEASURED, Quantization
from export.int8.record import KEPT, LayerKind, LayerRecord, Scheme
from export.patterns import rank_of
from export.program import Program
from export.quantization.calibration import CalibrationImages
from export.quantization.clamps import in_chains
from export.quantization.feeds import feeds_of
from export.quantization.layers import layers_of, place_of, work_per_element
from export.quantization.numbers import SMALLEST_SCALE, WEIGHT_STEPS, activation_scale
from export.quantization.run import Inputs, RoundedLayers, costs_db, ranges
from export.quantization.schemes import SCHEMES, FormatSchemes
from export.quantization.search import searched
from export.quantization.stored import counted_once
from export.recipe import Recipe
from export.stimuli import make_samples

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

LEAST_STATIC_DB = 30.0
"""SQNR of a layer's own output below which fixed ranges are too coarse for it, and it takes the next scheme.

Measured on the trained EdgeViT of the tests, 2,000 images, five choices of 100 for the ranges: 32.1 to 32.8 dB in
TFLite, TorchScript lite and ExecuTorch, with 4 layers dynamic. A limit of 33 made 9 dynamic for 31.4 to 32.5 dB, and
EdgeViT-XXS slower (TFLite 0.466 of float32's time). Without any, other weights were at 21.7 to 27.8.
"""
WORTHLESS_DB = 3.0
"""SQNR of a layer's own output at which it stays float. Chosen: half of its energy is noise then, as with infinities
and with outliers of a million among what it reads; layers of sound networks are at 20 and more."""
MOST_LEFT = 0.5
"""Share of the weights that may become int8 and stay float all the same. Chosen: a file of more is no int8 file."""
_IMAGE = 4  # axes of a batch of images
MOST_FACTOR = 128.0
"""The most steps of a static layer's output that one step of its product may be. XNNPACK takes less than 256, and
LiteRT ended the whole process where a ReLU never fired; sound layers, whose products are sums of many, stay below 1."""
_IDLE = "its output hardly leaves zero on these images"
_AN_OUTPUT = "its output is one of the network's, and would have 256 values"


def quantized(program: Program, recipe: Recipe, images: CalibrationImages | None) -> Program:
    """``program`` with what becomes of each layer in int8.

    Args:
        program: As optimised for ``recipe``, with a fixed batch.
        recipe: Of precision int8, with a calibration where there are ``images``.
        images: Those of the calibration; None for dynamic ranges.

    Raises:
        UsageError: A pattern of ``recipe.keep_float`` fits no layer, nothing is left to be int8, or what a search asks
            for is out of reach.
    """
    feeds = () if images is None else tuple(feeds_of(program, images.samples))
    measured = (
        feeds[: ceil(MEASURED / batch_of(program.spec))] if feeds else feeds_of(program, make_samples(program.spec))
    )
    inputs, outputs = ranges(program, feeds)
    layers = RoundedLayers(program, SCHEMES[recipe.format], inputs, outputs)
    records, digests = _records(program, recipe, layers, measured), () if images is None else images.digests
    plan = Quantization(records, inputs, outputs, feeds, digests)
    program = dataclasses.replace(program, quantization=plan)
    if recipe.reach_sqnr_db is None and recipe.reach_agreement is None:
        return program
    return searched(program, recipe, measured)


def _records(
    program: Program, recipe: Recipe, layers: RoundedLayers, measured: Sequence[Inputs]
) -> dict[str, LayerRecord]:
    """What becomes of every layer, by the name of its call."""
    found = list(layers_of(program))
    kept = kept_float({node.name: place_of(node) for node, _, _ in found}, recipe.keep_float)
    row = SCHEMES[recipe.format]
    idle = {node.name for node, kind, weight in found if kind in row.rounded_outputs and _is_idle(node, weight, layers)}
    offers = dict(_offered(program, row, idle, static=bool(layers.inputs)))
    choices = {name: () if name in kept else offered for name, offered in offers.items()}
    tried = {
        name: tuple(scheme for scheme in offered if scheme is not Scheme.FLOAT) for name, offered in choices.items()
    }
    costs = costs_db(layers, tried, measured)
    records = {}
    for node, kind, weight in found:
        scheme, why = _choose(node, choices[node.name], costs, coarse=kind in row.rounded_outputs)
        why = why or (_IDLE if node.name in idle else "")
        why = f"{KEPT}'{kept[node.name]}'" if node.name in kept else why
        records[node.name] = LayerRecord(
            name=node.name, module=place_of(node), kind=kind, scheme=scheme, why=why,
            sqnr_db=costs.get((node.name, scheme)),
            weights=weight.numel(),
        )  # fmt: skip
    records = counted_once(program, records)
    _require_some(program, recipe, records, [name for name, offered in tried.items() if offered])
    return records


def _offered(
    program: Program, row: FormatSchemes, idle: set[str], *, static: bool
) -> Iterator[tuple[str, tuple[Scheme, ...]]]:
    """The schemes that a format has for each layer, best first, by the name of its call; no range for ``idle`` ones."""
    chained = in_chains(program.module.graph, through_views=row.through_views)
    for node, kind, weight in layers_of(program):
        if not static:
            yield node.name, () if (scheme := row.dynamic.get(kind)) is None else (scheme,)
            continue
        pays = node in chained or work_per_element(node, weight) >= row.alone.get(kind, 0.0)
        can = kind is LayerKind.LINEAR or not (
            (row.images_alone and rank_of(node) != _IMAGE) or (row.folds_norms and _is_normed(node))
        )
        left = set[Scheme]() if pays and can and node.name not in idle else {Scheme.STATIC}
        yield node.name, tuple(scheme for scheme in row.static.get(kind, ()) if scheme not in left)


def _is_idle(node: Node, weight: Tensor, layers: RoundedLayers) -> bool:
    """Whether a layer's output hardly leaves zero on the images, as behind an activation that cuts all of it off."""
    ends = [found[node.name] for found in (layers.inputs, layers.outputs) if node.name in found]
    if not ends or not all(isfinite(shown.high - shown.low) for shown in ends):
        return False
    read, given = (activation_scale(shown)[0] for shown in ends)
    step = read * float(weight.abs().max()) / WEIGHT_STEPS
    return given == SMALLEST_SCALE or step > MOST_FACTOR * given


def _is_normed(node: Node) -> bool:
    return any(str(user.target).startswith("aten.batch_norm.") for user in node.users)


def _require_some(program: Program, recipe: Recipe, records: dict[str, LayerRecord], offered: list[str]) -> None:
    """Refuse a plan that would be a float file with an int8 name; ``offered``: the layers that may become int8.

    Raises:
        UsageError: No layer may, or half of the weights of those that may stay float.
    """
    what = f"{program.spec.name} as {recipe.format}"
    if not offered:
        kinds = ", ".join(sorted({str(record.kind) for record in records.values()})) or "none at all"
        count = sum(record.why.startswith(KEPT) for record in records.values())
        kept = f", and {count} of {len(records)} are kept float" if count else ""
        raise UsageError(
            f"{program.spec.name} has nothing that {recipe.format} would make int8: its layers are {kinds}{kept}",
            hint="--precision fp16 halves the weights of any layer",
        )
    chosen = [records[name] for name in offered]
    left = [record for record in chosen if record.scheme is Scheme.FLOAT]
    lost = sum(record.weights for record in left)
    if lost > MOST_LEFT * sum(record.weights for record in chosen):
        raise UsageError(
            f"{what} cannot be int8: {len(left)} of {len(chosen)} layers would stay float, such as {left[0].module}: "
            f"{left[0].why}",
            hint="look at the images of the calibration and at the weights, or use --precision fp16",
        )


def _choose(
    node: Node, offered: tuple[Scheme, ...], costs: dict[tuple[str, Scheme], float], *, coarse: bool
) -> tuple[Scheme, str]:
    """The first scheme on offer that costs little enough, else the last that leaves something; why not the first."""
    why = ""
    for scheme in offered:
        cost = costs.get((node.name, scheme), inf)
        if cost <= WORTHLESS_DB:
            why = f"{scheme} would leave nothing of it: {cost:.1f} dB"
        elif scheme is not Scheme.STATIC or scheme is offered[-1]:
            return scheme, why
        elif coarse and _answers(node):
            why = _AN_OUTPUT
        elif cost < LEAST_STATIC_DB:
            why = f"static would cost it {cost:.1f} dB, below {LEAST_STATIC_DB:g}"
        else:
            return scheme, ""
    return Scheme.FLOAT, why


_SAME_VALUES = ("view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "flatten", "clone", "contiguous")


def _answers(node: Node) -> bool:
    """Whether the node's values leave the network as they are."""
    return any(
        user.op == "output"
        or (str(user.target).split(".")[1:2] and str(user.target).split(".")[1] in _SAME_VALUES and _answers(user))
        for user in node.users
    )


def kept_float(places: dict[str, str], patterns: tuple[str, ...]) -> dict[str, str]:
    """By the name of its call, the first pattern that fits a layer: its module, one above it, or the call itself.

    Args:
        places: The module of each layer by the name of its call.
        patterns: With ``*``, ``?`` and ``[...]``.

    Raises:
        UsageError: A pattern fits no layer.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        fitting = [name for name, module in places.items() if any(_fits(text, pattern) for text in (module, name))]
        if not fitting:
            modules = sorted(set(places.values()))
            near = get_close_matches(pattern, modules, 3, 0.5) or modules[:3]
            raise UsageError(
                f"--keep-float '{pattern}' fits none of the {len(modules)} layers, such as {', '.join(near)}",
                hint="--quantize-report lists them all",
            )
        found |= {name: pattern for name in fitting if name not in found}
    return found


def _fits(text: str, pattern: str) -> bool:
    return any(fnmatchcase(part, pattern) for part in _above(text))


def _above(path: str) -> Iterator[str]:
    """``a.b.c``, ``a.b``, ``a``."""
    while path:
        yield path
        path = path.rpartition(".")[0]
