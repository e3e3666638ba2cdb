"""The paper's Tables 2, 3, 4, 7 and 8 as tables of a report, every figure marked "reported"."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgevit.paper import (
    AblationRow,
    BackboneRow,
    DetectionRow,
    EnergyRow,
    LatencyRow,
    SegmentationRow,
    paper_tables,
)
from validation.report.rows import (
    Accuracy,
    Conditions,
    Cost,
    Metric,
    Quantity,
    ReportRow,
    ReportTable,
    with_standings,
    worth_plotting,
)

PAPER_SLUG = "paper-classification"
_PHONE = Conditions(device="Samsung Galaxy S21 (Snapdragon 888)", runtime="TorchScript lite, CPU", input="224x224")
_BOARD = msgspec.structs.replace(_PHONE, device="Snapdragon 888 HDK8350")


def paper_report_tables() -> tuple[ReportTable, ...]:
    """Tables 2, 3, 4 (its three parts), 7 and 8, in this order."""
    tables = paper_tables()
    detection, segmentation = tables.table_7, tables.table_8
    return (
        _classification_latency(),
        _classification_energy(),
        *_ablations(),
        _table(
            "paper-table-7",
            "Table 7: detection",
            detection.protocol,
            [_detection(row) for row in detection.rows],
            msgspec.structs.replace(_BOARD, input="800x800"),
            in_seconds=True,
        ),
        _table(
            "paper-table-8",
            "Table 8: segmentation",
            segmentation.protocol,
            [_segmentation(row) for row in segmentation.rows],
            msgspec.structs.replace(_BOARD, input="512x512"),
            in_seconds=True,
        ),
    )


def paper_beside(metric: Metric, input_size: str) -> ReportTable | None:
    """What the paper reports for the same task at the same input size, to be drawn beside measured figures."""
    if (metric, input_size) == (Metric.TOP1, "224x224"):
        return _classification()
    backbones = {(Metric.AP, "800x800"): "paper-table-7", (Metric.MIOU, "512x512"): "paper-table-8"}
    slug = backbones.get((metric, input_size))
    return next((table for table in paper_report_tables() if table.slug == slug), None)


def _classification() -> ReportTable:
    """Tables 2 and 3 in one: latency from the one, energy and power from the other."""
    tables = paper_tables()
    energies = {row.model: _energy(row) for row in tables.table_3.rows}
    rows = []
    for reported in tables.table_2.rows:
        row, energy = _latency(reported), energies.get(reported.model)
        if energy is not None:
            row = msgspec.structs.replace(
                row, energy_mj=energy.energy_mj, power_w=energy.power_w, efficiency=energy.efficiency,
                energy_status=energy.energy_status,
            )  # fmt: skip
        rows.append(row)
    caption = f"Latency: {tables.table_2.protocol}. Energy: {tables.table_3.protocol}."
    return _unplotted(_table(PAPER_SLUG, "Tables 2 and 3: ImageNet classification", caption, rows, _PHONE))


def _unplotted(table: ReportTable) -> ReportTable:
    """A table whose few points, or whose points that stand in other plots, need no plot of their own."""
    return msgspec.structs.replace(table, plots=())


def _classification_latency() -> ReportTable:
    table = paper_tables().table_2
    rows = [_latency(row) for row in table.rows]
    return _table("paper-table-2", "Table 2: accuracy and latency", table.protocol, rows, _PHONE)


def _classification_energy() -> ReportTable:
    table = paper_tables().table_3
    rows = [_energy(row) for row in table.rows]
    made = _table("paper-table-3", "Table 3: accuracy and energy", table.protocol, rows, _BOARD)
    return msgspec.structs.replace(made, plots=(Cost.ENERGY,))


def _ablations() -> list[ReportTable]:
    table = paper_tables().table_4
    parts = (
        ("a", "local aggregation", table.local_aggregation),
        ("b", "delegate sampling", table.delegate_sampling),
        ("c", "local propagation", table.local_propagation),
    )
    return [
        _unplotted(
            _table(
                f"paper-table-4{letter}", f"Table 4{letter}: {what}", table.base, [_ablation(r) for r in rows], _PHONE
            )
        )
        for letter, what, rows in parts
    ]


def _table(
    slug: str, title: str, caption: str, rows: Sequence[ReportRow], conditions: Conditions, *, in_seconds: bool = False
) -> ReportTable:
    metric = rows[0].accuracy.metric if rows[0].accuracy is not None else None
    return ReportTable(
        slug=slug,
        title=f"The paper's {title}",
        caption=caption,
        origin="reported",
        conditions=conditions,
        metric=metric,
        latency_unit="s" if in_seconds else "ms",
        energy_unit="J" if in_seconds else "mJ",
        plots=worth_plotting(rows),
        rows=with_standings(rows),
    )


def _latency(row: LatencyRow) -> ReportRow:
    return ReportRow(
        model=row.model,
        parameters_m=row.params_m,
        multiply_adds_g=row.gflops,
        latency_ms=Quantity(mean=row.latency_ms, sd=row.latency_std_ms),
        accuracy=_accuracy(Metric.TOP1, row.top1_pct, "Table 2"),
        latency_status="reported",
    )


def _energy(row: EnergyRow) -> ReportRow:
    return ReportRow(
        model=row.model,
        latency_ms=Quantity(mean=row.latency_ms),
        energy_mj=Quantity(mean=row.energy_mj, sd=row.energy_std_mj),
        power_w=Quantity(mean=row.power_w, sd=row.power_std_w),
        accuracy=_accuracy(Metric.TOP1, row.top1_pct, "Table 3"),
        efficiency=row.efficiency_pct_per_mj,
        latency_status="reported",
        energy_status="reported",
    )


def _ablation(row: AblationRow) -> ReportRow:
    return ReportRow(
        model=row.kind,
        latency_ms=Quantity(mean=row.latency_ms),
        accuracy=_accuracy(Metric.TOP1, row.top1_pct, "Table 4"),
        latency_status="reported",
    )


def _detection(row: DetectionRow) -> ReportRow:
    return _backbone(row, _accuracy(Metric.AP, row.ap_pct, "Table 7"))


def _segmentation(row: SegmentationRow) -> ReportRow:
    return _backbone(row, _accuracy(Metric.MIOU, row.miou_pct, "Table 8"))


def _backbone(row: BackboneRow, accuracy: Accuracy) -> ReportRow:
    return ReportRow(
        model=row.model,
        latency_ms=Quantity(mean=row.latency_s * 1e3, sd=row.latency_std_s * 1e3),
        energy_mj=Quantity(mean=row.energy_j * 1e3, sd=row.energy_std_j * 1e3),
        accuracy=accuracy,
        efficiency=row.efficiency,
        latency_status="reported",
        energy_status="reported",
    )


def _accuracy(metric: Metric, value: float, source: str) -> Accuracy:
    return Accuracy(metric=metric, value=value, kind="reported", source=f"arXiv 2205.03436, {source}")
