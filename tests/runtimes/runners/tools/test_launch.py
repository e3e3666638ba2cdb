"""Measuring with a tool: what travels, what is refused, how raw outputs become arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_rig import onnx_subject, program, tflite_subject
from msgspec.structs import replace as replace_record
from tool_output import DATA

from edgevit.errors import DeviceError, UsageError
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.runners.process import PID_FILE, Finished, PlannedRun
from runtimes.runners.runner import Subject
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.launch import ToolRunner
from runtimes.runners.workload import Workload


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """A tool with a library beside it."""
    tool = program(tmp_path / "home" / "any name", "exit 0")
    (tool.parent / "libonnxruntime.so.1").write_bytes(b"library")
    return tool


def plan(runner: ToolRunner, subject: Subject, tmp_path: Path, **workload: object) -> PlannedRun:
    made = Workload(**{"runs": 50, "warmup": 10, **workload})  # type: ignore[arg-type]
    pushes, planned = runner.plan_run(subject, tmp_path, "/there", key="k", round=0, workload=made)
    assert pushes == []
    return planned


def test_the_program_travels_with_its_libraries_and_raw_inputs(tmp_path: Path, binary: Path) -> None:
    subject = tflite_subject(tmp_path)
    pushes = ToolRunner(TOOLS[Format.TFLITE], binary, android=False).pushes(subject, tmp_path, "/there")
    short = subject.short_sha256
    assert {push.remote: push.program for push in pushes} == {
        f"/there/{subject.remote_name}": False,
        "/there/tool-benchmark_model/benchmark_model": True,
        "/there/tool-benchmark_model/libonnxruntime.so.1": False,
        f"/there/{short}.input0.bin": False,
    }
    raw = np.fromfile(tmp_path / f"{short}.input0.bin", np.float32).reshape(1, 4)
    np.testing.assert_array_equal(raw, subject.feeds[0]["x"])


def test_a_tool_that_makes_its_own_inputs_gets_none(tmp_path: Path, binary: Path) -> None:
    pushes = ToolRunner(TOOLS[Format.ONNX], binary, android=False).pushes(
        onnx_subject(tmp_path / "m.onnx"), tmp_path, "/there"
    )
    assert not [push for push in pushes if "input" in push.remote]


def test_cores_and_libraries_of_the_command_line(tmp_path: Path, binary: Path) -> None:
    runner = ToolRunner(TOOLS[Format.ONNX], binary, android=True)
    planned = plan(runner, onnx_subject(tmp_path / "m.onnx"), tmp_path, affinity="f0")
    home = "/there/tool-onnxruntime_perf_test"
    assert planned.argv[:3] == ("taskset", "f0", f"{home}/onnxruntime_perf_test")
    assert planned.program == "onnxruntime_perf_test"
    assert planned.environment == {"LD_LIBRARY_PATH": home}
    assert (planned.clear, planned.fetch, planned.outputs) == (("perf_test.csv",), ("perf_test.csv",), ())
    assert (planned.log_tag, runner.stamps) == (None, False)
    assert runner.unverified == "onnxruntime_perf_test cannot hand out the model's outputs"
    with pytest.raises(UsageError, match=r"onnxruntime_perf_test cannot do that for m\.onnx: it cannot pause"):
        plan(runner, onnx_subject(tmp_path / "m.onnx"), tmp_path, gap_ms=1.0)


def test_what_it_printed_is_read_and_complaints_name_the_subject(tmp_path: Path, binary: Path) -> None:
    subject, runner = tflite_subject(tmp_path), ToolRunner(TOOLS[Format.TFLITE], binary, android=False)
    planned, text = plan(runner, subject, tmp_path), (DATA / "tflite_2.17.txt").read_text()
    measured = runner.read(subject, planned, Finished(0, text, ""), "tiny on 8BC1")
    assert measured.summary is not None and measured.summary.mean_ns == 105_784_000
    with pytest.raises(DeviceError, match=r"^tiny on 8BC1: cannot read the output of TFLite"):
        runner.read(subject, planned, Finished(0, "rubbish", ""), "tiny on 8BC1")
    with pytest.raises(DeviceError, match=r"^tiny on 8BC1: 'benchmark_model' failed with exit code 3"):
        runner.read(subject, planned, Finished(3, text, ""), "tiny on 8BC1")


def test_the_log_is_asked_for_where_the_tool_writes_there(tmp_path: Path, binary: Path) -> None:
    subject, adapter = onnx_subject(tmp_path / "m.onnx"), TOOLS[Format.PTE]
    there = plan(ToolRunner(adapter, binary, android=True), subject, tmp_path)
    assert there.log_tag == "ExecuTorch" and PID_FILE in there.clear
    here = plan(ToolRunner(adapter, binary, android=False), subject, tmp_path)
    assert here.log_tag is None and PID_FILE not in here.clear


def test_raw_bytes_are_cut_into_the_outputs_that_the_artifact_declares(tmp_path: Path, binary: Path) -> None:
    runner = ToolRunner(TOOLS[Format.PTE], binary, android=False)
    one, two = np.arange(3, dtype=np.float32), np.array([[4], [5]], np.int64)
    outputs = (TensorSpec(name="y", shape=(1, 3)), TensorSpec(name="z", shape=(2, 1), dtype="int64"))
    subject = replace(onnx_subject(tmp_path / "m.onnx"), outputs=outputs)
    planned = replace_record(plan(runner, subject, tmp_path), outputs=("a", "b"))
    (answer,) = runner.answers(subject, planned, {"a": one.tobytes(), "b": two.tobytes()})
    np.testing.assert_array_equal(answer["y"], [one])
    np.testing.assert_array_equal(answer["z"], two)
    with pytest.raises(DeviceError, match=r"outputs of 12 bytes, but the artifact declares 28: y \(1, 3\) float32"):
        runner.answers(subject, planned, {"a": one.tobytes(), "b": b""})
