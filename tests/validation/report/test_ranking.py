"""Which way to run a model is the fastest: places by intervals, ties said, one table for all formats."""

from pathlib import Path

import msgspec
import pytest
from report_records import WRONG, energy_of, failed_run, ranked, run_of, three_precisions

from validation.report.entries import joined_entries
from validation.report.ranking import brief_columns, ranking_columns, rankings_of, with_places
from validation.report.results import Results
from validation.report.rows import RankedRow, Ranking


def places(*intervals: tuple[float, float] | None) -> list[tuple[int | None, bool]]:
    rows = with_places([ranked(f"{index}.onnx", interval) for index, interval in enumerate(intervals)])
    return [(row.place, row.tied) for row in rows]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(1.0, 2.0), (3.0, 4.0)], [(1, False), (2, False)]),
        ([(3.0, 4.0), (1.0, 2.0)], [(1, False), (2, False)]),
        ([(1.0, 2.0), (2.0, 3.0)], [(1, True), (1, True)]),
        ([(1.0, 2.0), (1.8, 3.2), (3.0, 4.0)], [(1, True), (1, True), (2, True)]),
        ([(1.0, 2.0), (1.1, 1.9), (5.0, 6.0)], [(1, True), (1, True), (3, False)]),
        ([(1.0, 2.0), None], [(1, False), (None, False)]),
        ([], []),
    ],
    ids=["apart", "sorted", "touching", "a chain", "two firsts", "no interval", "nothing"],
)
def test_places_count_what_is_surely_faster(
    intervals: list[tuple[float, float] | None], expected: list[tuple[int | None, bool]]
) -> None:
    assert places(*intervals) == expected


def test_what_failed_has_no_place_takes_none_and_comes_last() -> None:
    rows = with_places([ranked("wrong.onnx", (0.1, 0.2), verdict="failed"), ranked("good.onnx", (1.0, 2.0))])
    assert [(row.artifact, row.place, row.tied) for row in rows] == [
        ("good.onnx", 1, False),
        ("wrong.onnx", None, False),
    ]


def cells(ranking: Ranking, title: str) -> list[str]:
    return [cell for column in ranking_columns(ranking) if column.title == title for cell in column.cells]


def rankings(*runs: object) -> list[Ranking]:
    return rankings_of(joined_entries(Results(runs=list(runs)), {}))  # type: ignore[arg-type]


def test_all_formats_runtimes_and_threads_of_a_device_stand_in_one_table() -> None:
    (ranking,) = rankings(
        run_of("m-224x224.onnx", 30.0),
        run_of("m-224x224.onnx", 20.0, threads=2),
        run_of("m-224x224.tflite", 20.05, runtime="litert 2"),
        run_of("m-224x224.pte", 25.0, runtime="executorch 1", verification=WRONG),
    )
    assert ranking.title == "Fastest on Maker Phone 1 (8BC1), 224x224"
    assert cells(ranking, "format") == ["onnx", "tflite", "onnx", "pte"]
    assert cells(ranking, "runtime") == ["onnxruntime 1.31.1", "litert 2", "onnxruntime 1.31.1", "executorch 1"]
    assert cells(ranking, "threads") == ["2", "1", "1", "1"]
    assert cells(ranking, "place") == ["1 =", "1 =", "3", "-"]
    (fastest,) = ranking.fastest
    assert fastest.startswith("m: onnx with 2 threads in onnxruntime 1.31.1, ")
    assert fastest.endswith(" ms; not to be told from it: tflite with 1 thread")


def test_a_row_has_the_mean_of_its_record() -> None:
    (ranking,) = rankings(run_of("a.onnx", 30.0))
    (row,) = ranking.rows
    assert row.latency_ms is not None and row.latency_ms.mean == pytest.approx(30.0, rel=0.01)


def test_devices_and_input_sizes_are_never_ranked_together() -> None:
    runs = [run_of("a.onnx", 30.0), run_of("b.onnx", 20.0, side=256), run_of("c.onnx", 10.0, device="R5CR")]
    assert [len(ranking.rows) for ranking in rankings(*runs)] == [1, 1, 1]
    assert len({ranking.slug for ranking in rankings(*runs)}) == 3


def test_each_model_has_its_own_fastest_and_reservations_are_said() -> None:
    (ranking,) = rankings(
        run_of("m.onnx", 30.0, sd=0.4), run_of("n-224x224-nhwc.onnx", 50.0), run_of("n-224x224-nhwc.tflite", 90.0),
        failed_run("k.onnx"),
    )  # fmt: skip
    firsts = [line.partition(" in ")[0] for line in ranking.fastest]
    assert firsts == ["m: onnx with 1 thread", "n-nhwc: onnx with 1 thread"]
    assert "(noisy)" in ranking.fastest[0] and "not to be told" not in ranking.fastest[1]


def test_energy_alone_is_in_no_ranking() -> None:
    results = Results(energies=[(Path("e.json"), energy_of("a.onnx", 100.0))])
    assert rankings_of(joined_entries(results, {})) == []


def test_unusual_cores_gaps_and_runners_are_columns_only_where_they_occur() -> None:
    usual = Ranking(slug="r", title="r", rows=(ranked("a.onnx", (1.0, 2.0)),))
    titles = {column.title for column in ranking_columns(usual)}
    assert {"cores", "gap ms", "runner", "precision"} & titles == set()
    row = ranked("a.onnx", (1.0, 2.0))
    odd = msgspec.structs.replace(
        row,
        precision="fp32",
        conditions=msgspec.structs.replace(row.conditions, affinity="f0", gap_ms=20.0, runner="benchmark_model"),
    )
    unusual = Ranking(slug="r", title="r", rows=(*usual.rows, odd))
    assert [cells(unusual, title) for title in ("cores", "gap ms", "runner", "precision")] == [
        ["-", "f0"], ["-", "20"], ["-", "benchmark_model"], ["-", "fp32"],
    ]  # fmt: skip


def brief(*rows: RankedRow) -> tuple[list[str], str]:
    columns, words = brief_columns(Ranking(slug="r", title="r", rows=with_places(rows)))
    return [column.title for column in columns], words


def test_on_a_console_what_all_rows_have_in_common_is_said_once() -> None:
    onnx, tflite = ranked("a.onnx", (1.0, 2.0)), ranked("a.tflite", (3.0, 4.0))
    titles, words = brief(onnx, tflite)
    assert words == "model a, runtime r 1, threads 1"
    assert titles == ["place", "format", "median ms", "95 % interval", "verdict"]
    titles, words = brief(onnx, ranked("a.onnx", (3.0, 4.0), threads=2))
    assert words == "model a, format onnx, runtime r 1"
    assert titles == ["place", "threads", "median ms", "95 % interval", "verdict"]


def test_on_a_console_a_format_in_two_runtimes_keeps_their_column() -> None:
    row = ranked("a.onnx", (3.0, 4.0))
    other = msgspec.structs.replace(row, conditions=msgspec.structs.replace(row.conditions, runtime="r 2"))
    titles, words = brief(ranked("a.onnx", (1.0, 2.0)), other)
    assert "runtime" in titles and "r 1" not in words
    litert = ranked("a.tflite", (5.0, 6.0))
    litert = msgspec.structs.replace(litert, conditions=msgspec.structs.replace(litert.conditions, runtime="l 2"))
    titles, words = brief(ranked("a.onnx", (1.0, 2.0)), litert)
    assert "runtime" not in titles and words == "model a, threads 1, onnx in r 1, tflite in l 2"


def test_each_precision_of_a_model_has_its_own_fastest_and_all_stand_in_one_table() -> None:
    (ranking,) = rankings(*three_precisions(), *three_precisions("tflite"))
    assert {row.model for row in ranking.rows} == {"edgevit-s"}
    assert cells(ranking, "precision") == ["int8 static"] * 2 + ["int8 dynamic"] * 2 + ["fp32"] * 2
    names = [line.partition(":")[0] for line in ranking.fastest]
    assert names == ["edgevit-s int8 static", "edgevit-s int8 dynamic", "edgevit-s fp32"]
    assert "precision" not in {column.title for column in brief_columns(rankings(three_precisions()[0])[0])[0]}
