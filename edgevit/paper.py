"""What the paper reports (arXiv 2205.03436, Tables 2, 3, 4, 7 and 8), as typed records. Imports no torch."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Generic, TypeVar

from edgevit.errors import unknown_choice
from edgevit.records import Record

Row = TypeVar("Row", bound="LatencyRow | EnergyRow | BackboneRow")


class LatencyRow(Record):
    """A row of Table 2: ImageNet classification on a phone's CPU."""

    model: str
    params_m: float
    gflops: float
    latency_ms: float
    latency_std_ms: float
    top1_pct: float


class EnergyRow(Record):
    """A row of Table 3: energy and power of one forward pass; the last figure is top-1 percent per millijoule."""

    model: str
    top1_pct: float
    latency_ms: float
    energy_mj: float
    energy_std_mj: float
    power_w: float
    power_std_w: float
    efficiency_pct_per_mj: float


class AblationRow(Record):
    """A row of Table 4: one choice in the block, on EdgeViT-XXS."""

    kind: str
    latency_ms: float
    top1_pct: float


class BackboneRow(Record):
    """What Tables 7 and 8 share: a backbone at a large input; ``efficiency`` is accuracy per energy, as printed."""

    model: str
    latency_s: float
    latency_std_s: float
    energy_j: float
    energy_std_j: float
    efficiency: float


class DetectionRow(BackboneRow):
    """A row of Table 7: detection, average precision."""

    ap_pct: float


class SegmentationRow(BackboneRow):
    """A row of Table 8: segmentation, mean intersection over union."""

    miou_pct: float


class Table(Record, Generic[Row]):
    """A table and how it was measured."""

    protocol: str
    rows: tuple[Row, ...]


class AblationTable(Record):
    """Table 4, one part for each choice in the block."""

    base: str
    local_aggregation: tuple[AblationRow, ...]
    delegate_sampling: tuple[AblationRow, ...]
    local_propagation: tuple[AblationRow, ...]


class PaperTables(Record):
    """All the figures that this project compares with."""

    source: str
    table_2: Table[LatencyRow]
    table_3: Table[EnergyRow]
    table_4: AblationTable
    table_7: Table[DetectionRow]
    table_8: Table[SegmentationRow]


@cache
def paper_tables() -> PaperTables:
    """The paper's tables."""
    text = files("edgevit").joinpath("paper_tables.json").read_text(encoding="utf-8")
    return PaperTables.from_json(text, origin="edgevit/paper_tables.json")


def reported(number: int, table: Table[Row], model: str) -> Row:
    """The row of Table ``number`` for a model by the paper's name, e.g. ``EdgeViT-XXS``.

    Raises:
        UsageError: The table has no such model.
    """
    rows = {row.model: row for row in table.rows}
    if model not in rows:
        raise unknown_choice(f"model of the paper's Table {number}", model, rows)
    return rows[model]
