"""Rows of a table against each other, and the report as JSON."""

import json

import msgspec

from validation.report.paper import paper_report_tables
from validation.report.rows import (
    Accuracy,
    Cost,
    Metric,
    Quantity,
    ReportData,
    ReportRow,
    with_dominance,
    worth_plotting,
)


def row(model: str, latency: float | None, accuracy: float | None, status: str = "valid") -> ReportRow:
    return ReportRow(
        model=model,
        latency_ms=None if latency is None else Quantity(mean=latency),
        accuracy=None if accuracy is None else Accuracy(metric=Metric.TOP1, value=accuracy, kind="stated"),
        latency_status=status,
    )


def test_failed_rows_neither_stand_on_a_front_nor_push_others_off() -> None:
    rows = with_dominance([row("good", 10, 70), row("wrong", 1, 99, "failed"), row("noisy", 20, 60, "noisy")])
    places = {each.model: each.latency_dominance for each in rows}
    assert places["wrong"] is None
    assert places["good"] is not None and places["good"].on_front
    assert places["noisy"] is not None and places["noisy"].dominated_by == "good"


def test_rows_without_accuracy_or_cost_stand_in_no_comparison() -> None:
    rows = with_dominance([row("a", 10, None), row("b", None, 70), row("c", 30, 60)])
    assert [each.latency_dominance is not None for each in rows] == [False, False, True]
    assert all(each.energy_dominance is None for each in rows)


def test_a_plot_is_worth_drawing_when_one_row_can_be_compared() -> None:
    assert worth_plotting([row("a", 10, None), row("wrong", 1, 99, "failed")]) == ()
    assert worth_plotting([row("a", 10, None), row("b", 20, 70)]) == (Cost.LATENCY,)


def test_the_report_reads_back_and_its_json_keeps_the_names_that_it_was_first_printed_with() -> None:
    data = ReportData(title="Paper", created_utc="2026-01-01", tool="test", tables=paper_report_tables())
    assert ReportData.from_json(data.to_json()) == data
    printed = json.loads(data.to_json())["tables"][0]["rows"][0]
    assert printed["latency_standing"] == {"on_front": False, "dominated_by": "EdgeViT-XXS"}
    assert printed["energy_standing"] is None


def test_each_cost_has_its_own_comparison() -> None:
    fast, frugal = row("fast", 10, 70), row("frugal", 30, 60)
    rows = with_dominance(
        [
            msgspec.structs.replace(fast, energy_mj=Quantity(mean=300), energy_status="verified"),
            msgspec.structs.replace(frugal, energy_mj=Quantity(mean=100), energy_status="verified"),
            msgspec.structs.replace(row("wrong", 1, 99, "failed"), energy_mj=Quantity(mean=1), energy_status="failed"),
        ]
    )
    assert [each.on_front(Cost.LATENCY) for each in rows] == [True, False, False]
    assert [each.on_front(Cost.ENERGY) for each in rows] == [True, True, False]
    assert rows[1].latency_dominance is not None and rows[1].latency_dominance.dominated_by == "fast"
    assert (rows[1].cost(Cost.ENERGY), rows[1].status(Cost.LATENCY)) == (Quantity(mean=100), "valid")
    assert worth_plotting(rows) == (Cost.LATENCY, Cost.ENERGY)


def test_the_papers_table_is_the_one_that_is_named() -> None:
    first, second, *_ = paper_report_tables()
    data = ReportData(title="", created_utc="", tool="", tables=(first, second), paper={first.slug: second.slug})
    assert (data.paper_table(first), data.paper_table(second)) == (second, None)


def test_sizes_are_a_comparison_of_their_own() -> None:
    rows = with_dominance(
        [
            msgspec.structs.replace(row("float", 10, 70), size_bytes=16_000_000),
            msgspec.structs.replace(row("int8", 20, 69), size_bytes=4_000_000, precision="int8 static"),
            msgspec.structs.replace(row("worse", 5, 68), size_bytes=5_000_000),
            msgspec.structs.replace(row("wrong", 1, 99, "failed"), size_bytes=1),
            row("unknown", 1, 60),
        ]
    )
    assert [each.on_front(Cost.SIZE) for each in rows] == [True, True, False, False, False]
    assert rows[2].size_dominance is not None and rows[2].size_dominance.dominated_by == "int8"
    assert [each.status(Cost.SIZE) for each in rows] == ["valid", "valid", "valid", "failed", None]
    assert rows[1].cost(Cost.SIZE) == Quantity(mean=4.0)
    assert worth_plotting(rows) == (Cost.LATENCY, Cost.SIZE)
    assert json.loads(rows[0].to_json())["size_standing"] == {"on_front": True, "dominated_by": None}
