"""Table 2 against records: which network each record is of, its ratio to EdgeViT-XXS, and what the paper claims."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from edgevit.neighbours import BASE, Neighbour, neighbour_of, neighbours
from export.recipe import Optimize, Recipe
from validation.latency.analysis import Verdict
from validation.report.entries import Entry, condition_words, input_words
from validation.report.neighbours.claims import claims_of
from validation.report.neighbours.ratios import agreement, measured_ratio, reported_ratio
from validation.report.rows import Agreement, Conditions, PaperComparison, PaperRatio

_Key = tuple[Conditions, Recipe]
NOTES = (
    "Ratios are latencies over EdgeViT-XXS's: the paper's of printed means (Galaxy S21, TorchScript lite interpreter, "
    "one image, 50 runs), the others of medians; each with its 95 % interval. The paper's is the least that it can be: "
    "its 50 runs are taken as independent.",
    "Claims have the other network's latency over the EdgeViT's, and by how many points of top-1 it is reported to be "
    "the less accurate.",
    "Holds: faster or slower here as there. Not decided: the interval leaves it open. Top-1 is as reported; nothing "
    "was trained or evaluated here.",
)


@dataclass
class _Group:
    """What was measured in one way: the newest record of each network, and the other sizes that some were run at."""

    found: dict[str, Entry] = field(default_factory=dict)
    other_sizes: dict[str, str] = field(default_factory=dict)

    @property
    def worth_telling(self) -> bool:
        """Whether an EdgeViT and another network are there."""
        known = [neighbours()[model].edgevit is None for model in {**self.found, **self.other_sizes}]
        return any(known) and not all(known)


def paper_comparisons(entries: Sequence[Entry]) -> tuple[PaperComparison, ...]:
    """One for each device, recipe and way of running with an EdgeViT and another network of Table 2."""
    groups: dict[_Key, _Group] = {}
    for entry in entries:
        recipe = entry.facts.recipe
        network = None if entry.run is None else entry.run.artifact.network
        neighbour = None if network is None else neighbour_of(network)
        if recipe is not None and neighbour is not None:
            key = msgspec.structs.replace(entry.conditions, input=""), _way_made(recipe)
            _add(groups.setdefault(key, _Group()), neighbour, entry)
    made = [_comparison(*key, group) for key, group in groups.items() if group.worth_telling]
    return tuple(msgspec.structs.replace(each, slug=f"{each.slug}-{place}") for place, each in enumerate(made, 1))


def _way_made(recipe: Recipe) -> Recipe:
    """Without the hash of the calibration, which networks that scale images otherwise do not share."""
    images = recipe.calibration
    alike = None if images is None else msgspec.structs.replace(images, sha256="")
    return msgspec.structs.replace(recipe, calibration=alike)


def _add(group: _Group, neighbour: Neighbour, entry: Entry) -> None:
    """Keep the newest record of a network at the paper's input size, one that did not fail before one that did."""
    assert entry.run is not None
    size = neighbour.input_size
    if input_words(entry.run.artifact.inputs) != f"{size}x{size}":
        group.other_sizes[neighbour.model] = input_words(entry.run.artifact.inputs)
        return
    kept = group.found.get(neighbour.model)
    if kept is None or _rank(entry) >= _rank(kept):
        group.found[neighbour.model] = entry


def _rank(entry: Entry) -> tuple[bool, str]:
    return entry.latency is not None and entry.latency.passed, entry.created_utc


def _comparison(conditions: Conditions, recipe: Recipe, group: _Group) -> PaperComparison:
    words = [*condition_words(conditions), str(recipe.format), *_recipe_words(recipe)]
    title = f"Table 2 on this device: {', '.join(words)}"
    rows = tuple(_row(neighbour, group) for neighbour in neighbours().values())
    return PaperComparison(
        slug="table-2-" + re.sub(r"[^a-z0-9]+", "-", " ".join(words[1:]).lower()).strip("-")[:60],
        title=title,
        conditions=conditions,
        format=str(recipe.format),
        claims=claims_of({model: entry.run for model, entry in group.found.items() if entry.run}, _why_not(group)),
        rows=rows,
        notes=(*NOTES, *_notes(group)),
    )


def _recipe_words(recipe: Recipe) -> list[str]:
    """What of a recipe is not the usual one."""
    usual = Recipe(format=recipe.format)
    words = {
        recipe.precision_words: recipe.precision is not usual.precision,
        f"optimize {recipe.optimize}": recipe.optimize is not Optimize.FULL,
        f"input {recipe.input_layout}": recipe.input_layout is not usual.input_layout,
    }
    return [word for word, differs in words.items() if differs]


def _row(neighbour: Neighbour, group: _Group) -> PaperRatio:
    entry, base, row = group.found.get(neighbour.model), group.found.get(BASE), neighbour.reported
    reported_base = neighbours()[BASE].reported
    reported = None if row is None or reported_base is None else reported_ratio(reported_base, row)
    made = PaperRatio(
        model=neighbour.model,
        artifact="" if entry is None else entry.artifact,
        reported_top1_pct=None if row is None else row.top1_pct,
        reported_ms=None if row is None else row.latency_ms,
        reported=reported,
        median_ms=None if entry is None or entry.latency is None else entry.latency.median_ms,
        status=None if entry is None or entry.latency is None else str(entry.latency.verdict),
    )
    if neighbour.model == BASE:
        return msgspec.structs.replace(made, reported=None, reasons=_why_not(group).get(BASE, ()))
    unmeasured = None if reported is None else Agreement.UNMEASURED
    if entry is None or base is None or entry.run is None or base.run is None:
        reasons = _why_not(group).get(neighbour.model, (f"{BASE} was not measured",))
        return msgspec.structs.replace(made, agreement=unmeasured, reasons=reasons)
    measured = measured_ratio(base.run, entry.run)
    apart = () if measured.in_turns or measured.ratio is None else (f"not measured in turns with {BASE}",)
    return msgspec.structs.replace(
        made,
        measured=measured.ratio,
        agreement=None if reported is None else agreement(reported, measured),
        reasons=(*measured.reasons, *apart),
    )


def _why_not(group: _Group) -> Mapping[str, tuple[str, ...]]:
    """Why a network has no latency here."""
    found = {}
    for model, neighbour in neighbours().items():
        if model in group.found:
            continue
        size = group.other_sizes.get(model)
        words = neighbour.missing or "no record"
        found[model] = (f"at {size} only, not at the paper's {neighbour.input_size}" if size else words,)
    return found


def _notes(group: _Group) -> list[str]:
    """What the measured networks differ in from those that the paper prints, and whose figures are in doubt."""
    told = [
        f"{model}: {neighbours()[model].differs}"
        for model in neighbours()
        if model in group.found and neighbours()[model].differs
    ]
    doubtful: dict[str, list[str]] = {}
    for model, entry in group.found.items():
        if entry.latency is not None and entry.latency.verdict not in (Verdict.VALID, Verdict.FAILED):
            doubtful.setdefault(str(entry.latency.verdict), []).append(model)
    return [*told, *(f"{verdict}: {', '.join(models)}" for verdict, models in doubtful.items())]
