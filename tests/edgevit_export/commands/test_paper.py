"""``paper`` from end to end with two small networks on this machine, and what it refuses before any work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.errors import UsageError
from edgevit.neighbours import neighbours
from edgevit_export.commands.paper import PaperOptions, _asked, _bench_options
from export.recipe import Format
from runtimes.bench.record import DeviceRun

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("--models", "edgevit-xxs,mobilenet-v3-0.75", "--input-size", "64", "--format", "ptl")
QUICK = ("--device", "host", "--runs", "6", "--rounds", "2", "--warmup", "1")


def call(room: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as a user does: it forks."""
    paths = [str(ROOT), str(ROOT / "tests" / "support" / "torchvision_here"), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "XDG_STATE_HOME": str(room / "state")}
    return subprocess.run(
        [sys.executable, "-m", "edgevit_export", "paper", *words], cwd=room, env=environment, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip


def test_two_networks_from_nothing_to_the_table_and_again(tmp_path: Path) -> None:
    first = call(tmp_path, *SMALL, *QUICK)
    assert first.returncode == 0, first.stderr
    assert "weights are random (seed 0)" in first.stderr
    assert "export 1 of 2: EdgeViT-XXS (edgevit xxs) as ptl" in first.stderr
    assert "Table 2 on this device" in first.stdout
    assert "at 64x64 only, not at the paper's 224" in first.stderr
    assert " holds" not in first.stdout and "does not hold" not in first.stdout
    records = sorted((tmp_path / "paper" / "results" / "host").glob("*.json"))
    runs = [DeviceRun.load(path) for path in records]
    assert [run.artifact.name for run in runs] == ["edgevit-xxs-64x64.ptl", "mobilenetv3_large_075-64x64.ptl"]
    assert {each.verification.status for run in runs for each in run.rounds} == {"passed"}
    starts = sorted((each.started_utc, each.index) for run in runs for each in run.rounds)
    assert [index for _, index in starts] == sorted(index for _, index in starts)  # every round takes both

    again = call(tmp_path, *SMALL, *QUICK, "--resume", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["exports"] == []
    assert [report["count"] for report in told["latency"]] == [6, 6]
    (comparison,) = told["comparisons"]
    assert {claim["agreement"] for claim in comparison["claims"]} == {"not measured"}
    assert [DeviceRun.load(path) for path in records] == runs


def test_options_become_networks_recipes_and_a_bench(tmp_path: Path) -> None:
    options = PaperOptions(
        formats=["onnx,ptl"], networks=["DeiT-Tiny", "xxs,deit-tiny"], output=tmp_path, threads="1,2", resume=True
    )
    found = _asked(options)
    assert [each.model for each in found.networks] == ["DeiT-Tiny", "EdgeViT-XXS"]
    assert [recipe.format for recipe in found.recipes] == [Format.ONNX, Format.PTL]
    assert found.size_of(neighbours()["MobileViT-S"]) == (256, 256)
    bench = _bench_options(options)
    assert (bench.threads, bench.resume, bench.output) == ("1,2", True, tmp_path / "results")
    usual = _asked(PaperOptions())
    assert [each.missing for each in usual.networks] == [""] * 16
    assert [recipe.format for recipe in usual.recipes] == [Format.TFLITE, Format.ONNX]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (PaperOptions(networks=["resnet50"]), "resnet50"),
        (PaperOptions(networks=["uniformer-tiny"]), "not in timm"),
        (PaperOptions(networks=[","]), "no network"),
        (PaperOptions(formats=["gguf"]), "gguf"),
        (PaperOptions(input_size="small"), "--input-size"),
    ],
)
def test_unknown_names_are_refused(options: PaperOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _asked(options)


def test_a_bench_that_cannot_be_is_refused_before_any_export(tmp_path: Path) -> None:
    done = call(tmp_path, *SMALL, "--device", "host", "--cooldown", "5")
    assert (done.returncode, "--cooldown without --max-temp" in done.stderr) == (2, True)
    done = call(tmp_path, *SMALL, "--device", "host", "--runner", "native", "--python", "python3")
    assert (done.returncode, "--python with --runner native" in done.stderr) == (2, True)
    assert not (tmp_path / "paper").exists()


def test_where_nothing_could_be_exported_no_report_is_offered(tmp_path: Path) -> None:
    done = call(tmp_path, "--models", "edgevit-xxs", "--input-size", "3", "--format", "ptl", *QUICK)
    assert done.returncode != 0 and "error: EdgeViT-XXS: " in done.stderr
    assert "Traceback" not in done.stderr and "next:" not in done.stderr
