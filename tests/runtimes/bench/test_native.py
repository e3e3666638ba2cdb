"""Benches with the native runner over the real adb client and daemon, with programs and libraries that misbehave."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from adbd_rig import Adbd
from bench_rig import Events, elf, measure, processes_of
from native_rig import like_python, network, use_runners

from edgevit.records import sha256_file
from export.recipe import Format
from runtimes.bench.record import DeviceRun
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.recording import Recording, RecordingDevice, ReplayDevice
from runtimes.runners.process import PlannedRun
from runtimes.runners.runner import Subject

pytestmark = pytest.mark.usefixtures("state_dir")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Subject:
    use_runners(monkeypatch, "x86_64-linux", Format.ONNX)
    return network(Format.ONNX)


def natively(device: object, subjects: list[Subject], output: Path, **asked: object) -> list[DeviceRun]:
    asked.setdefault("runner", "native")
    return list(measure(device, subjects, output, judge=like_python, **asked).runs)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", list(Format))
def test_measures_verifies_and_leaves_nothing(
    adb_device: AdbDevice, adbd: Adbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    use_runners(monkeypatch, "x86_64-linux", format)
    (run,) = natively(adb_device, [network(format)], tmp_path / "out", runs=5)
    assert run.failure is None and run.complete and run.runner == "native"
    assert [len(each.measured.samples) for each in run.rounds] == [3, 2]
    assert {each.verification.status for each in run.rounds} == {"passed"}
    (stored,) = (tmp_path / "out").rglob("*.json")
    assert DeviceRun.load(stored) == run
    bench = adbd.root / "scratch dir" / "bench"
    assert {path.suffix for path in bench.iterdir() if path.is_file()} == {f".{format}", ".npz"}
    for file in run.rounds[0].measured.files:
        (there,) = (path for path in (bench / "native").rglob(file.name))
        assert sha256_file(there) == file.sha256, "what ran is what the record names"
    assert processes_of(adbd.root) == []


def test_a_glibc_of_its_own_runs_it_too(adb_device: AdbDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_runners(monkeypatch, "x86_64-linux", Format.ONNX, Format.TFLITE, own_glibc=True)
    subjects = [network(Format.ONNX), network(Format.TFLITE)]
    for run in natively(adb_device, subjects, tmp_path / "out", runner="native-glibc"):
        assert run.failure is None and run.runner == "native-glibc"
        assert {each.verification.status for each in run.rounds} == {"passed"}
        assert any(file.name.startswith("ld-linux") for file in run.rounds[0].measured.files)


def test_names_with_spaces_quotes_and_dollars(adb_device: AdbDevice, tmp_path: Path, small: Subject) -> None:
    odd = tmp_path / "a 'dir" / 'it\'s a $HOME "model" `x`.onnx'
    odd.parent.mkdir()
    shutil.copy(small.path, odd)
    (run,) = natively(adb_device, [replace(small, name=odd.name, path=odd)], tmp_path / "re sults $x")
    assert run.complete and run.artifact.name == odd.name


def test_resume_takes_up_the_rounds_that_are_there(adb_device: AdbDevice, tmp_path: Path, small: Subject) -> None:
    stopped = Events(on_round=stop_at(2))
    with pytest.raises(KeyboardInterrupt):
        natively(adb_device, [small], tmp_path / "out", rounds=4, events=stopped)
    resumed = Events()
    (run,) = natively(adb_device, [small], tmp_path / "out", rounds=4, events=resumed, resume=True)
    assert run.complete and len(run.rounds) == 4 and len(resumed.started) == 2


def stop_at(round: int) -> Callable[[PlannedRun], None]:
    def stop(planned: PlannedRun) -> None:
        if planned.round == round:
            raise KeyboardInterrupt

    return stop


def test_a_recorded_session_plays_back(adb_device: AdbDevice, tmp_path: Path, small: Subject) -> None:
    recorder = RecordingDevice(adb_device)
    (first,) = natively(recorder, [small], tmp_path / "out")
    recorder.recording().save(tmp_path / "session.json")
    (again,) = natively(ReplayDevice(Recording.load(tmp_path / "session.json")), [small], tmp_path / "again")
    assert [each.measured for each in again.rounds] == [each.measured for each in first.rounds]
    assert {each.verification.status for each in again.rounds} == {"passed"}


def script(text: str) -> Callable[[Path], None]:
    def write(bench: Path) -> None:
        program = bench / "native" / "edgevit-runner"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    return write


def library(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(bench: Path) -> None:
        (path,) = (bench / "native" / "onnxruntime").iterdir()
        change(path)

    return apply


def first_part(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no library": (library(Path.unlink), "open the model: cannot load the library: .*No such file"),
    "a library for another ABI": (library(lambda path: elf(path, 183)), "open the model: cannot load the library: "),
    "half a library": (
        library(first_part),
        "open the model: cannot load the library: .*file too short|ended by signal",
    ),
    "no ONNX Runtime": (
        library(lambda path: shutil.copy("/lib/x86_64-linux-gnu/libz.so.1", path)),
        "has no OrtGetApiBase: it is another library",
    ),
    "a model that is refused": (
        lambda bench: next(bench.glob("*.onnx")).write_bytes(b"rubbish"),
        "ONNX Runtime cannot load the model: ",
    ),
    "inputs that are cut": (lambda bench: first_part(next(bench.glob("*.inputs.npz"))), "read the inputs: .*it is cut"),
    "a request of another version": (
        lambda bench: [
            path.write_text(path.read_text().replace('"schema_version": 4', '"schema_version": 3', 1))
            for path in bench.glob("request-*.json")
        ],
        "read the request: a request of version 3, this runner takes 4",
    ),
    "a library of another version": (
        lambda bench: [
            path.write_text(re.sub(r"onnxruntime \d+\.", "onnxruntime 9.", path.read_text()))
            for path in bench.glob("request-*.json")
        ],
        r"is onnxruntime 1\.\d+\.\d+, as onnxruntime 9\.\d+\.\d+ it was fetched: fetch the library again",
    ),
    "killed": (script("kill -9 $$"), r"'native/edgevit-runner' was ended by signal 9 \(SIGKILL\)"),
    "hangs": (
        script("sleep 1000"),
        r"'native/edgevit-runner' on \S+ (did not end within|was silent for) 3 s and was killed",
    ),
    "babbles": (script("yes"), r"'native/edgevit-runner' on \S+ did not end within 3 s and was killed"),
    "leaves nothing": (script("exit 0"), "left no results and so no end marker"),
    "no program": (lambda bench: (bench / "native" / "edgevit-runner").unlink(), "was not found on the device"),
    "not executable": (lambda bench: (bench / "native" / "edgevit-runner").chmod(0o644), "programs are denied there"),
    "a program for another ABI": (
        lambda bench: elf(bench / "native" / "edgevit-runner", 183),
        r"cannot be executed on the device, although it was built for a device like this \(x86_64-linux\)",
    ),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_every_fault_is_one_clear_error(
    adb_device: AdbDevice, adbd: Adbd, tmp_path: Path, small: Subject, fault: str
) -> None:
    damage, message = FAULTS[fault]
    spoil = Events(on_round=lambda planned: damage(adbd.root / "scratch dir" / "bench") and None)
    limit_s = 3.0 if fault in ("hangs", "babbles") else 60.0
    (run,) = natively(adb_device, [small], tmp_path / "out", events=spoil, timeout_s=limit_s)
    assert run.failure is not None and not run.rounds
    assert run.failure.message.startswith(f"{small.name} on 127.0.0.1:"), run.failure.message
    assert re.search(message, run.failure.message), run.failure.message
    assert processes_of(adbd.root) == []
