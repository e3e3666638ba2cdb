"""``ReportData``: what a report shows, as numbers; how it is shown is decided by the renderers.

Everything in one ``ReportTable`` may be compared: one device, runtime, number of threads, input size and task. So
fronts are made per table and never across.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from edgevit.records import Record
from validation.report.pareto import dominators

Origin = Literal["measured", "reported"]
FAILED = "failed"
SOUND = frozenset({"valid", "verified", "reported"})


class Metric(StrEnum):
    """What an accuracy counts; the value is its column title. All are in percent."""

    TOP1 = "top-1 %"
    AP = "AP"
    MIOU = "mIoU %"


class Cost(StrEnum):
    """What accuracy is bought with."""

    LATENCY = "latency"
    ENERGY = "energy"


class Accuracy(Record):
    """An accuracy in percent and where it comes from: ``reported`` means by the paper."""

    metric: Metric
    value: float
    kind: Literal["stated", "measured", "reported"]
    source: str = ""


class Quantity(Record):
    """Mean and sample deviation; the deviation is None where it is not known."""

    mean: float
    sd: float | None = None


class Standing(Record):
    """Where a model stands in one comparison. ``dominated_by`` names a model of the front."""

    on_front: bool
    dominated_by: str | None = None


class ReportRow(Record):
    """One model in one table.

    ``latency_status`` is the latency's verdict (valid, unverified, noisy, throttled, failed) or ``reported``,
    ``energy_status`` verified, unverified, failed or ``reported``; None where there is no such result. ``efficiency``
    is accuracy in percent per mJ. The standings are None for what is not in the comparison. ``artifact`` is the
    file's name, empty for the paper's.
    """

    model: str
    artifact: str = ""
    parameters_m: float | None = None
    multiply_adds_g: float | None = None
    latency_ms: Quantity | None = None
    median_ms: float | None = None
    median_low_ms: float | None = None
    median_high_ms: float | None = None
    energy_mj: Quantity | None = None
    power_w: Quantity | None = None
    accuracy: Accuracy | None = None
    efficiency: float | None = None
    latency_status: str | None = None
    energy_status: str | None = None
    latency_standing: Standing | None = None
    energy_standing: Standing | None = None
    reasons: tuple[str, ...] = ()

    def cost(self, cost: Cost) -> Quantity | None:
        """Latency in ms or energy in mJ."""
        return self.latency_ms if cost is Cost.LATENCY else self.energy_mj

    def status(self, cost: Cost) -> str | None:
        """The verdict on that cost."""
        return self.latency_status if cost is Cost.LATENCY else self.energy_status

    def standing(self, cost: Cost) -> Standing | None:
        """The standing in the comparison of accuracy with that cost."""
        return self.latency_standing if cost is Cost.LATENCY else self.energy_standing


class Conditions(Record):
    """What all rows of a table have in common; ``input`` is height x width, with the batch where it is not 1."""

    device: str
    runtime: str = ""
    runner: str = ""
    threads: int | None = None
    input: str = ""
    affinity: str | None = None
    gap_ms: float = 0.0


class ReportTable(Record):
    """Rows that may be compared, with their standings. ``plots`` are the comparisons worth a plot."""

    slug: str
    title: str
    caption: str = ""
    origin: Origin
    conditions: Conditions
    metric: Metric | None = None
    latency_unit: Literal["ms", "s"] = "ms"
    energy_unit: Literal["mJ", "J"] = "mJ"
    plots: tuple[Cost, ...] = ()
    rows: tuple[ReportRow, ...] = ()


class ReportData(Record):
    """A whole report.

    ``paper`` is the slug of the table with the paper's figures that a table is drawn together with, by the slug of the
    table. ``notes`` are for the reader, ``problems`` name what could not be read.
    """

    schema_version: Literal[1] = 1
    title: str
    created_utc: str
    tool: str
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    paper: dict[str, str] = msgspec.field(default_factory=dict)

    def paper_table(self, table: ReportTable) -> ReportTable | None:
        """The paper's figures to draw beside ``table``."""
        slug = self.paper.get(table.slug)
        return next((other for other in self.tables if other.slug == slug), None)


def comparable(row: ReportRow, cost: Cost) -> bool:
    """Whether a row takes part in a comparison: it has both numbers, and what was measured did not fail."""
    return row.accuracy is not None and row.cost(cost) is not None and row.status(cost) != FAILED


def with_standings(rows: Sequence[ReportRow]) -> tuple[ReportRow, ...]:
    """The rows of one table with their places relative to each other."""
    latency, energy = _standings(rows, Cost.LATENCY), _standings(rows, Cost.ENERGY)
    return tuple(
        msgspec.structs.replace(row, latency_standing=latency.get(index), energy_standing=energy.get(index))
        for index, row in enumerate(rows)
    )


def _standings(rows: Sequence[ReportRow], cost: Cost) -> dict[int, Standing]:
    points = {
        index: (quantity.mean, row.accuracy.value)
        for index, row in enumerate(rows)
        if comparable(row, cost) and (quantity := row.cost(cost)) is not None and row.accuracy is not None
    }
    taking_part = list(points)
    beaten_by = dominators(list(points.values()))
    return {
        index: Standing(on_front=by is None, dominated_by=None if by is None else rows[taking_part[by]].model)
        for index, by in zip(taking_part, beaten_by, strict=True)
    }


def front_models(table: ReportTable, cost: Cost) -> list[str]:
    """Names of the models on a table's front, by rising cost."""
    placed = [
        (quantity.mean, row.model)
        for row in table.rows
        if (standing := row.standing(cost)) is not None and standing.on_front and (quantity := row.cost(cost))
    ]
    return [model for _, model in sorted(placed)]


def worth_plotting(rows: Sequence[ReportRow]) -> tuple[Cost, ...]:
    """The comparisons in which at least one row takes part."""
    return tuple(cost for cost in Cost if any(comparable(row, cost) for row in rows))
