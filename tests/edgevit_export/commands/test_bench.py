"""``bench`` on the command line: options, exit codes, tables, JSON and files."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from bench_rig import misbehaving_python
from latency_records import device_run, normal_rounds
from report_records import three_precisions
from small_artifacts import write_artifact
from stamp_meter import StampMeter
from typer.testing import CliRunner, Result

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.records import sha256_file
from edgevit_export.app import app
from edgevit_export.commands import bench as bench_command
from edgevit_export.commands.bench import BenchOptions, parse_threads, print_runs, request_of
from edgevit_export.workflows.subjects import find_subjects
from export.artifact import Manifest
from export.recipe import Format, Precision
from runtimes.bench import measure as measure_module
from runtimes.bench.record import DeviceRun, RunFailure
from runtimes.bench.request import BenchRequest, Conditions, MeterRequest
from runtimes.power.meter import MeterOptions
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.runners.workload import Workload
from validation.energy.analysis import analyze_energy
from validation.energy.tables import half_mj, with_uncertainty

QUICK = ("--runs", "4", "--rounds", "2", "--warmup", "1")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("artifacts")
    write_artifact(directory, Format.ONNX)
    return directory


@pytest.fixture
def artifacts(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy, and nothing of the user's own environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(written, tmp_path / "artifacts"))


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def error_of(result: Result) -> EdgevitExportError:
    assert isinstance(result.exception, EdgevitExportError), result.output
    return result.exception


def test_bench_verifies_and_writes_every_kind_of_record(artifacts: Path, tmp_path: Path) -> None:
    result = invoke(
        "bench", artifacts, "-d", "host", *QUICK, "--csv", "r/a.csv", "--markdown", "r/a.md", "-o", "results"
    )
    assert result.exit_code == 0, result.output
    assert "passed" in result.stdout
    (stored,) = (tmp_path / "results" / "host").glob("*.json")
    run = DeviceRun.load(stored)
    parity = run.rounds[0].verification.parity
    assert parity is not None
    assert (parity.passed, parity.inputs_compared) == (True, 18)
    assert (tmp_path / "r" / "a.md").read_text().startswith("| artifact |")
    assert "small0.onnx" in (tmp_path / "r" / "a.csv").read_text()
    again = invoke("bench", artifacts, "-d", "host", *QUICK, "--resume", "--json")
    (report,) = json.loads(again.stdout)["latency"]
    assert report["count"] == 4
    assert DeviceRun.load(stored) == run


@pytest.mark.parametrize("format", [Format.PTL, Format.TFLITE])
def test_files_of_the_other_formats_open_in_the_runner_that_travels(
    artifacts: Path, tmp_path: Path, format: Format
) -> None:
    """The runner has no msgspec and none of the writers; ONNX is everywhere else."""
    write_artifact(tmp_path / "one", format)
    result = invoke("bench", tmp_path / "one", "-d", "host", *QUICK, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["latency"][0]["verification"] == "passed"


def test_a_wrong_artifact_is_failed_not_fast(artifacts: Path, tmp_path: Path) -> None:
    other = write_artifact(tmp_path / "other", Format.ONNX, seed=1)
    target = artifacts / "small0.onnx"
    target.write_bytes((other.parent / "small1.onnx").read_bytes())
    path = artifacts / "small0.onnx.json"
    manifest = msgspec.structs.replace(Manifest.load(path), sha256=sha256_file(target), bytes=target.stat().st_size)
    manifest.save(path)
    result = invoke("bench", artifacts, "-d", "host", *QUICK, "--json")
    (report,) = json.loads(result.stdout)["latency"]
    assert (report["verdict"], report["verification"], result.exit_code) == ("failed", "failed", 1)
    assert "the outputs on the device are wrong" in report["reasons"][0]


def test_a_file_without_a_manifest_is_measured_but_not_verified(artifacts: Path) -> None:
    (artifacts / "small0.onnx.json").unlink()
    result = invoke("bench", artifacts / "small0.onnx", "-d", "host", *QUICK, "--json")
    assert result.exit_code == 0, result.output
    (report,) = json.loads(result.stdout)["latency"]
    assert report["verification"] == "not verified"
    assert report["verdict"] in ("unverified", "noisy", "throttled")


def test_dry_run_prints_the_plan_and_does_nothing(artifacts: Path, tmp_path: Path) -> None:
    result = invoke("bench", artifacts, "-d", "host", *QUICK, "--dry-run", "--threads", "1,2")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("run  round") == 4
    assert "push" in result.stdout
    assert not (tmp_path / "results").exists()
    (plan,) = json.loads(invoke("bench", artifacts, "-d", "host", *QUICK, "--dry-run", "--json").stdout)["plans"]
    assert [run["round"] for run in plan["runs"]] == [0, 1]


def test_a_dry_run_says_how_the_run_under_a_meter_would_be_laid_out(artifacts: Path, tmp_path: Path) -> None:
    """Without the meter, which this machine has not."""
    words = ("bench", artifacts, "-d", "host", *QUICK, "--energy", "monsoon", "--dry-run", "--gap-spread", "0.5")
    result = invoke(*words, "--controls", "1")
    assert result.exit_code == 0, result.output
    said = [line for line in result.stdout.splitlines() if line.startswith("energy small0.onnx-")]
    assert len(said) == 3
    assert "if one inference takes 100 ms: 4 bursts of 1 or 3, 1 control, " in said[1]
    (plan,) = json.loads(invoke(*words, "--controls", "1", "--json").stdout)["plans"]
    assert plan["energy"] == said
    assert not (tmp_path / "results").exists()


def test_a_recorded_session_is_replayed_without_the_device(artifacts: Path, tmp_path: Path) -> None:
    recorded = invoke("bench", artifacts, "-d", "host", *QUICK, "--record", "session.json", "--json")
    assert recorded.exit_code == 0, recorded.output
    shutil.rmtree(next(tmp_path.glob("edgevit-export-*")))
    replayed = invoke("bench", artifacts, *QUICK, "--replay", "session.json", "-o", "again", "--json")
    assert replayed.exit_code == 0, replayed.output
    first, second = (json.loads(each.stdout)["latency"][0] for each in (recorded, replayed))
    assert first["mean_ms"] == second["mean_ms"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bench", "nowhere"), "nowhere"),
        (("bench", "artifacts", "--threads", "0"), "--threads '0'"),
        (("bench", "artifacts", "-d", "host", "--affinity", "huge"), "--affinity 'huge'"),
        (("bench", "artifacts", "--burst", "3"), "--burst without --energy"),
        (("bench", "artifacts", "--idle", "4"), "--idle without --energy"),
        (("bench", "artifacts", "--cooldown", "60"), "--cooldown without --max-temp"),
        (("bench", "artifacts", "--energy", "monsoon", "--replay", __file__), "--energy with --replay"),
        (("bench", "artifacts", "--controls", "3", "--gap-spread", "0"), "--gap-spread, --controls without --energy"),
        (("bench", "artifacts", "--burst-factors", "1,x", "--energy", "monsoon"), "--burst-factors '1,x': expected"),
        (("bench", "artifacts", "-d", "host", "--energy", "rapl", "--gap-spread", "2"), "--gap-spread 2: expected"),
        (("bench", "artifacts", "-d", "host", "--energy", "rapl", "--gap", "0", "--controls", "2"), "without gaps"),
        (("bench", "artifacts", "--energy", "volta"), "volta"),
        (("bench", "artifacts", "-d", "host", "--energy", "battery"), "battery is read from an Android device"),
        (("bench", "artifacts", "-d", "host", "--energy", "rapl", "--vout", "4"), "has no serial and no voltage"),
    ],
)
def test_bad_requests_name_what_is_wrong(artifacts: Path, words: tuple[str, ...], message: str) -> None:
    error = error_of(invoke(*words))
    assert isinstance(error, UsageError)
    assert message in error.message
    assert error.exit_code == 2
    assert not Path("results").exists(), "nothing was measured"


def test_one_accuracy_for_several_precisions_is_refused(artifacts: Path) -> None:
    (subject,) = find_subjects([artifacts]).subjects
    assert subject.recipe is not None
    recipe = msgspec.structs.replace(subject.recipe, precision=Precision.INT8)
    other = dataclasses.replace(subject, name="small-int8.onnx", recipe=recipe)
    meter = MeterRequest(name="rapl", top1={"": 81.0})
    with pytest.raises(UsageError, match="--top1 81 for files in fp32, int8 dynamic: each precision has its own"):
        bench_command._require_own_top1(meter, [subject, other])
    bench_command._require_own_top1(meter, [subject, subject])
    bench_command._require_own_top1(None, [subject, other])
    named = msgspec.structs.replace(meter, top1={"": 81.0, "small-int8.onnx": 79.0})
    bench_command._require_own_top1(named, [subject, other])


def test_the_precision_is_a_column_of_the_closing_table_and_of_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"csv": tmp_path / "a.csv", "markdown": tmp_path / "a.md"}
    assert print_runs(three_precisions(), BenchOptions(artifacts=[], **files)) == 0
    assert "int8 static" in capsys.readouterr().out
    assert all("int8 dynamic" in path.read_text(encoding="utf-8") for path in files.values())
    assert print_runs(three_precisions()[:1], BenchOptions(artifacts=[], **files)) == 0
    assert "precision" not in capsys.readouterr().out + files["markdown"].read_text(encoding="utf-8")
    assert "fp32" in files["csv"].read_text(encoding="utf-8")


@pytest.mark.realtime
def test_energy_is_measured_behind_the_latencies(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command gives both records and one JSON object; the meter draws what really ran."""
    meter = StampMeter(tmp_path, cuts_usb=False)
    monkeypatch.setattr(measure_module, "open_meter", lambda *_, **__: meter)
    words = (
        "--energy",
        "monsoon",
        "--burst",
        "1000",
        "--burst-factors",
        "1",
        "--controls",
        "0",
        "--idle",
        "2",
        "--gap",
        "40",
        "--top1",
        "77.5",
    )
    result = invoke("bench", artifacts, "-d", "host", *QUICK, *words, "--json", "-o", "results")
    found = json.loads(result.stdout)
    assert [len(found[kind]) for kind in ("latency", "energy")] == [1, 1]
    (energy,) = found["energy"]
    assert energy["top1_percent"] == 77.5
    assert energy["inferences"] == 4 * 1000
    assert energy["energy_mj"] > 0
    assert result.exit_code == int(energy["verdict"] != "verified")
    (stored,) = (tmp_path / "results" / "host").glob("*.json")
    record = DeviceRun.load(stored)
    assert record.complete and record.energy is not None
    assert stored.with_name(record.energy.trace_file).is_file()
    assert meter.calls[0] == "prepare" and meter.calls[-1] == "close"


def test_threads_are_parsed() -> None:
    assert parse_threads("1, 2,4,2") == (1, 2, 4)
    for wrong in ("", "0", "1,x", "-1", "1.5", "1,", "²", "٣", "9" * 5000):
        with pytest.raises(UsageError, match="expected positive numbers"):
            parse_threads(wrong)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, 0),
        ({"failure": RunFailure(message="lost", exit_code=4)}, 4),
        ({"failure": RunFailure(message="it cannot pause", exit_code=2)}, 2),
        ({"energy_failure": RunFailure(message="unplugged", hint="plug it in", exit_code=4)}, 4),
    ],
)
def test_records_stand_for_exit_codes(
    given: dict[str, RunFailure], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also beside one that is fine; a reason is told on stderr."""
    run = msgspec.structs.replace(device_run(normal_rounds(10.0, seed=0)), **given)
    options = BenchOptions(artifacts=[], energy="monsoon")
    assert print_runs([device_run(normal_rounds(10.0, seed=1)), run], options) == code
    told = capsys.readouterr()
    for failure in given.values():
        assert failure.message in told.err and failure.message not in told.out


@pytest.mark.parametrize(("stamped", "code"), [(True, 0), (False, 1)])
def test_energy_that_nothing_confirms_is_exit_code_1(
    stamped: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = simulate(scenario_named("short"), 4)
    report = analyze_energy(made.trace, stamps=made.stamps) if stamped else analyze_energy(made.trace, runs=50)
    monkeypatch.setattr(bench_command, "_judge_energies", lambda *_: [report])
    run = device_run(normal_rounds(10.0, seed=1))
    assert print_runs([run], BenchOptions(artifacts=[], energy="monsoon")) == code
    told = capsys.readouterr()
    assert f"{with_uncertainty(report.energy_mj, half_mj(report))}  {report.verdict}" in told.out
    assert "± is half of a 95 % interval" in told.out
    assert ("nothing confirms it" in told.err) == (not stamped)


def test_what_is_typed_is_what_is_asked_for() -> None:
    typed = BenchOptions(
        artifacts=[], runs=7, rounds=3, warmup=2, gap=20.0, threads="2,4", affinity="big", max_temp=40.0, cooldown=60.0,
        fixed_performance=True, runner="auto", tools_dir=Path("tools"), python="py", timeout=9.0, resume=True,
        energy="rails", burst=5, burst_factors="1, 4", gap_spread=0.2, controls=6, schedule_seed=2, idle=3.0,
        rails="A, B",
    )  # fmt: skip
    work = Workload(
        runs=7, rounds=3, warmup=2, gap_ms=20.0, burst=5, burst_factors=(1, 4), gap_spread=0.2, controls=6,
        seed=2, affinity="big", timeout_s=9.0,
    )  # fmt: skip
    assert request_of(typed) == BenchRequest(
        workload=work, threads=(2, 4),
        conditions=Conditions(max_temp_c=40.0, cooldown_s=60.0, fixed_performance=True),
        meter=MeterRequest(name="rails", options=MeterOptions(rails=("A", "B")), idle_s=3.0),
        runner="auto", tools_dir="tools", python="py", resume=True,
    )  # fmt: skip
    assert request_of(BenchOptions(artifacts=[])) == BenchRequest()


@pytest.mark.parametrize("option", ["--csv", "--markdown", "--record"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    artifacts: Path, tmp_path: Path, option: str
) -> None:
    error = error_of(invoke("bench", artifacts, "-d", "host", *QUICK, option, tmp_path))
    assert (error.message, error.exit_code) == (f"cannot write {tmp_path}: it is a directory", 2)
    assert not (tmp_path / "results").exists()
    error = error_of(invoke("bench", artifacts, "-d", "host", *QUICK, "--dry-run", option, "a"))
    assert error.message == f"{option} with --dry-run: nothing is measured"


def test_files_that_fail_behind_the_measuring_cost_neither_each_other_nor_the_records(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full looks like a place that can be written to until it is."""
    recorded, markdown = Path("/dev/full"), tmp_path / "a.md"
    options = ("--csv", "/dev/full", "--record", recorded, "--markdown", markdown)
    result = invoke("bench", artifacts, "-d", "host", *QUICK, *options)
    assert result.exit_code == 5, result.output
    assert result.stderr.count("error: cannot write /dev/full: No space left on device") == 2
    assert "passed" in result.stdout and markdown.read_text().startswith("| artifact |")
    assert len(list((tmp_path / "results" / "host").glob("*.json"))) == 1


def test_a_dry_run_names_the_conditions_and_fails_like_the_run(artifacts: Path) -> None:
    asked = ("--dry-run", "--max-temp", "40", "--cooldown", "60", "--fixed-performance")
    result = invoke("bench", artifacts, "-d", "host", *QUICK, *asked)
    assert result.exit_code == 0, result.output
    assert "\nfixed performance mode while measuring\n" in result.stdout
    assert "\nbefore each run: wait for at most 40 °C, for up to 60 s\n" in result.stdout
    codes = [
        invoke("bench", artifacts, "-d", "host", *QUICK, "--python", "/no/python3", *dry).exit_code
        for dry in ((), ("--dry-run",))
    ]
    assert codes == [4, 4]


def test_a_failure_stands_once_above_the_table_and_below_it_where_others_ran_behind(
    artifacts: Path, tmp_path: Path
) -> None:
    words = ("bench", artifacts, "-d", "host", *QUICK, "--python")
    result = invoke(*words, "/no/python3", "--threads", "1,2")
    said = "can run onnx: python: no '/no/python3' on the device"
    assert (result.stderr.count(said), result.stderr.count("devices --setup says")) == (1, 1), result.stderr
    python = misbehaving_python(tmp_path / "python", "echo boom >&2; exit 3")
    last, first = (invoke(*words, python, "--rounds", "1", "--threads", order).stderr for order in ("1,2", "2,1"))
    said = f"small0.onnx on host: '{python}' failed with exit code 3; it printed:\n"
    assert (last.count(said), last.count(" failed with exit code 3")) == (1, 1), last
    below = f"small0.onnx on host, 2 threads: '{python}' failed with exit code 3; it printed:\n"
    assert (first.count(said), first.count(below)) == (1, 1), first


def test_options_that_would_be_ignored_are_refused(artifacts: Path, tmp_path: Path) -> None:
    for words, message in (
        (("-d", "host", "--adb-server", ":5555"), "--adb-server with --device host: this machine is behind no server"),
        (
            ("-d", "host", "--remote-dir", "/x", "--replay", artifacts / "small0.onnx"),
            "--device, --remote-dir with --replay: no device is used",
        ),
        (("--runner", "native", "--python", "py"), "--python with --runner native: no effect on that runner"),
        (
            ("--runner", "native-glibc", "--python", "py", "--tools-dir", tmp_path),
            "--python, --tools-dir with --runner native-glibc: no effect on that runner",
        ),
    ):
        assert error_of(invoke("bench", artifacts, *words)).message == message
