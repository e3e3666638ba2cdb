"""Latency reports and comparisons as text: every number is in the tables, and none is made up."""

import csv
import io

import msgspec
import pytest
from latency_records import device_run, normal_rounds, state, summary_run
from report_records import three_precisions

from runtimes.runners.tools.adapter import Summary
from validation.latency.analysis import LatencyReport, judge_run
from validation.latency.compare import compare_runs
from validation.latency.tables import (
    LATENCY_COLUMNS,
    comparison_lines,
    latency_csv,
    latency_rows,
    latency_table,
    markdown,
    reason_lines,
)


def test_tables_hold_every_report() -> None:
    reports = [
        judge_run(device_run(normal_rounds(12.0, seed=1))),
        judge_run(summary_run([Summary(count=50, mean_ns=1e6)])),
    ]
    rows = latency_rows(reports)
    assert all(len(row) == len(LATENCY_COLUMNS) for row in rows)
    text = markdown(LATENCY_COLUMNS, rows)
    assert text.count("\n") == 4
    assert "small.onnx" in text
    table = list(csv.DictReader(io.StringIO(latency_csv(reports))))
    assert float(table[0]["mean_ms"]) == reports[0].mean_ms
    assert (table[1]["sd_ms"], table[1]["verdict"]) == ("", str(reports[1].verdict))
    assert any("summary only" in line for line in reason_lines(reports))


def test_csv_of_nothing_is_empty() -> None:
    assert latency_csv([]) == ""


@pytest.mark.parametrize(("ms", "cell"), [(0.5, "0.5000"), (1.5, "1.500"), (15.0, "15.00"), (150.0, "150.0")])
def test_milliseconds_have_four_digits(ms: float, cell: str) -> None:
    (row,) = latency_rows([judge_run(device_run([[ms] * 10]))])
    assert dict(zip(LATENCY_COLUMNS, row, strict=True))["median ms"] == cell


def test_a_comparison_for_a_person_ends_in_words() -> None:
    first, second = (device_run(normal_rounds(mean, seed=int(mean))) for mean in (10.0, 11.0))
    lines = comparison_lines(compare_runs(first, second))
    assert lines[-1] == "second is slower than first"
    assert "95 %" in lines[2]
    undecided = comparison_lines(compare_runs(device_run([[1.0]]), second))
    assert (undecided[0].split()[1], undecided[-1]) == ("-", "cannot tell whether first and second differ")


def test_a_row_holds_what_the_report_says() -> None:
    report = judge_run(device_run([[3.0, 5.0] * 5] * 5, threads=2))
    assert latency_rows([report]) == [
        ("small.onnx", "-", "8BC1", "python 1", "2", "50", "4.000", "2.539 to 5.691", "noisy", "passed",
         "4.000 ± 1.010", "5.000", "5.000", "5.000", "50")
    ]  # fmt: skip
    bare = judge_run(summary_run([Summary(count=50, mean_ns=1e6)]))
    assert latency_rows([bare])[0][10:] == ("1.000 ± -", "-", "-", "-", "-")
    nothing = msgspec.structs.replace(bare, mean_ms=None, median_low_ms=1.0)
    row = dict(zip(LATENCY_COLUMNS, latency_rows([nothing])[0], strict=True))
    assert [row[name] for name in ("mean ± sd ms", "median ms", "95 % interval")] == ["-", "-", "-"]


@pytest.mark.parametrize(
    ("ms", "cell"),
    [(0.99999, "1.0000"), (1.0, "1.000"), (9.9, "9.900"), (10.0, "10.00"), (99.9, "99.90"), (100, "100.0")],
)
def test_digits_change_at_powers_of_ten(ms: float, cell: str) -> None:
    report = msgspec.structs.replace(judge_run(device_run([[1.0] * 10])), median_ms=ms)
    assert dict(zip(LATENCY_COLUMNS, latency_rows([report])[0], strict=True))["median ms"] == cell


def test_reasons_and_notes_are_lines_told_once() -> None:
    one = judge_run(device_run([[5.0] * 3]))
    two = msgspec.structs.replace(one, threads=2, notes=("a remark",))
    name = "small.onnx on 8BC1"
    assert reason_lines([one, one, two]) == [
        "all 3 results: only 3 runs: use at least 10",
        f"{name}, 2 threads: note: a remark",
    ]
    other = msgspec.structs.replace(two, reasons=())
    assert reason_lines([one, two, other]) == [
        f"{name}, 1 thread; {name}, 2 threads: only 3 runs: use at least 10",
        f"{name}, 2 threads: note: a remark",
    ]
    assert reason_lines([one]) == [f"{name}, 1 thread: only 3 runs: use at least 10"]
    assert reason_lines([one, two], told=one.reasons) == [f"{name}, 2 threads: note: a remark"]


def test_a_reason_that_names_its_subject_does_so_once() -> None:
    one = msgspec.structs.replace(judge_run(device_run([[5.0] * 3])), reasons=("small.onnx on 8BC1: it burns",))
    assert reason_lines([one]) == ["small.onnx on 8BC1, 1 thread: it burns"]
    other = msgspec.structs.replace(one, artifact="other.onnx", reasons=("other.onnx on 8BC1: it burns",))
    assert reason_lines([one, other]) == ["all 2 results: it burns"]


def test_markdown_aligns_numbers_and_keeps_bars_in_their_cells() -> None:
    assert markdown(("a", "b"), [("x|y", "1")], right=("b",)) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"


def test_csv_holds_every_field_flat() -> None:
    report = judge_run(device_run([[5.0] * 3, [4.0] * 3]))
    bare = judge_run(summary_run([Summary(count=50, mean_ns=1e6)]))
    first, second = csv.DictReader(io.StringIO(latency_csv([report, bare])))
    assert report.trend is not None
    assert (first["trend_growth"], first["trend_p_value"]) == (repr(report.trend.growth), repr(report.trend.p_value))
    assert (second["trend_growth"], second["p99_ms"], second["notes"]) == ("", "", bare.notes[0])
    assert (first["reasons"], first["count"]) == ("; ".join(report.reasons), "6")
    assert "trend" not in first
    assert latency_csv([report]) == "".join(latency_csv([report, bare]).splitlines(keepends=True)[:2])


def test_the_state_of_a_device_is_told_once_whatever_its_numbers() -> None:
    def started(load: float, governor: str, name: str) -> LatencyReport:
        cpu = msgspec.structs.replace(state().cpus[0], governor=governor)
        before = msgspec.structs.replace(state(), load_1min=load, cpus=(cpu,))
        run = device_run(normal_rounds(10.0, seed=1), name=name)
        return judge_run(
            msgspec.structs.replace(run, rounds=tuple(msgspec.structs.replace(r, before=before) for r in run.rounds))
        )

    reports = [
        started(1.5, "schedutil", "a.onnx"),
        started(2.5, "schedutil", "b.onnx"),
        started(0.0, "schedutil", "c.onnx"),
    ]
    assert reason_lines(reports) == [
        "8BC1, 2 of 3 results: note: at the start: other work runs on it: load 1.50 on 1 core",
        "8BC1: note: at the start: clocks move with the load (governor schedutil): warm up, or fix them",
    ]


def test_a_name_in_a_markdown_table_is_shown_as_it_is() -> None:
    hostile = "<img src=x>|`a`[x](y)&*\nz\\|"
    table = markdown(["artifact"], [[hostile]])
    assert table.splitlines()[2] == "| &lt;img src=x&gt;\\|\\`a\\`\\[x\\](y)&amp;\\* z\\\\\\| |"


def test_the_precision_is_a_column_where_it_is_not_float32_in_all() -> None:
    reports = [judge_run(run) for run in three_precisions()]
    columns, rows = latency_table(reports)
    assert columns == LATENCY_COLUMNS
    assert [row[columns.index("precision")] for row in rows] == ["fp32", "int8 dynamic", "int8 static"]
    columns, ((artifact, device, *_),) = latency_table(reports[:1])
    assert ("precision" in columns, artifact, device) == (False, "edgevit-s-224x224.onnx", "8BC1")
    told = [line["precision"] for line in csv.DictReader(io.StringIO(latency_csv(reports)))]
    assert told == ["fp32", "int8 dynamic", "int8 static"]
