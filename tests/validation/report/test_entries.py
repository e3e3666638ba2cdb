"""Joining latency and energy of one artifact under one set of conditions."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from report_records import energy_of, failed_run, run_of, sha_of, with_artifact

from edgevit.spec import Layout, TensorSpec
from runtimes.bench.record import DeviceRun
from validation.energy.report import EnergyReport
from validation.report.entries import (
    UNKNOWN_INPUT,
    Entry,
    ModelFacts,
    condition_words,
    grouped,
    input_words,
    joined_entries,
)
from validation.report.results import Results
from validation.report.rows import Conditions


def entries_of(
    runs: Iterable[DeviceRun], energies: Iterable[EnergyReport] = (), facts: dict[str, ModelFacts] | None = None
) -> list[Entry]:
    results = Results(runs=list(runs), energies=[(Path("some.energy.json"), energy) for energy in energies])
    return joined_entries(results, facts or {})


def parts_of(entries: Iterable[Entry]) -> list[tuple[str, bool, bool]]:
    return [(entry.artifact, entry.latency is not None, entry.energy is not None) for entry in entries]


def test_energy_joins_the_latency_of_the_same_file_on_the_same_device() -> None:
    entries = entries_of([run_of("a.onnx", 30.0), run_of("b.onnx", 40.0)], [energy_of("b.onnx", 100.0)])
    assert parts_of(entries) == [("a.onnx", True, False), ("b.onnx", True, True)]


def test_two_energies_of_one_file_make_two_entries() -> None:
    entries = entries_of([run_of("a.onnx", 30.0)], [energy_of("a.onnx", 100.0), energy_of("a.onnx", 101.0)])
    assert parts_of(entries) == [("a.onnx", True, True), ("a.onnx", False, True)]


OTHERWISE: dict[str, dict[str, object]] = {
    "device": {"device": "R5CR"},
    "file": {"sha256": sha_of("b.onnx")},
    "runtime": {"runtime": "onnxruntime 1.18.0"},
    "runner": {"runner": "onnxruntime_perf_test"},
    "threads": {"threads": 2},
    "cores": {"affinity": "f0"},
    "gap": {"gap_ms": 20.0},
    "neither cores nor gap told": {"gap_ms": None},
}


@pytest.mark.parametrize("otherwise", OTHERWISE)
def test_energy_of_something_else_or_of_another_way_of_running_is_not_joined(otherwise: str) -> None:
    energy = energy_of("a.onnx", 100.0)
    assert energy.subject is not None
    other = msgspec.structs.replace(energy, subject=msgspec.structs.replace(energy.subject, **OTHERWISE[otherwise]))
    assert parts_of(entries_of([run_of("a.onnx", 30.0)], [other])) == [("a.onnx", True, False), ("a.onnx", False, True)]
    assert parts_of(entries_of([run_of("a.onnx", 30.0)], [energy])) == [("a.onnx", True, True)]


def test_energy_of_pinned_runs_with_gaps_joins_the_latency_of_such_runs() -> None:
    run, energy = run_of("a.onnx", 30.0), energy_of("a.onnx", 100.0)
    assert energy.subject is not None
    pinned = msgspec.structs.replace(run, workload=msgspec.structs.replace(run.workload, affinity="f0", gap_ms=20.0))
    subject = msgspec.structs.replace(energy.subject, affinity="f0", gap_ms=20.0)
    entries = entries_of([run, pinned], [msgspec.structs.replace(energy, subject=subject)])
    assert parts_of(entries) == [("a.onnx", True, False), ("a.onnx", True, True)]
    alone = entries_of([], [msgspec.structs.replace(energy, subject=subject)])[0].conditions
    assert (alone.affinity, alone.gap_ms) == ("f0", 20.0)


def test_a_run_that_never_started_takes_device_and_runtime_from_the_others_of_its_format() -> None:
    started, broken, other = entries_of([run_of("a.onnx", 30.0), failed_run("b.onnx"), failed_run("c.tflite")])
    assert broken.conditions == started.conditions
    assert (other.conditions.device, other.conditions.runtime) == (started.conditions.device, "")
    assert [len(group) for group in grouped([started, broken, other])] == [2, 1]


def test_repetitions_of_one_file_are_told_apart_by_date() -> None:
    again = msgspec.structs.replace(run_of("a.onnx", 31.0), created_utc="2026-02-02T00:00:00+00:00")
    suffixes = [entry.suffix for entry in entries_of([run_of("a.onnx", 30.0), again, run_of("b.onnx", 10.0)])]
    assert suffixes == [" [2026-01-01T00:00:00+00:00]", " [2026-02-02T00:00:00+00:00]", ""]


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((1, 3, 224, 256), Layout.NCHW, "224x256"),
        ((1, 224, 256, 3), Layout.NHWC, "224x256"),
        ((1, 224, 256, 3), None, "224x256"),
        ((8, 3, 224, 224), None, "224x224, batch 8"),
        ((1, 7, 7, 768), None, "1x7x7x768"),
        ((1, 128), None, "1x128"),
    ],
)
def test_input_sizes_read_the_same_in_every_layout(
    shape: tuple[int, ...], layout: Layout | None, expected: str
) -> None:
    assert input_words([TensorSpec(name="x", shape=shape, layout=layout)]) == expected


def test_a_record_without_shapes_says_so_unless_the_manifest_knows() -> None:
    run = with_artifact(run_of("a.onnx", 30.0), "a.onnx")
    bare = msgspec.structs.replace(run, artifact=msgspec.structs.replace(run.artifact, inputs=()))
    assert entries_of([bare])[0].conditions.input == UNKNOWN_INPUT
    facts = {sha_of("a.onnx"): ModelFacts(inputs=run.artifact.inputs)}
    assert entries_of([bare], facts=facts)[0].conditions.input == "224x224"


@pytest.mark.parametrize(
    ("change", "joins"),
    [({}, True), ({"threads": 2}, False), ({"runner": "benchmark_model"}, False), ({"runner": "python 7"}, True)],
)
def test_energy_joins_by_threads_and_runner(change: dict[str, object], joins: bool) -> None:
    energy = energy_of("a.onnx", 100.0)
    assert energy.subject is not None
    other = msgspec.structs.replace(energy, subject=msgspec.structs.replace(energy.subject, **change))
    assert len(entries_of([run_of("a.onnx", 30.0)], [other])) == (1 if joins else 2)


def test_an_energy_of_its_own_stands_where_the_records_of_its_device_stand() -> None:
    run, energy = entries_of([run_of("a.onnx", 30.0)], [energy_of("b.onnx", 100.0)])
    assert energy.conditions.device == run.conditions.device == "Maker Phone 1 (8BC1)"
    assert (energy.conditions.runtime, energy.conditions.threads, energy.format) == ("onnxruntime 1.31.1", 1, "onnx")
    assert energy.conditions.input == UNKNOWN_INPUT
    (alone,) = entries_of([], [energy_of("b.onnx", 100.0)])
    assert alone.conditions.device == "8BC1"


def test_namesakes_are_told_apart_by_hash_only_where_all_hashes_differ() -> None:
    first, second = run_of("a.onnx", 30.0), run_of("a.onnx", 31.0)
    other = msgspec.structs.replace(second, artifact=msgspec.structs.replace(second.artifact, sha256="f" * 64))
    assert [entry.suffix for entry in entries_of([first, other])] == [f" [{sha_of('a.onnx')[:8]}]", " [ffffffff]"]
    undated = msgspec.structs.replace(first, created_utc="")
    assert [entry.suffix for entry in entries_of([undated, undated])] == [f" [{sha_of('a.onnx')[:8]}]"] * 2
    two_threads = run_of("a.onnx", 20.0, threads=2)
    assert [entry.suffix for entry in entries_of([first, two_threads])] == ["", ""]


def test_a_failed_run_borrows_no_runtime_from_other_conditions() -> None:
    _, broken = entries_of([run_of("a.onnx", 30.0, threads=4), failed_run("b.onnx")])
    assert broken.conditions.runtime == ""
    _, square = entries_of([run_of("a.onnx", 30.0, side=256), failed_run("b.onnx")])
    assert square.conditions.runtime == ""


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((2, 3, 8, 9), Layout.NCHW, "8x9, batch 2"),
        ((-1, 3, 8, 9), Layout.NCHW, "8x9"),
        ((1, 8, 9, 1), None, "8x9"),
        ((1, 4, 8, 9), None, "8x9"),
        ((1, 8, 9, 5), Layout.NHWC, "8x9"),
        ((1, 5, 8, 9), Layout.NCHW, "8x9"),
        ((1, 2, 8, 9), None, "1x2x8x9"),
        ((1, 3, 8, 9, 3), None, "1x3x8x9x3"),
    ],
)
def test_which_sides_are_an_images(shape: tuple[int, ...], layout: Layout | None, expected: str) -> None:
    assert input_words([TensorSpec(name="x", shape=shape, layout=layout)]) == expected
    assert input_words([TensorSpec(name="x", shape=shape, layout=layout)] * 2) == f"{expected}, {expected}"


def test_titles_leave_out_what_is_usual() -> None:
    usual = Conditions(device="Phone", runtime="rt 1", runner="python 1", threads=1, input="224x224")
    assert condition_words(usual) == ["Phone", "rt 1", "1 thread", "224x224"]
    odd = Conditions(device="Phone", runner="benchmark_model 2", threads=4, input="", affinity="f0", gap_ms=2.5)
    assert condition_words(odd) == [
        "Phone", "runner benchmark_model 2", "4 threads", "core mask f0", "2.5 ms between runs"
    ]  # fmt: skip
    assert condition_words(Conditions(device="Phone")) == ["Phone"]
