"""The native sessions in their real runtimes on this machine, against the Python sessions on the same files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench_rig import measure
from native_rig import like_python, network, use_runners

from edgevit.records import sha256_file
from export.recipe import Format
from runtimes.bench.record import DeviceRun
from runtimes.devices.host import HostDevice
from runtimes.runners.runner import Subject

pytestmark = pytest.mark.usefixtures("state_dir")

HERE = "x86_64-linux"
RUNTIMES = {
    Format.PTL: "torch 2.13.0 lite interpreter", Format.ONNX: "onnxruntime 1.", Format.TFLITE: "LiteRT 2.",
    Format.PTE: "executorch 1.",
}  # fmt: skip


def run_natively(directory: Path, subject: Subject, **asked: object) -> DeviceRun:
    device = HostDevice(directory / "host")
    (run,) = measure(device, [subject], directory / "out", runner="native", judge=like_python, **asked).runs
    return run


@pytest.mark.parametrize("format", list(Format))
def test_all_golden_outputs_are_the_python_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    use_runners(monkeypatch, HERE, format)
    run = run_natively(tmp_path, network(format))
    assert run.failure is None and run.complete
    assert {each.verification.status for each in run.rounds} == {"passed"}
    measured = run.rounds[0].measured
    assert measured.runner == "native 1" and measured.runtime.startswith(RUNTIMES[format])
    assert measured.stamped and measured.clocks is not None and measured.load_ns and measured.first_ns
    assert all(file.sha256 and file.size_bytes for file in measured.files)
    assert any(file.version for file in measured.files), "the library's version stands in the record"


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE, Format.PTE])
def test_threads_and_cores_are_those_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    use_runners(monkeypatch, HERE, format)
    run = run_natively(tmp_path, network(format, whole=True), threads=(2,), affinity="0,1", rounds=1)
    assert run.rounds[0].measured.cpus == (0, 1) and run.rounds[0].verification.status == "passed"


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("damage", ["rubbish", "cut"])
def test_a_model_that_the_runtime_refuses_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format, damage: str
) -> None:
    use_runners(monkeypatch, HERE, format)
    sound = network(format)
    path = tmp_path / f"damaged.{format}"
    path.write_bytes(b"rubbish" * 100 if damage == "rubbish" else sound.path.read_bytes()[: sound.size_bytes // 2])
    facts = {"name": path.name, "path": path, "sha256": sha256_file(path), "size_bytes": path.stat().st_size}
    run = run_natively(tmp_path, replace(sound, **facts))
    assert run.failure is not None
    assert "the runner failed while it tried to open the model: " in run.failure.message, run.failure.message


@pytest.mark.parametrize("format", list(Format))
def test_inputs_of_another_shape_are_refused_and_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    use_runners(monkeypatch, HERE, format)
    sound = network(format)
    feeds = tuple({name: array[..., :-1] for name, array in feed.items()} for feed in sound.feeds)
    run = run_natively(tmp_path, replace(sound, feeds=feeds))
    assert run.failure is not None and not run.rounds
    assert "the model takes float32 (1, 3, 32, 24)" in run.failure.message, run.failure.message
