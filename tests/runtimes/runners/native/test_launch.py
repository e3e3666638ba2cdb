"""Measuring with the native runner: what travels, how it is started, what it is asked, what records keep of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_rig import onnx_subject
from native_rig import native_files

from edgevit.records import sha256_file
from export.recipe import Format
from runtimes.runners.contract import RunRequest
from runtimes.runners.native.launch import NativeRunner
from runtimes.runners.process import PlannedPush
from runtimes.runners.workload import Workload

WORKLOAD = Workload(runs=2, rounds=1, warmup=1)


@pytest.mark.parametrize("own_glibc", [False, True])
def test_all_that_it_needs_travels_and_is_kept_in_the_record(tmp_path: Path, own_glibc: bool) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    runner = NativeRunner(native_files(tmp_path, own_glibc=own_glibc))
    pushes = runner.pushes(subject, tmp_path, "/there")
    planned = runner.plan_run(subject, tmp_path, "/there", key="k", round=0, workload=WORKLOAD)[1]
    names = [push.remote.removeprefix("/there/") for push in pushes]
    own = ["native/edgevit-runner", "native/onnxruntime/libruntime.so", "native/onnxruntime/libneeded.so"]
    glibc = ["native/glibc/ld-linux-x86-64.so.2", "native/glibc/libc.so.6"] if own_glibc else []
    assert names == [subject.remote_name, f"{subject.short_sha256}.inputs.npz", *own, *glibc]
    assert all(push.sha256 == sha256_file(Path(push.local)) for push in pushes)
    assert programs(pushes) == {"edgevit-runner", *(["ld-linux-x86-64.so.2"] if own_glibc else [])}
    kept = {file.name: file.version for file in planned.files}
    expected = {"edgevit-runner": None, "libruntime.so": "1.2.3", "libneeded.so": "1.2.3"}
    assert kept == expected | ({"ld-linux-x86-64.so.2": "2.36", "libc.so.6": "2.36"} if own_glibc else {})
    assert {file.sha256 for file in planned.files} == {push.sha256 for push in pushes[2:]}


def programs(pushes: list[PlannedPush]) -> set[str]:
    return {Path(push.remote).name for push in pushes if push.program}


def test_the_command_needs_nothing_of_the_device(tmp_path: Path) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    runner = NativeRunner(native_files(tmp_path))
    (push,), planned = runner.plan_run(subject, tmp_path, "/the re", key="k", round=0, workload=WORKLOAD)
    assert runner.name == "native" and planned.argv == ("native/edgevit-runner", Path(push.remote).name)
    assert planned.environment == {"LD_LIBRARY_PATH": "/the re/native/onnxruntime"}
    request = RunRequest.load(Path(push.local))
    assert (request.library, request.runtime) == ("native/onnxruntime/libruntime.so", "onnxruntime 1.2.3")
    assert (request.takes, request.gives) == (subject.inputs, subject.outputs)


def test_with_a_glibc_of_its_own_its_loader_starts_the_program(tmp_path: Path) -> None:
    """The environment stays as it is: the device's own shell must not meet another libc."""
    subject = onnx_subject(tmp_path / "tiny.onnx")
    runner = NativeRunner(native_files(tmp_path, own_glibc=True))
    (push,), planned = runner.plan_run(subject, tmp_path, "/there", key="k", round=0, workload=WORKLOAD)
    loader = "native/glibc/ld-linux-x86-64.so.2"
    path = ("--library-path", "native/glibc:native/onnxruntime")
    assert planned.argv == (loader, *path, "native/edgevit-runner", Path(push.remote).name)
    assert planned.environment == {} and runner.name == "native-glibc"
    assert planned.program == "native/edgevit-runner", "failures are the program's"


def test_each_format_names_its_runtime_as_records_do(tmp_path: Path) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    told = {}
    for format in Format:
        runner = NativeRunner(native_files(tmp_path / format, format))
        (push,), _ = runner.plan_run(subject, tmp_path, "/there", key="k", round=0, workload=WORKLOAD)
        told[format] = RunRequest.load(Path(push.local)).runtime
    assert told == {
        Format.PTL: "torch 1.2.3",
        Format.ONNX: "onnxruntime 1.2.3",
        Format.TFLITE: "LiteRT 1.2.3",
        Format.PTE: "executorch 1.2.3",
    }
