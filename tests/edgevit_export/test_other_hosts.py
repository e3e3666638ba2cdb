"""What works without the calls that only Linux has, as on macOS, and what is refused in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_artifacts import write_artifact

from export.recipe import Format

ELSEWHERE = Path(__file__).parents[1] / "support" / "elsewhere"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("elsewhere")
    return write_artifact(directory, Format.ONNX).with_suffix("")


def elsewhere(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process, and in all that it starts, without Linux's calls; no /proc to look at is simulated."""
    paths = [str(ELSEWHERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "edgevit_export", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_calls_are_gone(tmp_path: Path) -> None:
    """The tests below would pass for nothing where Python does not take the module up."""
    code = (
        "import os, sys, time; print(sys.platform, hasattr(os, 'sched_getaffinity'), hasattr(time, 'CLOCK_BOOTTIME'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ELSEWHERE)}
    seen = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert seen == "darwin False False\n"


def test_this_host_is_measured(artifact: Path, tmp_path: Path) -> None:
    done = elsewhere("bench", str(artifact), "--device", "host", "--runs", "12", "-o", "results", cwd=tmp_path)
    assert "Traceback" not in done.stderr and done.returncode in (0, 1), done.stderr
    (record,) = (path for path in tmp_path.rglob("results/**/*.json") if "rounds" in json.loads(path.read_text()))
    rounds = json.loads(record.read_text())["rounds"]
    samples = [sample for each in rounds for sample in each["measured"]["samples"]]
    assert len(samples) == 12 and json.loads(record.read_text())["failure"] is None
    for sample in samples:
        took = sample["end_monotonic_ns"] - sample["start_monotonic_ns"]
        assert 0 < took <= sample["end_boottime_ns"] - sample["start_boottime_ns"]


def test_an_artifact_is_verified(artifact: Path, tmp_path: Path) -> None:
    done = elsewhere("verify", str(artifact), cwd=tmp_path)
    assert done.returncode == 0 and "passed" in done.stdout, done.stderr


def test_binding_to_cores_is_refused_in_words(artifact: Path, tmp_path: Path) -> None:
    done = elsewhere("bench", str(artifact), "--device", "host", "--affinity", "0,1", "--runs", "2", cwd=tmp_path)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "cannot bind a process to cores" in done.stderr + done.stdout, done.stderr


@pytest.mark.parametrize("command", [("energy", "meters"), ("doctor",), ("models",)])
def test_what_needs_no_such_call_works(command: tuple[str, ...], tmp_path: Path) -> None:
    done = elsewhere(*command, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout and "Traceback" not in done.stderr, done.stderr
