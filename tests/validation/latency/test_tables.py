"""Latency reports and comparisons as text: every number is in the tables, and none is made up."""

import csv
import io

import msgspec
import pytest
from latency_records import device_run, normal_rounds, state, summary_run

from runtimes.runners.tools.adapter import Summary
from validation.latency.analysis import LatencyReport, judge_run
from validation.latency.compare import compare_runs
from validation.latency.tables import (
    LATENCY_COLUMNS,
    comparison_lines,
    latency_csv,
    latency_rows,
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
    assert lines[-1] == "second is slower"
    assert "95 %" in lines[2]
    undecided = comparison_lines(compare_runs(device_run([[1.0]]), second))
    assert (undecided[0].split()[1], undecided[-1]) == ("-", "cannot tell")


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
