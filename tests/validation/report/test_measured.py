"""Judging and grouping: what may stand in one table, and what is said about it."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from latency_records import device_run
from report_records import (
    WRONG,
    energy_of,
    failed_run,
    front_of,
    in_precision,
    metered,
    run_of,
    sha_of,
    three_precisions,
    with_artifact,
)

from export.recipe import Format, Precision, Recipe
from runtimes.bench.record import DeviceRun
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from validation.energy.report import EnergyReport
from validation.report.accuracy import AccuracyBook, Stated, StatedModel, stated_on_command_line
from validation.report.entries import ModelFacts
from validation.report.measured import MeasuredReport, measured_report
from validation.report.results import Results
from validation.report.rows import Cost, Metric, ReportRow, ReportTable


def report_of(
    runs: Iterable[DeviceRun] = (),
    energies: Iterable[EnergyReport] = (),
    accuracy: Iterable[str] = (),
    facts: dict[str, ModelFacts] | None = None,
) -> MeasuredReport:
    book = AccuracyBook()
    book.add(stated_on_command_line(text) for text in accuracy)
    results = Results(runs=list(runs), energies=[(Path("some.energy.json"), energy) for energy in energies])
    return measured_report(results, book, facts or {})


def rows_of(table: ReportTable) -> dict[str, ReportRow]:
    return {row.artifact: row for row in table.rows}


def test_latency_and_energy_of_one_artifact_make_one_row_with_efficiency() -> None:
    report = report_of([run_of("a.onnx", 30.0)], [energy_of("a.onnx", 120.0)], ["a=75.0"])
    (table,) = report.tables
    (row,) = table.rows
    assert row.latency_ms is not None and row.latency_ms.mean == pytest.approx(30.0, rel=0.01)
    assert row.median_low_ms is not None and row.median_low_ms < 30.3
    assert row.energy_mj is not None and (row.energy_mj.mean, row.energy_mj.sd) == (120.0, pytest.approx(9.6))
    assert row.power_w is not None and row.power_w.mean == pytest.approx(4.1)
    assert row.efficiency == pytest.approx(75.0 / 120.0)
    assert (row.latency_status, row.energy_status) == ("valid", "verified")
    assert table.plots == (Cost.LATENCY, Cost.ENERGY, Cost.SIZE)


def test_tables_that_differ_only_in_how_the_same_files_were_run_share_a_plot_of_sizes() -> None:
    """Not where another file stands in one, or one of them answered wrongly there."""
    stated = ["a=75", "b=80", "c=70"]
    runs = [run_of(name, 30.0, threads=threads) for threads in (1, 4) for name in ("a.onnx", "b.onnx")]
    elsewhere = [run_of(name, 9.0, device="R5CR") for name in ("a.onnx", "b.onnx")]
    one, four, other = report_of([*runs, *elsewhere], accuracy=stated).tables
    assert [table.sizes_in for table in (one, four, other)] == ["", one.title, ""]
    assert one.plots == four.plots == one.drawn == (Cost.LATENCY, Cost.SIZE)
    assert four.drawn == (Cost.LATENCY,) and other.drawn == other.plots
    more = report_of([*runs, run_of("c.onnx", 20.0, threads=4)], accuracy=stated).tables
    wrong = report_of([*runs[:3], run_of("b.onnx", 30.0, threads=4, verification=WRONG)], accuracy=stated).tables
    assert [table.sizes_in for table in (*more, *wrong)] == [""] * 4


OTHERS = {
    "device": {"device": "R5CR"},
    "threads": {"threads": 4},
    "input size": {"side": 256},
    "runtime": {"runtime": "onnxruntime 1.18.0"},
}


@pytest.mark.parametrize("difference", OTHERS)
def test_what_differs_in_one_condition_never_shares_a_table(difference: str) -> None:
    other = run_of("b.onnx", 10.0, **OTHERS[difference])  # type: ignore[arg-type]
    report = report_of([run_of("a.onnx", 30.0), other], accuracy=["a=75", "b=80"])
    assert [len(table.rows) for table in report.tables] == [1, 1]
    assert all(front_of(table, Cost.LATENCY) == [table.rows[0].model] for table in report.tables)
    titles = {table.title for table in report.tables}
    assert len(titles) == 2
    assert len({table.slug for table in report.tables}) == 2


@pytest.mark.parametrize("change", [{"affinity": "f0"}, {"gap_ms": 20.0}])
def test_other_cores_or_gaps_are_other_conditions_too(change: dict[str, object]) -> None:
    run = run_of("b.onnx", 10.0)
    other = msgspec.structs.replace(run, workload=msgspec.structs.replace(run.workload, **change))
    assert len(report_of([run_of("a.onnx", 30.0), other]).tables) == 2


def test_wrong_outputs_keep_latency_and_energy_off_every_front() -> None:
    runs = [run_of("a.onnx", 30.0), run_of("wrong.onnx", 1.0, verification=WRONG)]
    report = report_of(runs, [energy_of("a.onnx", 100.0), energy_of("wrong.onnx", 1.0)], ["a=75", "wrong=99"])
    (table,) = report.tables
    row = rows_of(table)["wrong.onnx"]
    assert (row.latency_status, row.energy_status, row.efficiency) == ("failed", "failed", None)
    assert row.latency_dominance is None and row.energy_dominance is None
    assert any("outputs on the device are wrong" in reason for reason in row.reasons)
    assert front_of(table, Cost.ENERGY) == ["a"]
    assert table.rows[-1].artifact == "wrong.onnx"


def test_what_is_noisy_or_unverified_is_marked_and_may_stand_on_a_front() -> None:
    report = report_of(
        [run_of("a.onnx", 30.0, sd=0.4)], [energy_of("a.onnx", 100.0, verified=False)], ["a=75"]
    )  # fmt: skip
    (row,) = report.tables[0].rows
    assert (row.latency_status, row.energy_status) == ("noisy", "unverified")
    assert row.latency_dominance is not None and row.latency_dominance.on_front
    assert any(reason.startswith("latency noisy") for reason in row.reasons)
    assert any(reason.startswith("energy unverified") for reason in row.reasons)


def test_a_run_that_never_started_stands_with_the_others_of_its_format() -> None:
    report = report_of([run_of("a.onnx", 30.0), failed_run("broken.onnx")], accuracy=["a=75", "broken=80"])
    (table,) = report.tables
    row = rows_of(table)["broken.onnx"]
    assert (row.latency_status, row.latency_ms, row.latency_dominance) == ("failed", None, None)
    assert "the runner was killed" in row.reasons[0]


def test_energy_without_a_subject_is_named_after_its_file() -> None:
    energy = msgspec.structs.replace(energy_of("a.onnx", 100.0, top1=70.0), subject=None)
    (table,) = report_of(energies=[energy]).tables
    assert table.rows[0].artifact == "some"
    assert table.conditions.device == "device not recorded"
    assert table.rows[0].efficiency == pytest.approx(0.7)


def test_an_energy_that_could_not_be_told_gives_no_number() -> None:
    report = report_of([run_of("a.onnx", 30.0)], [energy_of("a.onnx", None, verified=False)], ["a=75"])
    (row,) = report.tables[0].rows
    assert (row.energy_mj, row.efficiency, row.energy_dominance, row.energy_status) == (None, None, None, "unverified")


def test_each_metric_has_its_own_table_and_rows_without_accuracy_stand_in_all() -> None:
    runs = [run_of("a.onnx", 30.0), run_of("b.onnx", 40.0), run_of("c.onnx", 50.0)]
    report = report_of(runs, accuracy=["a=ap:38.7", "b=miou:39.7"])
    assert {table.metric: sorted(rows_of(table)) for table in report.tables} == {
        Metric.AP: ["a.onnx", "c.onnx"],
        Metric.MIOU: ["b.onnx", "c.onnx"],
    }


def test_namesakes_are_told_apart_by_hash() -> None:
    first, second = run_of("a.onnx", 30.0), run_of("a.onnx", 10.0)
    second = msgspec.structs.replace(second, artifact=msgspec.structs.replace(second.artifact, sha256="f" * 64))
    (table,) = report_of([first, second], accuracy=["a=75"]).tables
    assert sorted(row.model for row in table.rows) == [f"a [{sha_of('a.onnx')[:8]}]", "a [ffffffff]"]
    dominated = [row.latency_dominance.dominated_by for row in table.rows if row.latency_dominance]
    assert dominated == [None, "a [ffffffff]"]


def test_names_lose_suffix_and_size_only_where_they_stay_apart() -> None:
    (table,) = report_of([run_of("m-224x224.onnx", 30.0), run_of("n-224x224.onnx", 30.0)]).tables
    assert sorted(row.model for row in table.rows) == ["m", "n"]
    (table,) = report_of([run_of("m-224x224.onnx", 30.0), run_of("m.onnx", 30.0)]).tables
    assert sorted(row.model for row in table.rows) == ["m-224x224.onnx", "m.onnx"]


def test_facts_fill_size_and_cost_and_random_weights_are_noted() -> None:
    facts = {sha_of("a.onnx"): ModelFacts(parameters=4_070_000, multiply_adds=550_000_000, weights="random, seed 0")}
    report = report_of([run_of("a.onnx", 30.0)], accuracy=["a=75"], facts=facts)
    (row,) = report.tables[0].rows
    assert (row.parameters_m, row.multiply_adds_g) == (pytest.approx(4.07), pytest.approx(0.55))
    assert report.notes == [
        "a.onnx: random weights (random, seed 0), so the accuracy is the architecture's, not the file's"
    ]
    assert report_of([run_of("a.onnx", 30.0)], facts=facts).notes == []


def test_slow_models_are_shown_in_seconds() -> None:
    (table,) = report_of([run_of("a.onnx", 1900.0)], [energy_of("a.onnx", 4400.0)]).tables
    assert (table.latency_unit, table.energy_unit) == ("s", "J")


@pytest.mark.parametrize(
    ("latency_ms", "energy_mj", "units"), [(999.9, 999.9, ("ms", "mJ")), (1000.0, 1000.0, ("s", "J"))]
)
def test_seconds_and_joules_begin_at_a_thousand(latency_ms: float, energy_mj: float, units: tuple[str, str]) -> None:
    run = device_run([[latency_ms] * 10] * 5, name="a.onnx")
    (table,) = report_of([with_artifact(run, "a.onnx")], [energy_of("a.onnx", energy_mj)]).tables
    assert (table.latency_unit, table.energy_unit) == units


def test_the_fastest_decides_the_unit_and_what_failed_comes_last() -> None:
    runs = [run_of("b.onnx", 1900.0), run_of("c.onnx", 30.0), failed_run("a.onnx"), run_of("d.onnx", 9.0)]
    (table,) = report_of(runs).tables
    assert table.latency_unit == "ms"
    assert [row.artifact for row in table.rows] == ["d.onnx", "c.onnx", "b.onnx", "a.onnx"]


def test_energy_alone_orders_by_energy() -> None:
    energies = [energy_of("b.onnx", 300.0), energy_of("a.onnx", 400.0), energy_of("c.onnx", None, verified=False)]
    (table,) = report_of(energies=energies).tables
    assert [row.artifact for row in table.rows] == ["b.onnx", "a.onnx", "c.onnx"]
    assert table.plots == ()
    assert [row.power_w is None for row in table.rows] == [False, False, True]


@pytest.mark.parametrize("energy_mj", [0.0, -3.0])
def test_noise_around_the_background_has_no_efficiency(energy_mj: float) -> None:
    (row,) = report_of([run_of("a.onnx", 30.0)], [energy_of("a.onnx", energy_mj)], ["a=75"]).tables[0].rows
    assert row.energy_mj is not None and row.energy_mj.mean == energy_mj
    assert row.efficiency is None


def test_what_the_user_states_wins_over_manifest_and_record() -> None:
    facts = {sha_of("a.onnx"): ModelFacts(parameters=4_000_000, multiply_adds=500_000_000)}
    book = AccuracyBook()
    stated = StatedModel(top1=80.0, parameters_m=3.5, multiply_adds_g=0.25, label="Mine")
    book.add([Stated("a", stated, "here")])
    energy = energy_of("a.onnx", 100.0, top1=70.0)
    results = Results(runs=[run_of("a.onnx", 30.0)], energies=[(Path("x.energy.json"), energy)])
    (row,) = measured_report(results, book, facts).tables[0].rows
    assert (row.model, row.parameters_m, row.multiply_adds_g) == ("Mine", 3.5, 0.25)
    assert row.accuracy is not None and row.accuracy.value == 80.0
    (kept,) = measured_report(results, AccuracyBook(), facts).tables[0].rows
    assert (kept.parameters_m, kept.multiply_adds_g) == (4.0, 0.5)
    assert kept.accuracy is not None and (kept.accuracy.value, kept.accuracy.source) == (70.0, "energy record")


def test_one_metric_is_not_in_the_title_and_slugs_stay_apart() -> None:
    (table,) = report_of([run_of("a.onnx", 30.0)], accuracy=["a=75"]).tables
    assert table.metric is Metric.TOP1 and "top-1" not in table.title
    both = report_of([run_of("a.onnx", 30.0), run_of("b.onnx", 30.0)], accuracy=["a=75", "b=ap:30"]).tables
    assert [str(table.metric) in table.title for table in both] == [True, True]
    other = run_of("b.onnx", 30.0, device="8BC1!")
    slugs = [table.slug for table in report_of([run_of("a.onnx", 30.0, device="8BC1?"), other]).tables]
    assert slugs[1] == f"{slugs[0]}-2"
    (long,) = report_of([run_of("a.onnx", 30.0, device="x" * 200)]).tables
    assert len(long.slug) == 80


@pytest.mark.parametrize(
    ("gaps", "words"),
    [([300.0], "300 ms between bursts"), ([120.0, 340.0], "120 to 340 ms between bursts"), ([0.0], None), ([], None)],
)
def test_a_table_says_that_energy_was_measured_with_other_pauses(
    tmp_path: Path, gaps: list[float], words: str | None
) -> None:
    made = simulate(scenario_named("clean"), 0)
    made.trace.save(tmp_path / "trace.npz")
    runs = []
    for index, gap_ms in enumerate(gaps):
        run = metered(run_of(f"{index}.onnx", 60.0), made.stamps, tmp_path / "trace.npz")
        assert run.energy is not None
        workload = msgspec.structs.replace(run.energy.layout.workload, gap_ms=gap_ms)
        layout = msgspec.structs.replace(run.energy.layout, workload=workload)
        asked = msgspec.structs.replace(run.workload, gap_ms=None)
        runs.append(
            msgspec.structs.replace(run, workload=asked, energy=msgspec.structs.replace(run.energy, layout=layout))
        )
    results = Results(
        runs=[*runs, run_of("plain.onnx", 60.0)],
        energies_of_runs={index: energy_of(f"{index}.onnx", 100.0) for index in range(len(runs))},
    )
    (table,) = measured_report(results, AccuracyBook(), {}).tables
    assert (words or "") in table.caption and bool(table.caption) == (words is not None)


STATED = ("edgevit-s-224x224=81.0", "edgevit-s-224x224-int8=79.0", "edgevit-s-224x224-int8-static-100-1a2b3c4d=80.6")


def test_precisions_of_one_runtime_stand_on_one_front_under_names_that_tell_them() -> None:
    (table,) = report_of(three_precisions(), accuracy=STATED).tables
    assert {row.model: row.precision for row in table.rows} == {
        "edgevit-s fp32": "fp32", "edgevit-s int8 dynamic": "int8 dynamic", "edgevit-s int8 static": "int8 static",
    }  # fmt: skip
    assert front_of(table, Cost.LATENCY) == ["edgevit-s int8 static", "edgevit-s fp32"]
    assert front_of(table, Cost.SIZE) == ["edgevit-s int8 dynamic", "edgevit-s int8 static", "edgevit-s fp32"]
    assert [row.size_bytes for row in table.rows] == [14_100_000, 14_000_000, 52_000_000]


def test_float32_alone_needs_no_word_and_int8_alone_has_it() -> None:
    plain, dynamic, _ = three_precisions()
    names = [[row.model for row in report_of([run]).tables[0].rows] for run in (plain, dynamic)]
    assert names == [["edgevit-s"], ["edgevit-s int8 dynamic"]]


def test_a_label_for_all_files_of_a_model_is_told_apart_by_the_precision() -> None:
    book = AccuracyBook()
    book.add([Stated("edgevit-s*", StatedModel(label="EdgeViT-S"), "here")])
    book.add([Stated("*-int8.onnx", StatedModel(label="Small int8 (dynamic)"), "here")])
    (table,) = measured_report(Results(runs=three_precisions()), book, {}).tables
    assert [row.model for row in table.rows] == ["EdgeViT-S int8 static", "Small int8 (dynamic)", "EdgeViT-S fp32"]


def test_recipes_that_differ_in_more_than_precision_keep_their_names() -> None:
    plain, dynamic, _ = three_precisions()
    other = in_precision(run_of("edgevit-s-224x224-int8-optimize-none.onnx", 70.0), Precision.INT8)
    (table,) = report_of([plain, dynamic, other]).tables
    assert [row.model for row in table.rows] == [
        "edgevit-s int8 dynamic", "edgevit-s-optimize-none int8 dynamic", "edgevit-s fp32",
    ]  # fmt: skip


def test_an_accuracy_of_the_float_file_is_not_that_of_its_int8_files() -> None:
    (table,) = report_of(three_precisions(), accuracy=["edgevit-s-224x224=81.0"]).tables
    assert [row.model for row in table.rows if row.accuracy] == ["edgevit-s fp32"]
    (table,) = report_of(three_precisions(), accuracy=["edgevit-s*=81.0"]).tables
    assert [row.model for row in table.rows if row.accuracy] == ["edgevit-s fp32"]


def test_a_file_that_answers_wrongly_is_on_no_front_of_sizes() -> None:
    wrong = in_precision(run_of("wrong.onnx", 1.0, verification=WRONG), Precision.INT8, size_bytes=10)
    (table,) = report_of([*three_precisions(), wrong], accuracy=[*STATED, "wrong=99"]).tables
    assert rows_of(table)["wrong.onnx"].size_dominance is None
    assert "wrong int8 dynamic" not in front_of(table, Cost.SIZE)


def test_energy_without_a_record_has_size_and_precision_from_the_manifest() -> None:
    recipe = Recipe(format=Format.ONNX, precision=Precision.INT8)
    facts = {sha_of("a-int8.onnx"): ModelFacts(recipe=recipe, size_bytes=7)}
    (row,) = report_of(energies=[energy_of("a-int8.onnx", 100.0)], facts=facts).tables[0].rows
    assert (row.model, row.precision, row.size_bytes) == ("a int8 dynamic", "int8 dynamic", 7)
