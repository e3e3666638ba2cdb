"""The report as Markdown: tables that hold together, with all that the page says."""

import msgspec
from paper_records import COMPARISON
from report_records import SMALL, artifact_row, ranked

from validation.report.markdown_page import report_markdown
from validation.report.paper import paper_report_tables
from validation.report.ranking import with_places
from validation.report.rows import Cost, Ranking, ReportData


def data_with(**parts: object) -> ReportData:
    return ReportData(title="t", created_utc="", tool="", **parts)  # type: ignore[arg-type]


def test_tables_have_as_many_cells_in_every_row() -> None:
    text = report_markdown(data_with(tables=(SMALL,)), lambda name: f"plots/{name}.png")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}
    assert "](plots/phone-latency.png)" in text


def test_cells_keep_to_one_line_and_bars_do_not_end_them() -> None:
    text = report_markdown(data_with(artifacts=(artifact_row("a|b\nc.onnx", "ab"),)))
    assert "a\\|b c.onnx" in text


def test_every_table_says_whether_it_is_reported() -> None:
    data = data_with(tables=paper_report_tables())
    assert report_markdown(data).count("(reported)") == len(paper_report_tables())


def test_rankings_and_artifacts_come_first() -> None:
    rows = with_places([ranked("a.onnx", (2.0, 3.0)), ranked("a.pte", (1.0, 1.5), verdict="noisy", reasons=("why",))])
    ranking = Ranking(slug="r", title="Fastest on phone", fastest=("a: pte",), rows=rows)
    text = report_markdown(data_with(rankings=(ranking,), artifacts=(artifact_row("a.pte", "ab"),), tables=(SMALL,)))
    marks = ["## Fastest on phone", "- a: pte", "| a | 1 | pte |", "| a | 2 | onnx |", "- a.pte, 1 thread: why",
             "## Artifacts", "- a.pte: 396 of 397 operators", "## Phone"]  # fmt: skip
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_a_plot_of_sizes_that_stands_with_another_table_is_named() -> None:
    shared = msgspec.structs.replace(SMALL, plots=(Cost.LATENCY, Cost.SIZE), sizes_in="Phone, 1 thread")
    text = report_markdown(data_with(tables=(shared,)), lambda name: f"plots/{name}.png")
    assert "](plots/phone-latency.png)" in text and "phone-size" not in text
    assert "top-1 % against size: " in text and ": see Phone, 1 thread\n" in text


def test_a_table_that_says_no_more_than_the_ranking_is_left_out() -> None:
    bare = msgspec.structs.replace(SMALL, rows=tuple(msgspec.structs.replace(row, accuracy=None) for row in SMALL.rows))
    assert "latency ms" not in report_markdown(data_with(tables=(bare,)))


def test_the_comparison_with_table_2_has_both_tables_and_its_drawing() -> None:
    text = report_markdown(data_with(comparisons=(COMPARISON,)), lambda name: f"plots/{name}.png")
    assert "| A is faster than B | +5.4 | 2.00 | 0.50 | does not hold |" in text
    assert "](plots/table-2-1.png)" in text
    assert "| B | 69.0 | 65.6 | 2.500 | 2.00 \\[1.90, 2.10\\] | 0.50 \\[0.45, 0.55\\] | 0.25 | does not hold |" in text
    assert "- B: not measured in turns" in text
    assert "- a note" in text
    assert "](" not in report_markdown(data_with(comparisons=(COMPARISON,)))
