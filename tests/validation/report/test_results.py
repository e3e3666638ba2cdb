"""Reading result directories: what counts, what is named as unreadable, what is left alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_records import energy_of, failed_run, metered, run_of, save_energy, save_run, small_results

from edgevit.errors import ArtifactError, EdgevitExportError, UsageError
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from validation.report.entries import joined_entries
from validation.report.results import read_results


def test_runs_and_energies_are_found_and_everything_else_is_left_alone(tmp_path: Path) -> None:
    small_results(tmp_path)
    (tmp_path / "8BC1" / "run.energy.stamps.json").write_text('{"schema_version": 1, "runs": []}')
    (tmp_path / "list.json").write_text("[1, 2]")
    results = read_results([tmp_path])
    assert (len(results.runs), len(results.energies), len(results.ignored), results.problems) == (8, 4, 2, [])


def test_damaged_and_old_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = save_run(tmp_path, run_of("a.onnx", 10.0))
    (tmp_path / "cut.json").write_bytes(good.read_bytes()[:-100])
    (tmp_path / "old.json").write_text(good.read_text().replace('"schema_version": 2', '"schema_version": 0', 1))
    (tmp_path / "odd.json").write_text(good.read_text().replace('"threads": 1', '"threads": "one"', 1))
    results = read_results([tmp_path])
    assert len(results.runs) == 1
    cut, odd, old = sorted(results.problems)
    assert "cut.json is not a valid JSON text" in cut
    assert "odd.json" in odd and "threads" in odd
    assert "old.json is not a valid DeviceRun record: Invalid enum value 0 - at `$.schema_version`" in old


def test_an_energy_report_of_version_1_is_read(tmp_path: Path) -> None:
    path = save_energy(tmp_path, energy_of("a.onnx", 100.0))
    text = path.read_text()
    assert '"schema_version": 2' in text
    path.write_text(text.replace('"schema_version": 2', '"schema_version": 1', 1))
    results = read_results([tmp_path])
    assert (len(results.energies), results.problems) == (1, [])


def test_nothing_but_damaged_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"no readable results .*cut\.json"):
        read_results([tmp_path])


def test_a_file_named_by_the_user_must_be_a_readable_result(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"cut\.json"):
        read_results([tmp_path / "cut.json"])
    with pytest.raises(UsageError, match="neither the record of a run"):
        read_results([tmp_path / "other.json"])
    assert len(read_results([save_run(tmp_path, run_of("a.onnx", 10.0))]).runs) == 1


@pytest.mark.parametrize("there", [True, False])
def test_no_results_says_how_to_get_some(tmp_path: Path, there: bool) -> None:
    with pytest.raises(UsageError, match=r"no such file|no results") as caught:
        read_results([tmp_path if there else tmp_path / "results"])
    assert "bench" in (caught.value.hint or "")


def test_a_failed_repetition_does_not_stand_beside_the_complete_record(tmp_path: Path) -> None:
    save_run(tmp_path, run_of("a.onnx", 10.0))
    save_run(tmp_path, failed_run("a.onnx"), partial=True)
    save_run(tmp_path, failed_run("b.onnx"), partial=True)
    assert sorted(run.artifact.name for run in read_results([tmp_path]).runs) == ["a.onnx", "b.onnx"]


def test_a_file_reached_twice_counts_once(tmp_path: Path) -> None:
    path = save_run(tmp_path, run_of("a.onnx", 10.0))
    save_energy(tmp_path, energy_of("a.onnx", 100.0))
    results = read_results([tmp_path, path, tmp_path / "8BC1"])
    assert (len(results.runs), len(results.energies)) == (1, 1)


def test_energy_in_a_record_belongs_to_it_and_no_other(tmp_path: Path) -> None:
    """Two records of one file that differ in their gap only: an energy report of its own could join either."""
    made = simulate(scenario_named("clean"), 0)
    path = save_run(tmp_path, run_of("a.onnx", 10.0))
    made.trace.save(path.with_suffix(".energy.npz"))
    gapped = metered(run_of("a.onnx", 11.0), made.stamps, path.with_suffix(".energy.npz"))
    gapped.save(path.with_name("gapped.json"))
    results = read_results([tmp_path])
    (place,) = results.energies_of_runs
    assert results.runs[place] == gapped
    with_energy = [entry for entry in joined_entries(results, {}) if entry.energy is not None]
    assert [entry.conditions.gap_ms for entry in with_energy] == [300.0]
    assert with_energy[0].energy is not None
    assert with_energy[0].energy.energy_mj == pytest.approx(made.truth.active_mj, rel=0.02)


def test_a_trace_that_is_lost_costs_the_energy_alone(tmp_path: Path) -> None:
    made = simulate(scenario_named("clean"), 0)
    path = save_run(tmp_path, run_of("a.onnx", 10.0))
    trace = path.with_suffix(".energy.npz")
    made.trace.save(trace)
    metered(run_of("a.onnx", 11.0), made.stamps, trace).save(path)
    trace.unlink()
    results = read_results([tmp_path])
    assert len(results.runs) == 1 and results.energies_of_runs == {}
    assert "the power trace of a.onnx on 8BC1 is not there" in results.problems[0]


@pytest.mark.parametrize("damage", ["no trace", "no runs in it"])
def test_a_trace_that_cannot_be_judged_costs_its_energy_alone(tmp_path: Path, damage: str) -> None:
    """It is the file that was recorded, by its hash: written half, or of a meter that saw nothing."""
    made = simulate(scenario_named("clean"), 0)
    path = save_run(tmp_path, run_of("a.onnx", 10.0))
    other = save_run(tmp_path, run_of("b.onnx", 10.0))
    trace = path.with_suffix(".energy.npz")
    if damage == "no trace":
        trace.write_bytes(b"PK")
    else:
        replace(made.trace, power_mw=np.full_like(made.trace.power_mw, np.nan)).save(trace)
    metered(run_of("a.onnx", 11.0), made.stamps, trace).save(path)
    results = read_results([tmp_path])
    assert {run.artifact.name for run in results.runs} == {"a.onnx", "b.onnx"} and other.is_file()
    assert results.energies_of_runs == {}
    assert len(results.problems) == 1 and path.with_suffix("").name in results.problems[0]
    with pytest.raises(EdgevitExportError):
        read_results([path])


@pytest.mark.parametrize(
    "text", ['{"artifact": {}}', '{"workload": {}}', '{"settings": {}}', '{"trace": {}}', '{"method": "aligned"}']
)
def test_half_of_what_tells_a_result_is_none(tmp_path: Path, text: str) -> None:
    save_run(tmp_path, run_of("a.onnx", 10.0))
    (tmp_path / "other.json").write_text(text)
    results = read_results([tmp_path])
    assert (results.ignored, results.problems) == ([tmp_path / "other.json"], [])
    with pytest.raises(UsageError, match="neither the record of a run nor an energy report"):
        read_results([tmp_path / "other.json"])


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    path = save_run(tmp_path, run_of("a.onnx", 10.0))
    path.with_name(".a.onnx.json").write_text("{")
    results = read_results([tmp_path])
    assert (len(results.runs), results.problems, results.sources) == (1, [], [tmp_path])
