"""Readers of what the project itself stores: records, stamps, journals, recordings, what runners leave."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from unittest.mock import patch

import msgspec
from fuzz_mutation import Kind
from fuzz_reader import DATA, SEEDS, Reader, at, files, of_record
from told_device import ToldDevice

import runtimes.conditions.journal
from edgevit.errors import ArtifactError, DeviceError, EdgevitExportError, FailureError, MeterError, UsageError
from edgevit.spec import Layout, TensorSpec
from edgevit_export.workflows.report import gather_results
from export.artifact import Manifest
from export.recipe import Format
from runtimes.bench.record import DeviceRun
from runtimes.bench.request import BenchRequest
from runtimes.bench.store import RecordStore
from runtimes.conditions.journal import (
    Change,
    JournalHead,
    journal_path,
    leftover_journals,
    pending,
    read_journal,
    restore,
)
from runtimes.devices.recording import Answer, Pulled, Pushed, Recording, ReplayDevice
from runtimes.power.stamps import RunStamps
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.process import Finished, PlannedRun
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.python.msgspec_stand_in import Struct
from runtimes.runners.python.msgspec_stand_in import json as stand_in
from runtimes.runners.python.on_device import peak_memory_bytes
from runtimes.runners.runner import Subject
from runtimes.runners.schedule import scheduled
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.launch import ToolRunner
from runtimes.runners.workload import Workload
from validation.artifact.checks import VerifyReport
from validation.energy.report import EnergyReport
from validation.latency.analysis import LatencyReport, judge_run
from validation.latency.compare import compare_runs
from validation.report.files import ReportFormat, render_report


@cache
def _sound_run() -> DeviceRun:
    return DeviceRun.load(SEEDS / "device_run.json")


def device_run(data: bytes, room: Path) -> DeviceRun:
    """A record of a run: read, judged, compared with a sound one, and drawn up as a report, its energy included."""
    shutil.copyfile(SEEDS / "slow_trace.npz", room / "slow_trace.npz")
    path = at("run.json")(data, room)
    run = DeviceRun.load(path)
    report = judge_run(run)
    LatencyReport.from_json(report.to_json())
    compare_runs(_sound_run(), run)
    (room / "8BC1").mkdir()
    shutil.copyfile(path, room / "8BC1" / path.name)
    RecordStore(room, "8BC1", [], BenchRequest(workload=run.workload)).resume()
    _report(path)
    return run


def _report(path: Path) -> None:
    found = gather_results([path], accuracy=["tiny.onnx=70"], artifacts=[])
    render_report(found, [ReportFormat.CSV, ReportFormat.MD])


def energy_report(data: bytes, room: Path) -> EnergyReport:
    """An energy report, and what a report makes of it."""
    path = at("tiny.onnx.energy.json")(data, room)
    report = EnergyReport.load(path)
    _report(path)
    return report


def journal(data: bytes, room: Path) -> object:
    """A journal in the state directory: listed, and read."""
    serial = "8BC1"
    path = journal_path(serial)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    leftover_journals()
    pending(serial)
    found = read_journal(path)
    with patch.multiple(runtimes.conditions.journal, SETTLE_S=0.0):  # else each change that does not hold takes 2 s
        restore(ToldDevice("8BC1"))
    return found


def _journals() -> list[bytes]:
    head = JournalHead(serial="8BC1", identity="8BC1", adb_server=None, scratch_dir="/data/local/tmp/edgevit")
    changes = [
        Change(
            key=f"governor of policy{n}", apply=("sh", "-c", "echo performance"), undo=("sh", "-c", "echo x"), old="x"
        )
        for n in (0, 4)
    ]
    lines = [{"head": head}, {"change": changes[0]}, {"change": changes[1]}, {"undone": changes[0].key}]
    return [b"".join(msgspec.json.encode(line) + b"\n" for line in lines)]


def recording(data: bytes, room: Path) -> Recording:
    """A recorded session: every answer played back, every file brought."""
    found = Recording.load(at("session.json")(data, room))
    device = ReplayDevice(found)
    errors: list[DeviceError] = []
    for answer in found.answers[:20]:
        try:
            device.run(answer.words)
        except DeviceError as error:  # a lost or silent device is what a recording may hold
            errors.append(error)
    for pulled in found.pulled[:20]:
        try:
            device.pull(pulled.remote, room / "pulled")
        except DeviceError as error:
            errors.append(error)
    return found


def _recordings() -> list[bytes]:
    made = Recording(
        serial="8BC1", kind="adb", scratch="/tmp/x",
        answers=(
            Answer(words=("getprop",), rc=0, out_base64="W2FdOiBbYl0K", err_base64=""),
            Answer(words=("sh", "-c", "x"), rc=None, out_base64="", err_base64="eA==", lost="8BC1 was lost"),
        ),
        pulled=(Pulled(remote="/tmp/x/a", data_base64="AAEC"), Pulled(remote="/tmp/x/b", data_base64="", error="gone")),
        pushed=(Pushed(remote="/tmp/x/c"), Pushed(remote="/tmp/x/d", sent=False, error="full")),
    )  # fmt: skip
    return [made.to_json().encode()]


WORKLOAD = scheduled(Workload(runs=3, warmup=1))
SUBJECT = Subject(
    name="m.onnx", path=Path("m.onnx"), format=Format.ONNX, sha256="a" * 64, size_bytes=1,
    inputs=(TensorSpec(name="x", shape=(1, 6)),), outputs=(TensorSpec(name="y", shape=(1, 3)),), feeds=({}, {}),
)  # fmt: skip
REQUEST = RunRequest(format=Format.ONNX, model="m", inputs="i", lines="l", outputs="o", workload=WORKLOAD)


def runner_lines(data: bytes, _: Path) -> object:
    """The runner's lines as they come, and once more with an end marker that fits what was changed."""
    body = data.rpartition(b'{"line": "end"')[0]
    end = {"line": "end", "samples": 3, "lines": len(body.splitlines()), "sha256": hashlib.sha256(body).hexdigest()}
    refusals = 0
    for each in (data, body + json.dumps(end).encode() + b"\n"):
        try:
            measured = parse_lines(each, REQUEST, origin="m on d")
        except DeviceError as error:
            refusals += 1
            if refusals == 2:
                raise error from None
    return measured


def _lines() -> list[bytes]:
    clocks = {"realtime_ns": 1, "monotonic_ns": 2, "boottime_ns": 3}
    samples: list[dict[str, object]] = [
        {
            "line": "sample", "kind": kind, "index": index, "latency_ns": 500, "start_monotonic_ns": start,
            "end_monotonic_ns": start + 500, "start_boottime_ns": start, "end_boottime_ns": start + 500,
        }
        for kind, index, start in (("warmup", 0, 1000), ("run", 0, 2000), ("run", 1, 3000), ("run", 2, 4000))
    ]  # fmt: skip
    lines: list[dict[str, object]] = [
        {
            "line": "header", "contract": 3, "runner": "python 2", "runtime": "r 1", "python": "3.11", "pid": 1,
            "threads": 1, "cpus": [0], "clocks": clocks,
        },
        {"line": "phase", "name": "load", "start_monotonic_ns": 10, "end_monotonic_ns": 20},
        *samples,
        {"line": "output", "file": "o", "sha256": "x", "count": 2},
        {"line": "memory", "peak_bytes": 7},
    ]  # fmt: skip
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    end = {"line": "end", "samples": 3, "lines": len(lines), "sha256": hashlib.sha256(body).hexdigest()}
    failed = json.dumps({"line": "error", "stage": "open the model", "error": "no", "detail": ""}).encode()
    return [body + json.dumps(end).encode() + b"\n", failed + b"\n"]


def _planned(*outputs: str) -> PlannedRun:
    return PlannedRun(
        key="k", round=0, workload=WORKLOAD, program="x", argv=("x",), cwd="/", fetch=("l",), outputs=outputs
    )


def runner_outputs(data: bytes, _: Path) -> object:
    """The outputs file that a runner left."""
    return PythonRunner("python3").answers(SUBJECT, _planned("o"), {"o": data})


def tool_outputs(data: bytes, _: Path) -> object:
    """The raw outputs that a tool left."""
    runner = ToolRunner(TOOLS[Format.PTE], Path("tool"), android=False)
    return runner.answers(SUBJECT, _planned("o"), {"o": data})


def runner_result(data: bytes, _: Path) -> object:
    """What a runner left, with its exit code: the lines are read first."""
    runner = PythonRunner("python3")
    finished = Finished(rc=0, stdout="", stderr=data.decode("utf-8", "replace"), files={"l": data})
    return runner.read(SUBJECT, _planned("o"), finished, "m on d")


class Refused(EdgevitExportError):
    """On the device the runner tells any exception by its own error line; here each stands for one."""


def proc_status(data: bytes, room: Path) -> object:
    """/proc/self/status, on the device."""
    try:
        return peak_memory_bytes(at("status")(data, room))
    except Exception as error:  # as ``on_device.main`` does
        raise Refused(str(error)) from error


class _Tensor(Struct):
    """``TensorSpec`` as the stand-in builds it on the device."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: Layout | None = None


def on_device_tensors(data: bytes, _: Path) -> object:
    """Tensor lists that formats store as JSON, read by the stand-in for msgspec that travels with the runner."""
    try:
        return stand_in.decode(data, type=tuple[_Tensor, ...])
    except Exception as error:  # as ``on_device.main`` does
        raise Refused(str(error)) from error


def _tensors() -> list[bytes]:
    manifest = Manifest.load(SEEDS / "artifacts" / "tiny.onnx.json")
    return [msgspec.json.encode(manifest.inputs + manifest.outputs)]


READERS = (
    Reader(
        "device-run", "records of runs (versions 1, 2): judged, compared, reported", device_run,
        (ArtifactError, UsageError, MeterError, FailureError),
        lambda: [(SEEDS / "device_run.json").read_bytes(), (SEEDS / "device_run_energy.json").read_bytes(),
                 (DATA / "records" / "device_run_version_1.json").read_bytes()], Kind.JSON, corpora=("records",),
    ),
    Reader(
        "energy-report", "energy reports (versions 1, 2)", energy_report, (ArtifactError, UsageError),
        files("seeds/energy_report.json", "seeds/energy_report_plain.json"), Kind.JSON,
    ),
    Reader("verify-report", "verification reports", of_record(VerifyReport), (ArtifactError,),
    files("seeds/verify_report.json"), Kind.JSON),
    Reader("stamps", "a runner's stamps", of_record(RunStamps), (ArtifactError,), files("seeds/stamps.json"),
    Kind.JSON),
    Reader("journal", "the journal of changes to a device", journal, (ArtifactError, DeviceError), _journals,
    Kind.JSON_LINES),
    Reader("recording", "a recorded session with a device", recording, (ArtifactError,), _recordings, Kind.JSON,
    corpora=("recordings",)),
    Reader("runner-lines", "the Python runner's lines", runner_lines, (DeviceError,), _lines, Kind.JSON_LINES,
    corpora=("lines",)),
    Reader("runner-outputs", "the outputs.npz that a runner left", runner_outputs, (DeviceError,),
    files("seeds/outputs.npz"), Kind.ZIP),
    Reader("tool-outputs", "the raw outputs that a tool left", tool_outputs, (DeviceError,), lambda: [bytes(12)],
    Kind.BINARY),
    Reader("runner-result", "all that a runner left", runner_result, (DeviceError,), _lines, Kind.JSON_LINES),
    Reader(
        "proc-status", "/proc/self/status, on the device", proc_status, (Refused,),
        lambda: [b"Name:\tpython3\nVmPeak:\t 1000 kB\nVmHWM:\t 900 kB\n"], Kind.TEXT,
    ),
    Reader("on-device-tensors", "tensor lists, on the device", on_device_tensors, (Refused,), _tensors, Kind.JSON),
)  # fmt: skip
