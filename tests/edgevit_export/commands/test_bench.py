"""bench, compare and devices through the command line, on real artifacts, this host and real daemons."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from adbd_rig import AdbRig, why_not
from latency_records import device_run, normal_rounds
from small_artifacts import write_artifact, write_hostile
from stamp_meter import StampMeter
from typer.testing import CliRunner, Result

import runtimes.bench.patience as patience_module
from edgevit.errors import ArtifactError, EdgevitExportError, UsageError
from edgevit.records import sha256_file
from edgevit_export.app import app
from edgevit_export.commands import bench as bench_command
from edgevit_export.commands.bench import parse_threads
from edgevit_export.commands.compare import parse_share
from edgevit_export.workflows.subjects import find_subjects
from export.artifact import Manifest
from export.recipe import Format
from runtimes.bench import measure as measure_module
from runtimes.bench.record import DeviceRun
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.runners.process import PlannedRun

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
    assert (parity.passed, parity.inputs_compared) == (True, 5)
    assert (tmp_path / "r" / "a.md").read_text().startswith("| artifact |")
    assert "small0.onnx" in (tmp_path / "r" / "a.csv").read_text()
    again = invoke("bench", artifacts, "-d", "host", *QUICK, "--resume", "--json")
    (report,) = json.loads(again.stdout)
    assert report["count"] == 4
    assert DeviceRun.load(stored) == run


def test_a_wrong_artifact_is_failed_not_fast(artifacts: Path, tmp_path: Path) -> None:
    other = write_artifact(tmp_path / "other", Format.ONNX, seed=1)
    target = artifacts / "small0.onnx"
    target.write_bytes((other.parent / "small1.onnx").read_bytes())
    path = artifacts / "small0.onnx.json"
    manifest = msgspec.structs.replace(Manifest.load(path), sha256=sha256_file(target), bytes=target.stat().st_size)
    manifest.save(path)
    result = invoke("bench", artifacts, "-d", "host", *QUICK, "--json")
    (report,) = json.loads(result.stdout)
    assert (report["verdict"], report["verification"], result.exit_code) == ("failed", "failed", 1)
    assert "the outputs on the device are wrong" in report["reasons"][0]


def test_an_artifact_that_is_not_the_manifests_is_never_run(artifacts: Path) -> None:
    with (artifacts / "small0.onnx").open("ab") as file:
        file.write(b"x")
    error = error_of(invoke("bench", artifacts, "-d", "host", *QUICK))
    assert isinstance(error, ArtifactError)
    assert "is not the file of its manifest" in error.message


def test_a_file_without_a_manifest_is_measured_but_not_verified(artifacts: Path) -> None:
    (artifacts / "small0.onnx.json").unlink()
    result = invoke("bench", artifacts / "small0.onnx", "-d", "host", *QUICK, "--json")
    assert result.exit_code == 0, result.output
    (report,) = json.loads(result.stdout)
    assert report["verification"] == "not verified"
    assert report["verdict"] in ("unverified", "noisy", "throttled")


def test_dry_run_prints_the_plan_and_does_nothing(artifacts: Path, tmp_path: Path) -> None:
    result = invoke("bench", artifacts, "-d", "host", *QUICK, "--dry-run", "--threads", "1,2")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("run  round") == 4
    assert "push" in result.stdout
    assert not (tmp_path / "results").exists()
    (plan,) = json.loads(invoke("bench", artifacts, "-d", "host", *QUICK, "--dry-run", "--json").stdout)
    assert [run["round"] for run in plan["runs"]] == [0, 1]


def test_a_recorded_session_is_replayed_without_the_device(artifacts: Path, tmp_path: Path) -> None:
    recorded = invoke("bench", artifacts, "-d", "host", *QUICK, "--record", "session.json", "--json")
    assert recorded.exit_code == 0, recorded.output
    shutil.rmtree(next(tmp_path.glob("edgevit-export-*")))
    replayed = invoke("bench", artifacts, *QUICK, "--replay", "session.json", "-o", "again", "--json")
    assert replayed.exit_code == 0, replayed.output
    first, second = (json.loads(each.stdout)[0] for each in (recorded, replayed))
    assert first["mean_ms"] == second["mean_ms"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bench", "nowhere"), "nowhere"),
        (("bench", "artifacts", "--threads", "0"), "--threads '0'"),
        (("bench", "artifacts", "-d", "host", "--affinity", "huge"), "--affinity 'huge'"),
        (("compare", "a.json", "b.json", "--max-regression", "lots"), "--max-regression 'lots'"),
    ],
)
def test_bad_requests_name_what_is_wrong(artifacts: Path, words: tuple[str, ...], message: str) -> None:
    error = error_of(invoke(*words))
    assert isinstance(error, UsageError)
    assert message in error.message


def test_compare_fails_a_job_on_a_regression(tmp_path: Path) -> None:
    for name, mean_ms in (("a", 10.0), ("b", 10.02), ("c", 12.0)):
        device_run(normal_rounds(mean_ms, seed=1)).save(tmp_path / f"{name}.json")
    a, b, c = (tmp_path / f"{name}.json" for name in "abc")
    same = invoke("compare", a, b, "--max-regression", "5%")
    assert (same.exit_code, "no real difference" in same.stdout) == (0, True)
    slower = invoke("compare", a, c, "--max-regression", "5%")
    assert (slower.exit_code, "second is slower" in slower.stdout) == (1, True)
    assert invoke("compare", a, c).exit_code == 0
    assert json.loads(invoke("compare", c, a, "--json").stdout)["outcome"] == "faster"
    (tmp_path / "a.json").write_text("{}")
    assert isinstance(error_of(invoke("compare", a, b)), ArtifactError)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdbRig]:
    if reason := why_not():
        pytest.skip(reason)
    rig = AdbRig(tmp_path)
    yield rig
    rig.close()


def test_one_of_two_devices_is_lost_and_the_other_goes_on(
    rig: AdbRig, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "RECONNECT_S", 1.0)
    steady, lost = rig.add("steady"), rig.add("lost")
    for daemon in (steady, lost):
        (daemon.data / "dumpsys_power").write_text("mWakefulness=Awake\n")
        (tmp_path / daemon.serial[-5:]).mkdir()

    class Watcher(bench_command.ConsoleWatcher):
        def round_started(self, planned: PlannedRun, number: int, total: int) -> None:
            if self._serial == lost.serial and number == 2:
                lost.pull_cable()

    monkeypatch.setattr(bench_command, "ConsoleWatcher", Watcher)
    # Both daemons are this host: directories of their own keep them apart.
    monkeypatch.setattr(AdbDevice, "scratch_dir", lambda self: str(tmp_path / self.serial[-5:]))
    result = invoke(
        "bench", artifacts, *QUICK, "--adb-server", str(rig.server), "--python", sys.executable,
        "-d", steady.serial, "-d", lost.serial, "-o", "results",
    )  # fmt: skip
    assert result.exit_code == 4, result.output
    records = {path.parent.name: path.name for path in (tmp_path / "results").rglob("*.json")}
    names = {serial.replace(":", "_"): serial for serial in (steady.serial, lost.serial)}
    assert set(records) == set(names)
    for folder, name in records.items():
        assert name.endswith(".partial.json") == (names[folder] == lost.serial)


def test_threads_and_shares_are_parsed() -> None:
    assert parse_threads("1, 2,4,2") == (1, 2, 4)
    assert (parse_share("5%"), parse_share("0.1"), parse_share(None)) == (0.05, 0.1, None)
    for wrong in ("-1%", "abc", "120%"):
        with pytest.raises(UsageError):
            parse_share(wrong)


@pytest.mark.alone
def test_energy_is_measured_behind_the_latencies(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command gives both records and one JSON object; the meter draws what really ran."""
    meter = StampMeter(tmp_path, cuts_usb=False)
    monkeypatch.setattr(measure_module, "open_meter", lambda *_, **__: meter)
    words = ("--energy", "monsoon", "--burst", "1000", "--idle", "2.2", "--gap", "40", "--top1", "77.5")
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


def test_a_file_whose_audit_fails_is_run_nowhere(tmp_path: Path) -> None:
    manifest = write_artifact(tmp_path / "built", Format.PTL)
    write_hostile(manifest, tmp_path / "victim")
    artifact = manifest.with_suffix("")
    for path in (manifest, artifact):
        with pytest.raises(ArtifactError, match=r"is not run, because its audit fails: aten::from_file.*opens files"):
            find_subjects([path])
    manifest.unlink()
    with pytest.raises(ArtifactError, match="is not run"):
        find_subjects([artifact])
    assert not (tmp_path / "victim").exists()
