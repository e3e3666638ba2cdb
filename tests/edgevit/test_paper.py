"""The paper's tables are whole, and agree with each other."""

from __future__ import annotations

import pytest

from edgevit.errors import UsageError
from edgevit.paper import paper_tables, reported


def test_the_papers_tables_are_whole() -> None:
    tables = paper_tables()
    assert [len(table.rows) for table in (tables.table_2, tables.table_3, tables.table_7, tables.table_8)] == [
        18, 17, 7, 7,
    ]  # fmt: skip
    for row in tables.table_3.rows:
        latency = reported(2, tables.table_2, row.model)
        assert (row.top1_pct, row.latency_ms) == (latency.top1_pct, latency.latency_ms), row.model
        assert row.efficiency_pct_per_mj == pytest.approx(row.top1_pct / row.energy_mj, rel=0.02), row.model
    assert {row.kind for row in tables.table_4.local_propagation} == {
        "none",
        "bilinear",
        "transposed convolution (ours)",
    }


def test_unknown_models_of_the_paper() -> None:
    with pytest.raises(UsageError, match="Table 2 'EdgeViT-M'"):
        reported(2, paper_tables().table_2, "EdgeViT-M")
    with pytest.raises(UsageError, match="Table 3 'MobileViT'"):
        reported(3, paper_tables().table_3, "MobileViT")
