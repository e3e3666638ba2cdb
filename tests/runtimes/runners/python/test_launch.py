"""Measuring with the Python runner: what travels, and how it is started."""

from __future__ import annotations

from pathlib import Path

from bench_rig import onnx_subject

from runtimes.runners.contract import RunRequest
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload

WORKLOAD = Workload(runs=2, rounds=1, warmup=1)
RUNNER = PythonRunner("py thon")


def test_the_request_travels_and_is_all_that_the_command_names(tmp_path: Path) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    (push,), planned = RUNNER.plan_run(subject, tmp_path, "/there", key="k", round=3, workload=WORKLOAD)
    request = RunRequest.load(Path(push.local))
    assert planned.argv == ("py thon", "runner-onnx.pyz", Path(push.remote).name)
    assert (request.workload, request.model) == (scheduled(WORKLOAD), subject.remote_name)
    assert planned.workload == WORKLOAD
    assert (planned.fetch, planned.outputs) == ((request.lines,), (request.outputs,))
    assert set(planned.clear) == {request.lines, request.outputs}
    assert planned.command().startswith("cd /there && PYTHONDONTWRITEBYTECODE=1 'py thon' runner-onnx.pyz request-")
    pushed = {Path(each.remote).name for each in RUNNER.pushes(subject, tmp_path, "/there")}
    assert pushed == {request.model, request.inputs, "runner-onnx.pyz"}
    (file,) = planned.files
    (own,) = (each for each in RUNNER.pushes(subject, tmp_path, "/there") if each.remote.endswith(".pyz"))
    assert (file.name, file.sha256, file.version) == ("runner-onnx.pyz", own.sha256, None)
