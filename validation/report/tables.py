"""The tables of a report as text cells, as Markdown and as CSV. Needs neither matplotlib nor jinja2."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from validation.latency.tables import ABSENT
from validation.precision import tells_precision
from validation.report.rows import (
    SOUND,
    ArtifactRow,
    Cost,
    Dominance,
    Quantity,
    Ranking,
    ReportData,
    ReportRow,
    ReportTable,
)

_MAX_DECIMALS = 4  # of a ms or mJ: finer than any clock or meter
CSV_COLUMNS = (
    "table", "origin", "device", "runtime", "runner", "threads", "core_mask", "gap_ms", "input", "model", "artifact",
    "format", "precision", "size_bytes", "operators", "delegated", "delegable", "partitions", "parity_passed",
    "parity_x_yardstick",
    "parameters_m", "multiply_adds_g", "latency_ms", "latency_sd_ms", "median_ms", "median_low_ms", "median_high_ms",
    "energy_mj", "energy_sd_mj", "power_w", "power_sd_w", "metric", "accuracy_pct", "accuracy_kind",
    "accuracy_source", "efficiency_pct_per_mj", "latency_verdict", "energy_verdict", "on_latency_front",
    "latency_dominated_by", "on_energy_front", "energy_dominated_by", "on_size_front", "size_dominated_by", "reasons",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of a table as it is shown; ``number`` columns are aligned right."""

    title: str
    cells: tuple[str, ...]
    number: bool = True


def columns_of(table: ReportTable) -> list[Column]:
    """The columns that have anything to say, in the order of the paper's tables."""
    rows, exact = table.rows, table.origin == "reported"
    latency_scale = 1e3 if table.latency_unit == "s" else 1.0
    energy_scale = 1e3 if table.energy_unit == "J" else 1.0
    accuracy = str(table.metric) if table.metric else "accuracy"
    efficiencies = [row.efficiency for row in rows]
    sizes = [None if row.size_bytes is None else row.size_bytes / 1e6 for row in rows]
    told = tells_precision(row.precision for row in rows)
    precisions = tuple((row.precision if told else None) or ABSENT for row in rows)
    columns = [
        Column("model", tuple(row.model for row in rows), number=False),
        Column("precision", precisions, number=False),
        Column("parameters M", _numbers([row.parameters_m for row in rows], None if exact else 2)),
        Column("multiply-adds G", _numbers([row.multiply_adds_g for row in rows], None if exact else 2)),
        Column(f"latency {table.latency_unit}", _quantities([r.latency_ms for r in rows], latency_scale, exact)),
        Column(f"energy {table.energy_unit}", _quantities([r.energy_mj for r in rows], energy_scale, exact)),
        Column("power W", _quantities([row.power_w for row in rows], 1.0, exact)),
        Column("size MB", _numbers(sizes, _three_digits(sizes))),
        Column(accuracy, _accuracies(rows, exact=exact)),
        Column(f"{accuracy} / mJ", _numbers(efficiencies, 3 if exact else _three_digits(efficiencies))),
        Column("latency front", tuple(_front(row.latency_dominance) for row in rows), number=False),
        Column("energy front", tuple(_front(row.energy_dominance) for row in rows), number=False),
        Column("size front", tuple(_front(row.size_dominance) for row in rows), number=False),
        Column("verdict", tuple(verdict_words(row) for row in rows), number=False),
    ]
    plotted = {f"{cost} front" for cost in table.plots or Cost}
    return [c for c in columns if _worth_showing(c) and (c.title in plotted or not c.title.endswith(" front"))]


def _worth_showing(column: Column) -> bool:
    return any(cell not in (ABSENT, "reported") for cell in column.cells)


def _numbers(values: Sequence[float | None], decimals: int | None) -> tuple[str, ...]:
    """As many decimals everywhere: the most that any value was printed with where ``decimals`` is None."""
    if decimals is None:
        decimals = max((_decimals(value) for value in values if value is not None), default=0)
    return tuple(ABSENT if value is None else f"{value:.{decimals}f}" for value in values)


def _three_digits(values: Sequence[float | None]) -> int:
    """Decimals that give the smallest value three significant digits."""
    return max(0, min(6, 2 - _magnitude(min((value for value in values if value), default=0.1))))


def _decimals(value: float) -> int:
    """Decimals of a number as it was printed: of 33.3 one."""
    return len(f"{value:.6f}".rstrip("0").rpartition(".")[2])


def _quantities(quantities: Sequence[Quantity | None], scale: float, exact: bool) -> tuple[str, ...]:
    means = [q.mean / scale for q in quantities if q is not None]
    deviations = [q.sd / scale for q in quantities if q is not None and q.sd is not None]
    digits = max(map(_decimals, means + deviations), default=0) if exact else _significant(means, deviations)

    def cell(quantity: Quantity | None) -> str:
        if quantity is None:
            return ABSENT
        mean = f"{quantity.mean / scale:.{digits}f}"
        return mean if quantity.sd is None else f"{mean} ± {quantity.sd / scale:.{digits}f}"

    return tuple(map(cell, quantities))


def _significant(means: Sequence[float], deviations: Sequence[float]) -> int:
    """Two digits of the median deviation and one of the smallest, but no more than four of the smallest mean.

    Below 100 one decimal always stands, as in the paper.
    """
    by_mean = 3 - min((_magnitude(abs(mean)) for mean in means if mean), default=3)
    scales = [_magnitude(deviation) for deviation in deviations if deviation]
    by_deviation = max(1 - median_low(scales), -min(scales), int(by_mean > 1)) if scales else by_mean
    return max(0, min(by_deviation, by_mean, _MAX_DECIMALS))


def _magnitude(number: float) -> int:
    return math.floor(math.log10(number))


def _accuracies(rows: Sequence[ReportRow], *, exact: bool) -> tuple[str, ...]:
    """The value with its kind behind it; the paper's own need no word at every number."""
    known = [row.accuracy.value for row in rows if row.accuracy is not None]
    digits = max(1, min(2, max(map(_decimals, known), default=1)))

    def cell(row: ReportRow) -> str:
        if row.accuracy is None:
            return ABSENT
        return f"{row.accuracy.value:.{digits}f}" + ("" if exact else f" {row.accuracy.kind}")

    return tuple(cell(row) for row in rows)


def _front(dominance: Dominance | None) -> str:
    if dominance is None:
        return ABSENT
    return "on it" if dominance.on_front else f"behind {dominance.dominated_by}"


def verdict_words(row: ReportRow) -> str:
    """One phrase: ``valid``, ``noisy``, ``valid, energy unverified``, ``reported``."""
    words = [] if row.latency_status is None else [row.latency_status]
    if row.energy_status is not None and row.energy_status != row.latency_status:
        words.append(f"energy {row.energy_status}")
    return ", ".join(words) or ABSENT


def is_sound(row: ReportRow) -> bool:
    """Whether nothing speaks against the row's numbers."""
    return all(row.status(cost) is None or row.status(cost) in SOUND for cost in Cost)


def table_reasons(table: ReportTable) -> list[str]:
    """Why rows are not sound, one line each."""
    return [f"{row.model}: {reason}" for row in table.rows for reason in row.reasons]


def ranking_reasons(data: ReportData, ranking: Ranking) -> list[str]:
    """Why rows of a ranking are not valid, one line a row, without what a table of the same report tells."""
    told = {(row.sha256, reason) for table in data.shown_tables() for row in table.rows for reason in row.reasons}
    lines = []
    for row in ranking.rows:
        reasons = [reason for reason in row.reasons if (row.sha256, reason) not in told]
        if reasons:
            first, *rest = reasons
            words = "; ".join([first, *(reason.partition(": ")[2] for reason in rest)])
            lines.append(f"{row.artifact}, {counted(row.conditions.threads or 0, 'thread')}: {words}")
    return list(dict.fromkeys(lines))


def counted(number: int, noun: str) -> str:
    """``1 model``, ``2 models``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def one_line(text: str) -> str:
    """Without line breaks, which would end a row of a table or a heading."""
    return " ".join(text.split())


def plot_name(table: ReportTable, cost: Cost) -> str:
    """The stem of a plot's file."""
    return f"{table.slug}-{cost}"


def plot_title(table: ReportTable, cost: Cost) -> str:
    """What a plot shows, for headings and for those who do not see it."""
    return f"{table.metric or 'accuracy'} against {cost}: {one_line(table.title)}"


LEGEND = (
    "Latency, energy and power are mean ± sample deviation of single forward passes; energy is above background.",
    "A model is on a front when no other model of the same table is at least as accurate and costs no more; "
    "fronts hold all precisions, and are never made across devices, runtimes, threads or input sizes.",
    "Size is that of the file: what is loaded from it may take more.",
    "Efficiency is accuracy in percent per mJ. Accuracy is labelled stated (by the user), measured, or reported (by "
    "the paper).",
    "Places count the rows that are surely faster: whose 95 % interval of the median ends below. Rows with = have an "
    "interval that meets another row's, so that their order is not told.",
    "Parity is the largest error against the reference over the yardstick, which is that of float32 itself.",
    "What failed stands in no comparison; what is unverified, noisy or throttled is marked and explained.",
)


def report_csv(data: ReportData) -> str:
    """All rows of all tables in full precision in ``CSV_COLUMNS``; empty where not known."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    artifacts = {artifact.sha256: artifact for artifact in data.artifacts}
    for table in data.tables:
        for row in table.rows:
            cells = _csv_cells(table, row, artifacts.get(row.sha256))
            writer.writerow(["" if cell is None else cell for cell in cells])
    return buffer.getvalue()


def _csv_cells(table: ReportTable, row: ReportRow, artifact: ArtifactRow | None) -> list[str | int | float | None]:
    where, accuracy = table.conditions, row.accuracy
    return [
        table.slug, table.origin, where.device, where.runtime, where.runner, where.threads, where.affinity,
        where.gap_ms, where.input, row.model, row.artifact, *_file(row, artifact), *_contents(artifact),
        row.parameters_m, row.multiply_adds_g,
        *_pair(row.latency_ms), row.median_ms, row.median_low_ms, row.median_high_ms, *_pair(row.energy_mj),
        *_pair(row.power_w), *((accuracy.metric.value, accuracy.value, accuracy.kind, accuracy.source) if accuracy
        else (None,) * 4), row.efficiency, row.latency_status, row.energy_status, *_place(row.latency_dominance),
        *_place(row.energy_dominance), *_place(row.size_dominance), "; ".join(row.reasons),
    ]  # fmt: skip


def _file(row: ReportRow, artifact: ArtifactRow | None) -> tuple[str | None, str | None, int | None]:
    """Format, precision and bytes; an energy without its record has them from a manifest, if at all."""
    if artifact is None:
        return None, row.precision, row.size_bytes
    return artifact.format, artifact.precision or row.precision, artifact.size_bytes


def _contents(artifact: ArtifactRow | None) -> list[str | int | float | None]:
    if artifact is None:
        return [None] * 6
    taken, parity = artifact.delegation, artifact.parity
    return [
        artifact.operators,
        *((taken.delegated, taken.total, taken.partitions) if taken else (None,) * 3),
        *(("yes" if parity.passed else "no", parity.multiple) if parity else (None,) * 2),
    ]  # fmt: skip


def _pair(quantity: Quantity | None) -> tuple[float | None, float | None]:
    return (None, None) if quantity is None else (quantity.mean, quantity.sd)


def _place(dominance: Dominance | None) -> tuple[str | None, str | None]:
    return (None, None) if dominance is None else ("yes" if dominance.on_front else "no", dominance.dominated_by)
