"""The energy commands: simulate, analyze, meters."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from report_records import metered, run_of
from typer.testing import CliRunner

from edgevit.errors import FailureError, MeterError, MissingDependencyError, UsageError
from edgevit.installation import install_extra
from edgevit_export.__main__ import run
from edgevit_export.commands.energy import app, parse_top1
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import SimulationTruth, simulate
from runtimes.power.stamps import RunStamps
from validation.energy.report import EnergyReport
from validation.energy.tables import headline

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("energy")
    result = RUNNER.invoke(app, ["simulate", "--scenario", "short", "--seed", "3", "-o", str(output)])
    assert result.exit_code == 0
    return output


def test_simulate_prints_paths_and_writes_trace_stamps_and_truth(written: Path) -> None:
    truth = SimulationTruth.load(written / "short-3.truth.json")
    assert truth.active_mj == simulate(scenario_named("short"), 3).truth.active_mj
    names = {path.name for path in written.iterdir()}
    assert names == {"short-3.csv", "short-3.stamps.json", "short-3.truth.json"}


def test_a_scenario_of_two_lengths_tells_what_one_inference_more_draws(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["simulate", "--scenario", "locked-load", "-o", str(tmp_path), "--npz"])
    truth = SimulationTruth.load(tmp_path / "locked-load-0.truth.json")
    assert f"one inference more in a burst: {truth.slope_mj:.3f} mJ" in result.output
    stamps = RunStamps.load(tmp_path / "locked-load-0.stamps.json")
    assert stamps.counts == truth.counts and len(stamps.controls) == 10


def test_analyze_with_stamps_is_verified_and_right(written: Path, tmp_path: Path) -> None:
    arguments = ["analyze", str(written / "short-3.csv"), "--stamps", str(written / "short-3.stamps.json")]
    result = RUNNER.invoke(app, [*arguments, "--runs", "50", "--top1", "80", "--save", str(tmp_path / "r.json")])
    assert result.exit_code == 0, result.output
    report = EnergyReport.load(tmp_path / "r.json")
    assert f"verdict: verified, all {len(report.checks)} checks passed" in result.output
    assert "50 of 50" in result.output and f"{headline(report)}\n" in result.output
    truth = SimulationTruth.load(written / "short-3.truth.json")
    assert report.energy_mj == pytest.approx(truth.active_mj, rel=0.01)
    assert report.trace.source.endswith("short-3.csv")


def test_a_foreign_trace_is_read_as_its_options_say(written: Path, tmp_path: Path) -> None:
    rows = np.loadtxt(written / "short-3.csv", delimiter=",", skiprows=1)[:, :3] * (1e3, -1e-3, 1e3)
    foreign = tmp_path / "foreign.csv"
    text = "\n".join("|".join(f"{cell:.6f}" for cell in row) for row in rows).replace("nan", "").replace(".", ",")
    foreign.write_text(f"time|current|voltage\n{text}\n", encoding="utf-16")
    stamps = ["--stamps", str(written / "short-3.stamps.json")]
    options = ["--delimiter", "|", "--decimal", ",", "--units", "time=ms,current=-A,voltage=mV"]
    result = RUNNER.invoke(app, ["analyze", str(foreign), *stamps, *options, "--json"])
    assert result.exit_code == 0, result.output
    truth = SimulationTruth.load(written / "short-3.truth.json")
    assert json.loads(result.stdout)["energy_mj"] == pytest.approx(truth.active_mj, rel=0.01)
    for left_out, words in ((options[2:], "a heading only where"), (options[:4], "names no unit")):
        failed = RUNNER.invoke(app, ["analyze", str(foreign), *stamps, *left_out]).exception
        assert isinstance(failed, MeterError) and words in failed.message
    wrong = RUNNER.invoke(app, ["analyze", str(foreign), *stamps, *options[:-1], "watts=W"]).exception
    assert isinstance(wrong, UsageError) and "unknown column 'watts'" in wrong.message


def test_analyze_json_is_the_record_alone(written: Path) -> None:
    result = RUNNER.invoke(app, ["analyze", str(written / "short-3.csv"), "--runs", "50", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "unverified"


def test_analyze_without_a_figure_still_prints(written: Path) -> None:
    result = RUNNER.invoke(app, ["analyze", str(written / "short-3.csv"), "--runs", "23"])
    assert result.exit_code == 1
    assert "energy per inference: unknown" in result.output
    assert "regions, not 23" in result.output


def test_verbose_lists_every_check_and_fits_80_columns(written: Path) -> None:
    arguments = ["analyze", str(written / "short-3.csv"), "--stamps", str(written / "short-3.stamps.json")]
    checks = json.loads(RUNNER.invoke(app, [*arguments, "--json"]).stdout)["checks"]
    quiet, verbose = RUNNER.invoke(app, arguments).stdout, RUNNER.invoke(app, [*arguments, "-v"]).stdout
    lines = verbose.splitlines()
    for check in checks:
        (row,) = [line for line in lines if line.startswith(f"{check['name']}  ")]
        assert check["bound"] in row and row.rstrip().endswith(("yes", "yes*")) and row not in quiet.splitlines()
    assert [line for line in lines if len(line.rstrip()) > 80 and not line.startswith("  - ")] == []


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_plot_is_drawn_beside_the_report(written: Path, tmp_path: Path, suffix: str) -> None:
    arguments = ["analyze", str(written / "short-3.csv"), "--stamps", str(written / "short-3.stamps.json")]
    plot = tmp_path / "new" / f"p.{suffix}"
    result = RUNNER.invoke(app, [*arguments, "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    assert result.stdout == RUNNER.invoke(app, arguments).stdout
    assert plot.stat().st_size > 10_000 and list(plot.parent.iterdir()) == [plot]


def test_a_plot_that_cannot_be_drawn_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.csv").touch()
    arguments = ["analyze", str(tmp_path / "none.csv"), "--runs", "5", "--save", str(tmp_path / "r.json"), "--plot"]
    assert "ends in .png, .svg, .pdf" in str(RUNNER.invoke(app, [*arguments, str(tmp_path / "p.gif")]).exception)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    failed = RUNNER.invoke(app, [*arguments, str(tmp_path / "p.png")]).exception
    assert isinstance(failed, MissingDependencyError) and failed.hint == install_extra("report")
    assert [path.name for path in tmp_path.iterdir()] == ["none.csv"]


@pytest.mark.parametrize("option", ["--save", "--plot"])
def test_a_disk_that_is_full_behind_the_work_costs_no_record_and_is_no_wrong_request(
    written: Path, option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "full.svg"  # a place that can be written to until it is
    full.symlink_to("/dev/full")
    trace = [str(written / "short-3.csv"), "--stamps", str(written / "short-3.stamps.json")]
    assert run(["energy", "analyze", *trace, option, str(full), "--json", "--quiet"]) == FailureError.exit_code
    seen = capfd.readouterr()
    document = json.loads(seen.out)
    assert document["energy_mj"] > 0
    assert (document["error"]["kind"], document["error"]["exit_code"]) == ("failure", 5)
    assert f"cannot write {full}: No space left on device" in document["error"]["message"]
    assert seen.err.startswith(f"error: cannot write {full}: No space left on device\n")
    assert run(["energy", "analyze", *trace, option, str(full)]) == FailureError.exit_code
    assert "mJ" in capfd.readouterr().out


@pytest.mark.parametrize("option", ["--save", "--plot"])
def test_what_cannot_be_written_is_said_in_words(written: Path, tmp_path: Path, option: str) -> None:
    arguments = ["analyze", str(written / "short-3.csv"), "--stamps", str(written / "short-3.stamps.json"), option]
    (tmp_path / "file").write_text("kept")
    (tmp_path / "there.svg").mkdir()
    for where, why in (("file/new/x.svg", "file is a file, not a directory"), ("there.svg", "it is a directory")):
        failed = RUNNER.invoke(app, [*arguments, str(tmp_path / where)]).exception
        assert isinstance(failed, UsageError) and failed.message.startswith(f"cannot write {tmp_path / where}: ")
        assert why in failed.message
    assert (tmp_path / "file").read_text() == "kept" and len(list(tmp_path.iterdir())) == 2


def test_what_is_read_is_never_written_over(written: Path, tmp_path: Path) -> None:
    trace, stamps = written / "short-3.csv", written / "short-3.stamps.json"
    before = [path.read_bytes() for path in (trace, stamps)]
    arguments = ["analyze", str(trace), "--stamps", str(stamps)]
    (tmp_path / "link.json").symlink_to(stamps)
    same = str(tmp_path / "x.svg")
    for options in (
        ["--save", str(trace)], ["--save", str(stamps)], ["--save", str(written / ".." / written.name / trace.name)],
        ["--save", str(tmp_path / "link.json")], ["--save", same, "--plot", same],
    ):  # fmt: skip
        failed = RUNNER.invoke(app, [*arguments, *options]).exception
        assert isinstance(failed, UsageError) and "would be overwritten" in failed.message
    assert [path.read_bytes() for path in (trace, stamps)] == before and not Path(same).exists()


def test_a_simulation_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "short-0.stamps.json").mkdir()
    for output, why in ((tmp_path / "file", "is a file, not a directory"), (tmp_path, "it is a directory")):
        for options in ([], ["--npz"]):
            result = RUNNER.invoke(app, ["simulate", "--scenario", "short", "-o", str(output), *options])
            assert isinstance(result.exception, UsageError) and why in result.exception.message
    assert (tmp_path / "file").read_text() == "kept" and not list(tmp_path.glob(".*"))


def test_errors_are_passed_to_the_front_door(tmp_path: Path) -> None:
    (tmp_path / "none.csv").touch()
    result = RUNNER.invoke(app, ["analyze", str(tmp_path / "none.csv"), "--runs", "50"])
    assert isinstance(result.exception, MeterError)
    result = RUNNER.invoke(app, ["simulate", "--scenario", "x", "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert [path.name for path in tmp_path.iterdir()] == ["none.csv"]


def test_scenarios_and_meters_are_listed() -> None:
    assert "ramp-tail" in RUNNER.invoke(app, ["simulate", "--list"]).output
    result = RUNNER.invoke(app, ["meters", "--json"])
    assert [row["name"] for row in json.loads(result.stdout)["meters"]] == [
        "monsoon",
        "battery",
        "rails",
        "hwmon",
        "rapl",
    ]
    assert "usable here" in RUNNER.invoke(app, ["meters"]).output


def test_accuracy_as_stated() -> None:
    assert parse_top1(None) is None
    assert parse_top1(["81.0", "xs.onnx=77.5"]) == {"": 81.0, "xs.onnx": 77.5}
    with pytest.raises(UsageError, match="expected PERCENT"):
        parse_top1(["good"])


def test_a_record_of_bench_is_analysed_by_itself(tmp_path: Path) -> None:
    made = simulate(scenario_named("clean"), 0)
    trace, record = tmp_path / "a.energy.npz", tmp_path / "a.json"
    made.trace.save(trace)
    metered(run_of("a.onnx", 60.0), made.stamps, trace).save(record)
    result = RUNNER.invoke(app, ["analyze", str(record), "--top1", "80", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["subject"]["artifact"] == "a.onnx" and report["top1_percent"] == 80.0
    assert report["energy_mj"] == pytest.approx(made.truth.active_mj, rel=0.02)
    drawn = RUNNER.invoke(app, ["analyze", str(record), "--plot", str(tmp_path / "p.svg")])
    assert drawn.exit_code == 0 and "windows (50)" in (tmp_path / "p.svg").read_text()
    lost = RUNNER.invoke(app, ["analyze", str(record), "--save", str(record)]).exception
    assert "would be overwritten" in str(lost)
    for words, message in ((["--runs", "5"], "belong to a trace"), (["--stamps", str(record)], "belong to a trace")):
        assert message in str(RUNNER.invoke(app, ["analyze", str(record), *words]).exception)
    for option in ("--delimiter", "--decimal", "--units"):
        assert "belong to a .csv" in str(RUNNER.invoke(app, ["analyze", str(record), option, ","]).exception)
    run_of("b.onnx", 60.0).save(tmp_path / "b.json")
    assert "holds no energy" in str(RUNNER.invoke(app, ["analyze", str(tmp_path / "b.json")]).exception)
    trace.write_bytes(trace.read_bytes() + b"x")
    changed = RUNNER.invoke(app, ["analyze", str(record)]).exception
    assert "is not the power trace of its record" in str(changed)
