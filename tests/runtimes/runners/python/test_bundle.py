"""The Python runner as it travels: one zip that needs python3, numpy and the runtime, and no msgspec."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from bench_rig import WEIGHT, onnx_subject

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.array_sets import read_sets, write_sets
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.python.bundle import build_runner
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import SyncPulses, Workload


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a python that has numpy and onnxruntime, and nothing else of ours."""
    site = tmp_path / "site"
    site.mkdir()
    for module in (np, onnxruntime):
        package = Path(module.__file__ or "").parent
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                (site / folder.name).symlink_to(folder)
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, "PYTHONPATH": str(site)}


def run(directory: Path, request: RunRequest, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (directory / "runner.pyz").write_bytes(build_runner(request.format))
    request.save(directory / "request.json")
    command = [sys.executable, "-S", "runner.pyz", "request.json"]
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)


def request(**changes: object) -> RunRequest:
    fields: dict[str, object] = {
        "format": Format.ONNX, "model": "tiny.onnx", "inputs": "in.npz", "lines": "lines", "outputs": "out.npz",
    }  # fmt: skip
    workload = Workload(**{"warmup": 2, "runs": 3, **changes})  # type: ignore[arg-type]
    return RunRequest(**fields, workload=scheduled(workload))  # type: ignore[arg-type]


def test_runs_without_msgspec(tmp_path: Path, bare: dict[str, str]) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    write_sets(tmp_path / "in.npz", list(subject.feeds))
    wanted = request(pulses=SyncPulses(busy_ms=(20, 10), idle_ms=5), gap_ms=1.0, idle_s=0.005)
    done = run(tmp_path, wanted, bare)
    assert done.returncode == 0, done.stderr
    lines = parse_lines((tmp_path / "lines").read_bytes(), wanted, origin="here")
    assert lines.runtime == f"onnxruntime {onnxruntime.__version__}"
    assert [(pulse.place, pulse.index) for pulse in lines.pulses] == [
        ("before", 0), ("before", 1), ("after", 0), ("after", 1)
    ]  # fmt: skip
    assert lines.pulses[0].end_monotonic_ns - lines.pulses[0].start_monotonic_ns >= 20_000_000
    assert lines.pulses[1].end_monotonic_ns < lines.samples[0].start_monotonic_ns
    assert lines.samples[2].end_monotonic_ns < lines.pulses[2].start_monotonic_ns
    outputs = read_sets(tmp_path / "out.npz")
    for feed, answer in zip(subject.feeds, outputs, strict=True):
        np.testing.assert_allclose(answer["y"], feed["x"] @ WEIGHT, atol=1e-5)


def test_a_model_that_cannot_be_opened_is_told(tmp_path: Path, bare: dict[str, str]) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"rubbish")
    done = run(tmp_path, request(), bare)
    assert done.returncode == 1
    with pytest.raises(DeviceError, match=r"tried to open the model: SessionError: cannot read tiny\.onnx as ONNX"):
        parse_lines((tmp_path / "lines").read_bytes(), request(), origin="here")


@pytest.mark.parametrize("format", list(Format))
def test_every_formats_session_loads_from_the_zip_alone(tmp_path: Path, format: Format) -> None:
    """With msgspec barred, whatever a session's modules need of it must be in the stand-in."""
    (tmp_path / "runner.pyz").write_bytes(build_runner(format))
    zipfile.ZipFile(tmp_path / "runner.pyz").extractall(tmp_path / "runner.pyz.files")
    code = (
        "import sys; sys.path.insert(0, 'runner.pyz.files'); import msgspec; assert 'runner' in msgspec.__file__; "
        f"import runtimes.sessions.run_{format}, runtimes.sessions.session, runtimes.runners.python.on_device"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("format", list(Format))
def test_no_writer_travels_with_a_session(format: Format) -> None:
    inside = zipfile.ZipFile(io.BytesIO(build_runner(format))).namelist()
    assert f"runtimes/sessions/run_{format}.py" in inside
    writers = {"export/program.py", "export/pipeline.py", "export/build.py", "export/formats/steps.py"}
    assert not [name for name in inside if name.endswith("/write.py") or name in writers]
    assert not [name for name in inside if name.startswith("export/passes")]


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    inside = zipfile.ZipFile(io.BytesIO(build_runner(Format.TFLITE))).namelist()
    assert "export/formats/tflite_file/tflite_operators.json" in inside
    data = build_runner(Format.ONNX)
    assert data == build_runner(Format.ONNX)
    (tmp_path / "runner.pyz").write_bytes(data)
    names = zipfile.ZipFile(tmp_path / "runner.pyz").namelist()
    assert {"__main__.py", "msgspec.py", "runtimes/sessions/run_onnx.py", "edgevit/records.py"} <= set(names)
    assert not [name for name in names if name.startswith(("validation", "edgevit_export"))]
