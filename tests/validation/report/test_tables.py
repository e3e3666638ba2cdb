"""Tables as text: the paper's layout and digits, Markdown that holds together, CSV that reads back."""

import csv
import io

import msgspec
import pytest
from report_records import artifact_row, ranked

from validation.report.paper import paper_report_tables
from validation.report.rows import (
    Accuracy,
    Conditions,
    Cost,
    Metric,
    Quantity,
    Ranking,
    ReportData,
    ReportRow,
    ReportTable,
    with_dominance,
)
from validation.report.tables import CSV_COLUMNS, columns_of, ranking_reasons, report_csv, verdict_words


def paper_data() -> ReportData:
    return ReportData(title="Paper", created_utc="2026-01-01", tool="test", tables=paper_report_tables())


def cells(slug: str, model: str) -> dict[str, str]:
    (table,) = (table for table in paper_report_tables() if table.slug == slug)
    columns = columns_of(table)
    index = columns[0].cells.index(model)
    return {column.title: column.cells[index] for column in columns}


def measured(rows: list[ReportRow]) -> ReportTable:
    return ReportTable(
        slug="t", title="Phone | 1", origin="measured", conditions=Conditions(device="d"), metric=Metric.TOP1,
        plots=(Cost.LATENCY,), rows=with_dominance(rows),
    )  # fmt: skip


def row(model: str, mean: float, sd: float | None, accuracy: float = 75.0) -> ReportRow:
    return ReportRow(
        model=model, latency_ms=Quantity(mean=mean, sd=sd), latency_status="valid",
        accuracy=Accuracy(metric=Metric.TOP1, value=accuracy, kind="stated"),
    )  # fmt: skip


def test_reported_rows_read_as_in_the_paper() -> None:
    assert cells("paper-table-2", "EdgeViT-S") == {
        "model": "EdgeViT-S", "parameters M": "11.1", "multiply-adds G": "1.90", "latency ms": "85.3 ± 3.9",
        "top-1 %": "81.0", "latency front": "on it",
    }  # fmt: skip
    assert cells("paper-table-3", "TNT-Tiny") == {
        "model": "TNT-Tiny", "latency ms": "86.4", "energy mJ": "308.7 ± 70.5", "power W": "3.94 ± 0.63",
        "top-1 %": "73.9", "top-1 % / mJ": "0.239", "energy front": "behind EdgeViT-XS",
    }  # fmt: skip
    assert cells("paper-table-7", "PVTv1-Tiny") == {
        "model": "PVTv1-Tiny", "latency s": "1.91 ± 0.18", "energy J": "4.40 ± 0.94", "AP": "36.7", "AP / mJ": "0.008",
        "latency front": "behind EdgeViT-S", "energy front": "behind EdgeViT-S",
    }  # fmt: skip
    assert cells("paper-table-4c", "none")["latency front"] == "on it"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(84.147, 1.003), (30.987, 0.335)], ["84.15 ± 1.00", "30.99 ± 0.34"]),
        ([(84.147, 12.003), (30.987, 9.335)], ["84.1 ± 12.0", "31.0 ± 9.3"]),
        ([(23.1, 7.64), (41.0, 15.1), (80.2, 25.3)], ["23.1 ± 7.6", "41.0 ± 15.1", "80.2 ± 25.3"]),
        ([(230.4, 18.4), (380.6, 30.4)], ["230 ± 18", "381 ± 30"]),
        ([(0.8147, 0.003)], ["0.8147 ± 0.0030"]),
        ([(1234.5, None)], ["1234"]),
        ([(5.0, 0.0)], ["5.000 ± 0.000"]),
    ],
)
def test_digits_follow_from_the_deviations(pairs: list[tuple[float, float | None]], expected: list[str]) -> None:
    table = measured([row(f"m{index}", mean, sd) for index, (mean, sd) in enumerate(pairs)])
    (latency,) = (column for column in columns_of(table) if column.title == "latency ms")
    assert list(latency.cells) == expected


def test_accuracies_of_measured_rows_carry_their_kind() -> None:
    (column,) = (column for column in columns_of(measured([row("a", 10, 1)])) if column.title == "top-1 %")
    assert column.cells == ("75.0 stated",)


@pytest.mark.parametrize(
    ("latency", "energy", "expected"),
    [
        ("valid", None, "valid"),
        ("noisy", "unverified", "noisy, energy unverified"),
        (None, "verified", "energy verified"),
        ("failed", "failed", "failed"),
        ("unverified", "unverified", "unverified"),
        (None, None, "-"),
    ],
)
def test_verdicts_in_one_phrase(latency: str | None, energy: str | None, expected: str) -> None:
    assert verdict_words(ReportRow(model="m", latency_status=latency, energy_status=energy)) == expected


def test_csv_reads_back_with_full_precision() -> None:
    read = list(csv.DictReader(io.StringIO(report_csv(paper_data()))))
    assert tuple(read[0]) == CSV_COLUMNS
    assert len(read) == sum(len(table.rows) for table in paper_report_tables())
    (levit,) = (line for line in read if line["table"] == "paper-table-3" and line["model"] == "LeViT-384†")
    assert (float(levit["energy_mj"]), float(levit["energy_sd_mj"])) == (455.2, 125.8)
    assert (levit["on_energy_front"], levit["energy_dominated_by"]) == ("no", "EdgeViT-S")
    assert levit["origin"] == levit["accuracy_kind"] == "reported"


def test_numbers_stand_right_and_words_left() -> None:
    (table,) = (table for table in paper_report_tables() if table.slug == "paper-table-7")
    words = [column.title for column in columns_of(table) if not column.number]
    assert words == ["model", "latency front", "energy front"]
    assert [column.title for column in columns_of(measured([row("a", 10, 1)])) if not column.number] == [
        "model", "latency front", "verdict"
    ]  # fmt: skip


def test_every_unit_and_kind_has_its_digits() -> None:
    made = ReportRow(
        model="m", parameters_m=4.0712, multiply_adds_g=0.5512, latency_ms=Quantity(mean=10.0, sd=1.0),
        energy_mj=Quantity(mean=120.0, sd=9.6), power_w=Quantity(mean=4.1, sd=0.21), efficiency=0.00625,
        accuracy=Accuracy(metric=Metric.TOP1, value=77.123, kind="measured"), latency_status="valid",
        energy_status="unverified",
    )  # fmt: skip
    shown = {column.title: column.cells[0] for column in columns_of(measured([made]))}
    assert shown == {
        "model": "m", "parameters M": "4.07", "multiply-adds G": "0.55", "latency ms": "10.0 ± 1.0",
        "energy mJ": "120.0 ± 9.6", "power W": "4.10 ± 0.21", "top-1 %": "77.12 measured", "top-1 % / mJ": "0.00625",
        "latency front": "on it", "verdict": "valid, energy unverified",
    }  # fmt: skip


def test_precision_and_size_are_columns_where_they_are_told() -> None:
    rows = [
        msgspec.structs.replace(row("net fp32", 20, 1), precision="fp32", size_bytes=16_340_000),
        msgspec.structs.replace(row("net int8", 10, 1), precision="int8 static", size_bytes=4_490_000),
    ]
    table = msgspec.structs.replace(measured(rows), plots=(Cost.SIZE,))
    shown = {column.title: column.cells for column in columns_of(table)}
    assert (shown["precision"], shown["size MB"]) == (("fp32", "int8 static"), ("16.34", "4.49"))
    assert shown["size front"] == ("behind net int8", "on it")
    assert "precision" not in {column.title for column in columns_of(measured(rows[:1]))}
    lines = [*csv.DictReader(io.StringIO(report_csv(ReportData(title="", created_utc="", tool="", tables=(table,)))))]
    assert [(line["precision"], line["size_bytes"], line["on_size_front"]) for line in lines] == [
        ("fp32", "16340000", "no"), ("int8 static", "4490000", "yes"),
    ]  # fmt: skip
    assert lines[0]["size_dominated_by"] == "net int8"


def test_csv_tells_what_each_artifact_is() -> None:
    table = msgspec.structs.replace(measured([msgspec.structs.replace(row("a", 10, 1), sha256="ab")]))
    data = ReportData(title="t", created_utc="", tool="", tables=(table,), artifacts=(artifact_row("a.tflite", "ab"),))
    (line,) = csv.DictReader(io.StringIO(report_csv(data)))
    assert [line[name] for name in CSV_COLUMNS[11:20]] == [
        "tflite", "fp32", "16300000", "397", "396", "397", "2", "yes", "2.36",
    ]  # fmt: skip


def test_what_a_table_tells_is_not_told_again_beside_a_ranking() -> None:
    unsound = ranked("a.onnx", (1.0, 2.0), verdict="noisy", reasons=("latency noisy: x", "latency noisy: y"))
    ranking = Ranking(slug="r", title="r", rows=(unsound,))
    data = ReportData(title="t", created_utc="", tool="", rankings=(ranking,))
    assert ranking_reasons(data, ranking) == ["a.onnx, 1 thread: latency noisy: x; y"]
    told = msgspec.structs.replace(row("a", 10, 1), sha256=unsound.sha256, reasons=("latency noisy: x",))
    data = msgspec.structs.replace(data, tables=(measured([told]),))
    assert ranking_reasons(data, ranking) == ["a.onnx, 1 thread: latency noisy: y"]
