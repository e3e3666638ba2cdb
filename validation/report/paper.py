"""The paper's Tables 2, 3, 4, 7 and 8 as tables of a report, every figure marked "reported"."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgevit.paper import AblationRow, BackboneRow, EnergyRow, LatencyRow, paper_tables
from validation.report.rows import (
    Accuracy,
    Conditions,
    Cost,
    Metric,
    Quantity,
    ReportRow,
    ReportTable,
    with_dominance,
    worth_plotting,
)

_PHONE = Conditions(device="Samsung Galaxy S21 (Snapdragon 888)", runtime="TorchScript lite, CPU", input="224x224")
_BOARD = msgspec.structs.replace(_PHONE, device="Snapdragon 888 HDK8350")


def paper_report_tables() -> tuple[ReportTable, ...]:
    """Tables 2, 3, 4 (its three parts), 7 and 8, in this order."""
    tables = paper_tables()
    latency, energy, ablation = tables.table_2, tables.table_3, tables.table_4
    detection, segmentation = tables.table_7, tables.table_8
    parts = (
        ("a", "local aggregation", ablation.local_aggregation),
        ("b", "delegate sampling", ablation.delegate_sampling),
        ("c", "local propagation", ablation.local_propagation),
    )
    return (
        _table(
            "paper-table-2", "Table 2: accuracy and latency", latency.protocol,
            [_latency(row) for row in latency.rows], _PHONE,
        ),
        _table(
            "paper-table-3", "Table 3: accuracy and energy", energy.protocol,
            [_energy(row) for row in energy.rows], _BOARD, plots=(Cost.ENERGY,),  # latencies stand in Table 2's plot
        ),
        *(
            _table(
                f"paper-table-4{part}", f"Table 4{part}: {what}", ablation.base, [_ablation(row) for row in rows],
                _PHONE, plots=(),  # too few points
            )
            for part, what, rows in parts
        ),
        _table(
            "paper-table-7", "Table 7: detection", detection.protocol,
            [_backbone(row, Metric.AP, row.ap_pct, "Table 7") for row in detection.rows],
            msgspec.structs.replace(_BOARD, input="800x800"), in_seconds=True,
        ),
        _table(
            "paper-table-8", "Table 8: segmentation", segmentation.protocol,
            [_backbone(row, Metric.MIOU, row.miou_pct, "Table 8") for row in segmentation.rows],
            msgspec.structs.replace(_BOARD, input="512x512"), in_seconds=True,
        ),
    )  # fmt: skip


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
    return _table("paper-classification", "Tables 2 and 3: ImageNet classification", caption, rows, _PHONE, plots=())


def _table(
    slug: str,
    title: str,
    caption: str,
    rows: Sequence[ReportRow],
    conditions: Conditions,
    *,
    in_seconds: bool = False,
    plots: tuple[Cost, ...] | None = None,
) -> ReportTable:
    """One of the paper's tables; ``plots`` are those that it gets instead of all that are possible."""
    return ReportTable(
        slug=slug,
        title=f"The paper's {title}",
        caption=caption,
        origin="reported",
        conditions=conditions,
        metric=rows[0].accuracy.metric if rows[0].accuracy is not None else None,
        latency_unit="s" if in_seconds else "ms",
        energy_unit="J" if in_seconds else "mJ",
        plots=worth_plotting(rows) if plots is None else plots,
        rows=with_dominance(rows),
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


def _backbone(row: BackboneRow, metric: Metric, accuracy_pct: float, source: str) -> ReportRow:
    return ReportRow(
        model=row.model,
        latency_ms=Quantity(mean=row.latency_s * 1e3, sd=row.latency_std_s * 1e3),
        energy_mj=Quantity(mean=row.energy_j * 1e3, sd=row.energy_std_j * 1e3),
        accuracy=_accuracy(metric, accuracy_pct, source),
        efficiency=row.efficiency,
        latency_status="reported",
        energy_status="reported",
    )


def _accuracy(metric: Metric, value: float, source: str) -> Accuracy:
    return Accuracy(metric=metric, value=value, kind="reported", source=f"arXiv 2205.03436, {source}")
