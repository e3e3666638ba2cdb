"""Which way to run a model is the fastest on one device: all formats, runtimes and threads in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from validation.latency.tables import ABSENT, milliseconds
from validation.precision import tells_precision
from validation.report.entries import Entry, bare_name, runner_name
from validation.report.rows import FAILED, Quantity, RankedRow, Ranking
from validation.report.tables import Column, counted

_OFTEN_ALIKE = ("model", "format", "runtime", "precision", "threads", "cores", "gap ms", "runner")


def rankings_of(entries: Sequence[Entry]) -> list[Ranking]:
    """One ranking for each device and input size, of all entries that were timed."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.latency is not None:
            groups.setdefault((entry.conditions.device, entry.conditions.input), []).append(entry)
    return [
        _ranking(f"fastest-{number}", f"Fastest on {device}, {size}", group)
        for number, ((device, size), group) in enumerate(groups.items(), 1)
    ]


def _ranking(slug: str, title: str, group: Sequence[Entry]) -> Ranking:
    rows = with_places([row for entry in group if (row := _row(entry)) is not None])
    return Ranking(slug=slug, title=title, fastest=tuple(_fastest(rows)), rows=rows)


def _row(entry: Entry) -> RankedRow | None:
    latency, facts = entry.latency, entry.facts
    if latency is None:
        return None
    return RankedRow(
        model=(entry.stated.label or bare_name(entry)) + entry.suffix,  # a column tells the precision
        artifact=entry.artifact,
        sha256=entry.sha256,
        format=entry.format,
        precision=None if facts.recipe is None else facts.recipe.precision_words,
        conditions=entry.conditions,
        latency_ms=None if latency.mean_ms is None else Quantity(mean=latency.mean_ms, sd=latency.sd_ms),
        median_ms=latency.median_ms,
        median_low_ms=latency.median_low_ms,
        median_high_ms=latency.median_high_ms,
        peak_memory_bytes=latency.peak_memory_bytes,
        verdict=str(latency.verdict),
        reasons=tuple(f"latency {latency.verdict}: {reason}" for reason in latency.reasons),
    )


def with_places(rows: Sequence[RankedRow]) -> tuple[RankedRow, ...]:
    """The rows by median, each with its place among those that have an interval and did not fail."""
    known = {index: interval for index, row in enumerate(rows) if (interval := _interval(row)) is not None}
    placed = [
        row
        if index not in known
        else msgspec.structs.replace(
            row,
            place=1 + sum(high < known[index][0] for _, high in known.values()),
            tied=any(_meet(known[index], other) for key, other in known.items() if key != index),
        )
        for index, row in enumerate(rows)
    ]
    return tuple(sorted(placed, key=_order))


def _interval(row: RankedRow) -> tuple[float, float] | None:
    low, high = row.median_low_ms, row.median_high_ms
    return None if low is None or high is None or row.verdict == FAILED else (low, high)


def _meet(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _order(row: RankedRow) -> tuple[bool, float, str, str]:
    """By median, else by mean; what failed comes last."""
    mean = float("inf") if row.latency_ms is None else row.latency_ms.mean
    return row.verdict == FAILED, mean if row.median_ms is None else row.median_ms, row.model, row.format


def _fastest(rows: Sequence[RankedRow]) -> list[str]:
    """One line for each model that has a place, in each of its precisions: what is less exact answers no question."""
    lines = []
    told = tells_precision(row.precision for row in rows)
    names = [f"{row.model} {row.precision}" if told and row.precision else row.model for row in rows]
    for name in dict.fromkeys(name for name, row in zip(names, rows, strict=True) if row.place is not None):
        mine = [row for each, row in zip(names, rows, strict=True) if each == name]
        first, *rest = [row for row in with_places(mine) if row.place == 1]
        line = f"{name}: {_way(first)} in {first.conditions.runtime}, {milliseconds(first.median_ms)} ms"
        line += "" if first.verdict == "valid" else f" ({first.verdict})"
        lines.append(line + (f"; not to be told from it: {', '.join(map(_way, rest))}" if rest else ""))
    return lines


def _way(row: RankedRow) -> str:
    return f"{row.format} with {counted(row.conditions.threads or 0, 'thread')}"


def ranking_columns(ranking: Ranking) -> list[Column]:
    """All that a ranking tells; cores, gap and runner where they are not the usual ones."""
    rows = ranking.rows
    columns = [
        Column("model", _cells(rows, lambda row: row.model), number=False),
        Column("place", _cells(rows, _place)),
        Column("format", _cells(rows, lambda row: row.format), number=False),
        Column("runtime", _cells(rows, lambda row: row.conditions.runtime or ABSENT), number=False),
        Column("precision", _cells(rows, lambda row: row.precision or ABSENT), number=False),
        Column("threads", _cells(rows, lambda row: str(row.conditions.threads))),
        Column("cores", _cells(rows, lambda row: row.conditions.affinity or ABSENT), number=False),
        Column("gap ms", _cells(rows, lambda row: f"{row.conditions.gap_ms:g}" if row.conditions.gap_ms else ABSENT)),
        Column("runner", _cells(rows, _odd_runner), number=False),
        Column("median ms", _cells(rows, lambda row: milliseconds(row.median_ms))),
        Column("95 % interval", _cells(rows, _interval_words)),
        Column("mean ± sd ms", _cells(rows, _mean_words)),
        Column("peak MB", _cells(rows, _peak)),
        Column("verdict", _cells(rows, lambda row: row.verdict), number=False),
    ]
    return [column for column in columns if any(cell != ABSENT for cell in column.cells)]


def brief_columns(ranking: Ranking) -> tuple[list[Column], str]:
    """What fits on a console of 80 columns, and in words what is therefore in no column.

    Left out are columns that say the same in every row, and the runtime where each format has one.
    """
    columns = [c for c in ranking_columns(ranking) if c.title not in ("mean ± sd ms", "peak MB")]
    alike = [c for c in columns if c.title in _OFTEN_ALIKE and len(set(c.cells)) == 1]
    words = [f"{column.title} {column.cells[0]}" for column in alike]
    runtimes = {(row.format, row.conditions.runtime) for row in ranking.rows}
    told = [column for column in columns if column.title == "runtime" and column not in alike]
    if told and len(runtimes) == len({format for format, _ in runtimes}):
        alike += told
        words += [f"{format} in {runtime}" for format, runtime in sorted(runtimes)]
    kept = [column for column in columns if column not in alike]
    return sorted(kept, key=lambda column: column.title != "place"), ", ".join(words)


def _cells(rows: Sequence[RankedRow], cell: Callable[[RankedRow], str]) -> tuple[str, ...]:
    return tuple(map(cell, rows))


def _place(row: RankedRow) -> str:
    return ABSENT if row.place is None else f"{row.place}{' =' if row.tied else ''}"


def _odd_runner(row: RankedRow) -> str:
    name = runner_name(row.conditions.runner)
    return ABSENT if name in ("", "python") else name


def _interval_words(row: RankedRow) -> str:
    low, high = row.median_low_ms, row.median_high_ms
    return ABSENT if low is None or high is None else f"{milliseconds(low)} to {milliseconds(high)}"


def _mean_words(row: RankedRow) -> str:
    if row.latency_ms is None:
        return ABSENT
    spread = "" if row.latency_ms.sd is None else f" ± {milliseconds(row.latency_ms.sd)}"
    return milliseconds(row.latency_ms.mean) + spread


def _peak(row: RankedRow) -> str:
    return ABSENT if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:.0f}"
