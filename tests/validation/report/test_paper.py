"""The paper's tables in reports: their fronts, their efficiencies, and where they stand beside measured figures."""

import pytest
from report_records import front_of

from validation.report.paper import paper_beside, paper_report_tables
from validation.report.rows import Cost, Metric

FRONTS = {
    ("paper-table-2", Cost.LATENCY): [
        "MobileNet-v3-0.75", "EdgeViT-XXS", "EfficientNet-B0", "EdgeViT-XS", "LeViT-384†", "EdgeViT-S",
    ],
    ("paper-table-3", Cost.ENERGY): [
        "MobileNet-v3-0.75", "EdgeViT-XXS", "EfficientNet-B0", "EdgeViT-XS", "PVT-v2-B1", "EdgeViT-S",
    ],
    ("paper-table-7", Cost.LATENCY): ["ResNet18", "EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
    ("paper-table-7", Cost.ENERGY): ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
    ("paper-table-8", Cost.LATENCY): ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
    ("paper-table-8", Cost.ENERGY): ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"],
}  # fmt: skip


@pytest.mark.parametrize(("slug", "cost"), FRONTS, ids=str)
def test_the_papers_fronts_come_out_of_its_tables(slug: str, cost: Cost) -> None:
    (table,) = (table for table in paper_report_tables() if table.slug == slug)
    assert cost in table.plots
    assert front_of(table, cost) == FRONTS[slug, cost]


def test_the_paper_prints_efficiencies_that_follow_from_its_accuracy_and_energy() -> None:
    """Within its rounding: LeViT's 0.173 against 79.5 / 455.2 = 0.1746 is the farthest off."""
    seen = 0
    for table in paper_report_tables():
        for row in table.rows:
            if row.efficiency is not None and row.energy_mj is not None and row.accuracy is not None:
                seen += 1
                assert row.efficiency == pytest.approx(row.accuracy.value / row.energy_mj.mean, abs=0.002)
    assert seen == 17 + 7 + 7


@pytest.mark.parametrize(
    ("metric", "size", "expected"),
    [
        (Metric.TOP1, "224x224", "paper-classification"),
        (Metric.AP, "800x800", "paper-table-7"),
        (Metric.MIOU, "512x512", "paper-table-8"),
        (Metric.TOP1, "256x256", None),
        (Metric.AP, "224x224", None),
    ],
)
def test_the_paper_stands_only_beside_the_same_task_and_size(metric: Metric, size: str, expected: str | None) -> None:
    beside = paper_beside(metric, size)
    assert (beside.slug if beside else None) == expected
