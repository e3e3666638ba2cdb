"""From results to tables: every entry judged, with its accuracy, and only comparable ones in one table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from validation.energy.report import EnergyReport
from validation.latency.analysis import LatencyReport
from validation.latency.tables import device_notes
from validation.precision import tells_precision
from validation.report.accuracy import AccuracyBook
from validation.report.contents import artifact_rows
from validation.report.entries import Entry, ModelFacts, bare_name, condition_words, grouped, joined_entries
from validation.report.neighbours.judge import paper_comparisons
from validation.report.ranking import rankings_of
from validation.report.results import Results
from validation.report.rows import (
    FAILED,
    Accuracy,
    ArtifactRow,
    Conditions,
    Cost,
    Metric,
    PaperComparison,
    Quantity,
    Ranking,
    ReportRow,
    ReportTable,
    comparable,
    with_dominance,
    worth_plotting,
)

_IN_SECONDS_FROM = 1000.0  # ms or mJ of the smallest mean; chosen, because the paper switches units there too


@dataclass(frozen=True)
class MeasuredReport:
    """The tables, rankings, artifacts and comparisons with the paper, and what the reader should know of them."""

    tables: list[ReportTable]
    rankings: list[Ranking]
    artifacts: tuple[ArtifactRow, ...]
    comparisons: tuple[PaperComparison, ...]
    notes: list[str]


def measured_report(results: Results, book: AccuracyBook, facts: Mapping[str, ModelFacts]) -> MeasuredReport:
    """Judge, join and group results.

    Args:
        results: What was read.
        book: The accuracies; remembers which of its entries were used.
        facts: What is known about artifacts, by SHA-256.

    Raises:
        UsageError: Two accuracies fit one artifact equally well.
    """
    entries = joined_entries(results, facts)
    for entry in entries:
        recipe = entry.facts.recipe
        entry.stated = book.lookup(entry.artifact, None if recipe is None else recipe.precision) or entry.stated
    tables = [table for group in grouped(entries) for table in _tables(group)]
    _number_slugs(tables)
    _share_sizes(tables)
    latencies = [entry.latency for entry in entries if entry.latency is not None]
    notes = [*_weight_notes(tables, entries), *(f"{device}: {note}" for device, note in device_notes(latencies))]
    return MeasuredReport(tables, rankings_of(entries), artifact_rows(entries), paper_comparisons(entries), notes)


def _tables(group: Sequence[Entry]) -> list[ReportTable]:
    """One table for each metric; an artifact without any accuracy stands in all of them."""
    accuracies = [_accuracies(entry) for entry in group]
    metrics = [metric for metric in Metric if any(a.metric is metric for each in accuracies for a in each)]
    tables = []
    for metric in tuple(metrics) or (None,):
        rows = []
        for entry, given, name in zip(group, accuracies, _names(group), strict=True):
            chosen = next((a for a in given if a.metric is metric), None)
            if chosen is not None or not given:
                rows.append(_row(entry, name, chosen))
        table = _table(group[0].conditions, metric, rows, name_metric=len(metrics) > 1)
        tables.append(msgspec.structs.replace(table, caption=_metered_words(group)))
    return tables


def _metered_words(group: Sequence[Entry]) -> str:
    """How energy was measured where it was not with the pauses that the table's title tells."""
    gaps = sorted({entry.energy_gap_ms for entry in group if entry.energy_gap_ms is not None})
    if not gaps or gaps == [group[0].conditions.gap_ms]:
        return ""
    shown = f"{gaps[0]:.0f}" if len(gaps) == 1 else f"{gaps[0]:.0f} to {gaps[-1]:.0f}"
    return f"Energy was measured in processes of its own, with {shown} ms between bursts."


def _accuracies(entry: Entry) -> list[Accuracy]:
    """What the user states, else what the energy record keeps."""
    top1 = entry.energy.top1_percent if entry.energy is not None else None
    kept = [] if top1 is None else [Accuracy(metric=Metric.TOP1, value=top1, kind="stated", source="energy record")]
    return entry.stated.accuracies() or kept


def _names(group: Sequence[Entry]) -> list[str]:
    """Names for people: without what the title tells, with the precision unless all are float32, if all stay apart."""
    told = [None if entry.facts.recipe is None else entry.facts.recipe.precision_words for entry in group]
    if not tells_precision(told):
        told = [None] * len(group)
    bare = [_with_precision(e.stated.label or bare_name(e), words) for e, words in zip(group, told, strict=True)]
    for candidates in (bare, [entry.stated.label or entry.artifact for entry in group]):
        names = [name + entry.suffix for name, entry in zip(candidates, group, strict=True)]
        if len({*names}) == len(names):
            return names
    return [entry.artifact + entry.suffix for entry in group]


def _with_precision(name: str, words: str | None) -> str:
    """``edgevit-s int8 static``; a label may tell it by itself."""
    told = words is None or all(word in name.lower() for word in words.split())
    return name if told else f"{name} {words}"


def _row(entry: Entry, name: str, accuracy: Accuracy | None) -> ReportRow:
    stated, facts, latency, energy = entry.stated, entry.facts, entry.latency, entry.energy
    energy_mj = None if energy is None else _quantity(energy.energy_mj, energy.energy_sd_mj)
    energy_status: str | None = None if energy is None else energy.verdict
    if energy is not None and latency is not None and latency.verification == FAILED:
        energy_status = FAILED  # the energy of wrong outputs
    return ReportRow(
        model=name,
        artifact=entry.artifact,
        sha256=entry.sha256,
        precision=None if facts.recipe is None else facts.recipe.precision_words,
        size_bytes=entry.size_bytes or facts.size_bytes,
        parameters_m=stated.parameters_m or _in_units(facts.parameters, 1e6),
        multiply_adds_g=stated.multiply_adds_g or _in_units(facts.multiply_adds, 1e9),
        latency_ms=None if latency is None else _quantity(latency.mean_ms, latency.sd_ms),
        median_ms=None if latency is None else latency.median_ms,
        median_low_ms=None if latency is None else latency.median_low_ms,
        median_high_ms=None if latency is None else latency.median_high_ms,
        energy_mj=energy_mj,
        power_w=None if energy is None or energy_mj is None else _quantity(energy.power_mw, energy.power_sd_mw, 1e3),
        accuracy=accuracy,
        efficiency=None if energy_status == FAILED else _efficiency(accuracy, energy_mj),
        latency_status=None if latency is None else str(latency.verdict),
        energy_status=energy_status,
        reasons=(*_reasons("latency", latency), *_reasons("energy", energy)),
    )


def _efficiency(accuracy: Accuracy | None, energy_mj: Quantity | None) -> float | None:
    """Accuracy in percent per mJ; a mean that is not above zero is noise around the background."""
    if accuracy is None or energy_mj is None or energy_mj.mean <= 0:
        return None
    return accuracy.value / energy_mj.mean


def _in_units(number: float | None, unit: float) -> float | None:
    return None if number is None else number / unit


def _quantity(mean: float | None, sd: float | None, unit: float = 1.0) -> Quantity | None:
    return None if mean is None else Quantity(mean=mean / unit, sd=_in_units(sd, unit))


def _reasons(what: str, report: LatencyReport | EnergyReport | None) -> list[str]:
    return [] if report is None else [f"{what} {report.verdict}: {reason}" for reason in report.reasons]


def _table(
    conditions: Conditions, metric: Metric | None, rows: Sequence[ReportRow], *, name_metric: bool
) -> ReportTable:
    title = ", ".join(condition_words(conditions) + ([str(metric)] if name_metric and metric else []))
    latencies = [row.latency_ms.mean for row in rows if row.latency_ms is not None]
    energies = [row.energy_mj.mean for row in rows if row.energy_mj is not None]
    return ReportTable(
        slug=re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "table",
        title=title,
        origin="measured",
        conditions=conditions,
        metric=metric,
        latency_unit="s" if latencies and min(latencies) >= _IN_SECONDS_FROM else "ms",
        energy_unit="J" if energies and min(energies) >= _IN_SECONDS_FROM else "mJ",
        plots=worth_plotting(rows),
        rows=with_dominance(sorted(rows, key=_order)),
    )


def _order(row: ReportRow) -> tuple[bool, float, str]:
    """By latency, else by energy; what has neither or failed comes last."""
    quantity = row.latency_ms or row.energy_mj
    return row.latency_status == FAILED, float("inf") if quantity is None else quantity.mean, row.model


def _number_slugs(tables: list[ReportTable]) -> None:
    seen: dict[str, int] = {}
    for index, table in enumerate(tables):
        count = seen[table.slug] = seen.get(table.slug, 0) + 1
        if count > 1:
            tables[index] = msgspec.structs.replace(table, slug=f"{table.slug}-{count}")


def _share_sizes(tables: list[ReportTable]) -> None:
    """One plot of sizes for the tables of one runtime that differ only in how the same files were run."""
    first: dict[tuple[object, ...], str] = {}
    for index, table in enumerate(tables):
        where = table.conditions
        points = frozenset((row.sha256, row.model, row.accuracy) for row in table.rows if comparable(row, Cost.SIZE))
        same = where.device, where.runtime, where.input, table.metric, points
        tables[index] = msgspec.structs.replace(table, sizes_in=first.get(same, "") if points else "")
        first.setdefault(same, table.title)


def _weight_notes(tables: Sequence[ReportTable], entries: Sequence[Entry]) -> list[str]:
    """Accuracy stated for a file whose weights are random belongs to the architecture, not to the file."""
    stated = {row.artifact for table in tables for row in table.rows if row.accuracy is not None}
    random: dict[str, set[str]] = {}
    for entry in entries:
        if entry.facts.weights and entry.artifact in stated:
            random.setdefault(entry.facts.weights, set()).add(entry.artifact)
    return [
        f"{', '.join(sorted(names))}: random weights ({weights}), so the accuracy is the architecture's, not the file's"
        for weights, names in random.items()
    ]
