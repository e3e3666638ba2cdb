"""``ReportData``: what a report shows, as numbers; how it is shown is decided by the renderers.

Everything in one ``ReportTable`` may be compared: one device, runtime, number of threads, input size and task, in all
precisions. So fronts are made per table and never across. A ``Ranking`` answers another question, which of all ways to
run a model is the fastest on one device, and so holds all formats, runtimes and threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from edgevit.records import Record
from export.artifact import Delegation, ParityResult
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
    """What accuracy is bought with; ``size`` is that of the file."""

    LATENCY = "latency"
    ENERGY = "energy"
    SIZE = "size"


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


class Dominance(Record):
    """A model's place in one comparison of accuracy with a cost. ``dominated_by`` names a model of the Pareto front."""

    on_front: bool
    dominated_by: str | None = None


_NAMES = {f"{cost}_dominance": f"{cost}_standing" for cost in Cost}


class ReportRow(Record, rename=_NAMES):
    """One model in one table; JSON keeps the names that it was first printed with.

    ``latency_status`` is the latency's verdict (valid, unverified, noisy, throttled, failed) or ``reported``,
    ``energy_status`` verified, unverified, failed or ``reported``; None where there is no such result. ``efficiency``
    is accuracy in percent per mJ. The dominances are None for what is not in the comparison. ``artifact`` is the
    file's name, empty for the paper's; ``precision`` is as ``Recipe.precision_words`` tells it, None where unknown.
    """

    model: str
    artifact: str = ""
    sha256: str = ""
    precision: str | None = None
    size_bytes: int | None = None
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
    latency_dominance: Dominance | None = None
    energy_dominance: Dominance | None = None
    size_dominance: Dominance | None = None
    reasons: tuple[str, ...] = ()

    def cost(self, cost: Cost) -> Quantity | None:
        """Latency in ms, energy in mJ or size in MB."""
        size = None if self.size_bytes is None else Quantity(mean=self.size_bytes / 1e6)
        return {Cost.LATENCY: self.latency_ms, Cost.ENERGY: self.energy_mj, Cost.SIZE: size}[cost]

    def status(self, cost: Cost) -> str | None:
        """The verdict on that cost; a size is what it is, unless the file answers wrongly or not at all."""
        found = {Cost.LATENCY: self.latency_status, Cost.ENERGY: self.energy_status}
        if cost is not Cost.SIZE:
            return found[cost]
        return None if self.size_bytes is None else FAILED if FAILED in found.values() else "valid"

    def dominance(self, cost: Cost) -> Dominance | None:
        """The place in the comparison of accuracy with that cost."""
        found = {Cost.LATENCY: self.latency_dominance, Cost.ENERGY: self.energy_dominance}
        return self.size_dominance if cost is Cost.SIZE else found[cost]

    def on_front(self, cost: Cost) -> bool:
        """Whether no other model dominates this one in the comparison of accuracy with that cost."""
        dominance = self.dominance(cost)
        return dominance is not None and dominance.on_front


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
    """Rows that may be compared, each with its place among the others. ``plots`` are the comparisons worth a plot.

    ``sizes_in`` is the title of the table whose plot of sizes is this one's too; "" where it has its own, or none.
    """

    slug: str
    title: str
    caption: str = ""
    origin: Origin
    conditions: Conditions
    metric: Metric | None = None
    latency_unit: Literal["ms", "s"] = "ms"
    energy_unit: Literal["mJ", "J"] = "mJ"
    plots: tuple[Cost, ...] = ()
    sizes_in: str = ""
    rows: tuple[ReportRow, ...] = ()

    @property
    def drawn(self) -> tuple[Cost, ...]:
        """The comparisons that are plotted with this table."""
        return tuple(cost for cost in self.plots if cost is not Cost.SIZE or not self.sizes_in)


class RankedRow(Record):
    """One way to run a model: an artifact under some conditions.

    ``place`` is one more than the number of rows that are surely faster (whose interval of the median ends below this
    one's); None without an interval, and for what failed. ``tied`` is whether the interval meets that of another row.
    """

    place: int | None = None
    tied: bool = False
    model: str
    artifact: str
    sha256: str
    format: str
    precision: str | None = None
    conditions: Conditions
    latency_ms: Quantity | None = None
    median_ms: float | None = None
    median_low_ms: float | None = None
    median_high_ms: float | None = None
    peak_memory_bytes: int | None = None
    verdict: str
    reasons: tuple[str, ...] = ()


class Ranking(Record):
    """All ways to run all models on one device at one input size, by median latency.

    ``fastest`` names for each model the fastest and what cannot be told from it.
    """

    slug: str
    title: str
    fastest: tuple[str, ...] = ()
    rows: tuple[RankedRow, ...]


class ArtifactRow(Record):
    """What a measured file is; what only its manifest tells is None where there was none."""

    artifact: str
    sha256: str
    format: str
    size_bytes: int
    precision: str | None = None
    operators: int | None = None
    delegation: Delegation | None = None
    parity: ParityResult | None = None


class Ratio(Record):
    """A latency over another, with its 95 % interval."""

    value: float
    low: float
    high: float


class Agreement(StrEnum):
    """Whether what the paper says is so here as well."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "not decided"
    UNMEASURED = "not measured"


class PaperRatio(Record):
    """A network of Table 2 and its latency over that of EdgeViT-XXS, there (``reported``) and here (``measured``).

    ``agreement`` is whether it is faster or slower here as it is there; None for EdgeViT-XXS itself, and for a network
    that is not in the table. ``reported_top1_pct`` is the paper's: no accuracy is measured. ``status`` is the verdict
    on the measured latency.
    """

    model: str
    artifact: str = ""
    reported_top1_pct: float | None = None
    reported_ms: float | None = None
    reported: Ratio | None = None
    median_ms: float | None = None
    measured: Ratio | None = None
    status: str | None = None
    agreement: Agreement | None = None
    reasons: tuple[str, ...] = ()


class PaperClaim(Record):
    """What the paper's figures say, and whether it holds here.

    The ratios are those of the two networks that it names, the second's latency over the first's. ``top1_points`` is by
    how much the first is the more accurate, as reported.
    """

    text: str
    top1_points: float | None = None
    reported: Ratio | None = None
    measured: Ratio | None = None
    agreement: Agreement
    reasons: tuple[str, ...] = ()


class PaperComparison(Record):
    """Table 2 on one device, in one format, runtime and number of threads."""

    slug: str
    title: str
    conditions: Conditions
    format: str
    claims: tuple[PaperClaim, ...]
    rows: tuple[PaperRatio, ...]
    notes: tuple[str, ...] = ()


class ReportData(Record):
    """A whole report.

    ``rankings``, ``artifacts`` and ``comparisons`` need no accuracy; ``paper`` is the slug of the table with the
    paper's figures that a table is drawn together with, by the slug of the table. ``notes`` are for the reader,
    ``problems`` name what could not be read.
    """

    schema_version: Literal[1] = 1
    title: str
    created_utc: str
    tool: str
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    artifacts: tuple[ArtifactRow, ...] = ()
    comparisons: tuple[PaperComparison, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    paper: dict[str, str] = msgspec.field(default_factory=dict)

    def shown_tables(self) -> list[ReportTable]:
        """The tables that say more than the rankings: reported ones, and those with accuracies or energies."""
        return [
            table
            for table in self.tables
            if table.origin == "reported" or any(row.accuracy or row.energy_status for row in table.rows)
        ]

    def paper_table(self, table: ReportTable) -> ReportTable | None:
        """The paper's figures to draw beside ``table``."""
        slug = self.paper.get(table.slug)
        return next((other for other in self.tables if other.slug == slug), None)


def comparable(row: ReportRow, cost: Cost) -> bool:
    """Whether a row takes part in a comparison: it has both numbers, and what was measured did not fail."""
    return row.accuracy is not None and row.cost(cost) is not None and row.status(cost) != FAILED


def with_dominance(rows: Sequence[ReportRow]) -> tuple[ReportRow, ...]:
    """The rows of one table with their places relative to each other."""
    latency, energy, size = (_dominances(rows, cost) for cost in Cost)
    return tuple(
        msgspec.structs.replace(
            row,
            latency_dominance=latency.get(index),
            energy_dominance=energy.get(index),
            size_dominance=size.get(index),
        )
        for index, row in enumerate(rows)
    )


def _dominances(rows: Sequence[ReportRow], cost: Cost) -> dict[int, Dominance]:
    """By index of the rows that take part in the comparison."""
    points = {
        index: (quantity.mean, row.accuracy.value)
        for index, row in enumerate(rows)
        if comparable(row, cost) and (quantity := row.cost(cost)) is not None and row.accuracy is not None
    }
    compared = list(points)
    return {
        index: Dominance(on_front=by is None, dominated_by=None if by is None else rows[compared[by]].model)
        for index, by in zip(compared, dominators(list(points.values())), strict=True)
    }


def worth_plotting(rows: Sequence[ReportRow]) -> tuple[Cost, ...]:
    """The comparisons in which at least one row takes part."""
    return tuple(cost for cost in Cost if any(comparable(row, cost) for row in rows))
