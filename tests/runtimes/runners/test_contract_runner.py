"""What runners that speak the contract share: lines become measurements, archives become answers, failures are told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from bench_rig import onnx_subject

from edgevit.errors import DeviceError
from runtimes.runners.array_sets import write_sets
from runtimes.runners.process import Finished, PlannedRun
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload

WORKLOAD = Workload(runs=2, rounds=1, warmup=1)
PIN_FAILED = b'{"line": "error", "stage": "pin", "error": "OSError: no"}\n'
RUNNER = PythonRunner("py thon")


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return onnx_subject(tmp_path / "tiny.onnx")


@pytest.fixture
def planned(subject: Subject, tmp_path: Path) -> PlannedRun:
    return RUNNER.plan_run(subject, tmp_path, "/there", key="k", round=0, workload=WORKLOAD)[1]


def lines() -> bytes:
    def sample(kind: str, index: int, latency_ns: int, start: int = 100) -> dict[str, object]:
        return {
            "line": "sample", "kind": kind, "index": index, "latency_ns": latency_ns, "start_monotonic_ns": start,
            "end_monotonic_ns": start + latency_ns, "start_boottime_ns": 90, "end_boottime_ns": 110 + latency_ns,
        }  # fmt: skip

    told: list[dict[str, object]] = [
        {"line": "header", "contract": 3, "runner": "python 1", "runtime": "onnxruntime 1", "python": "3.11.0",
         "pid": 7, "threads": 1, "cpus": [0, 3], "clocks": {"realtime_ns": 1, "monotonic_ns": 2, "boottime_ns": 3}},
        {"line": "phase", "name": "load", "start_monotonic_ns": 10, "end_monotonic_ns": 50},
        sample("warmup", 0, 9), sample("run", 0, 5), sample("run", 1, 6, 200),
        {"line": "output", "file": "o", "sha256": "abc", "count": 2}, {"line": "memory", "peak_bytes": 77},
    ]  # fmt: skip
    data = "".join(json.dumps(each) + "\n" for each in told).encode()
    end = {"line": "end", "samples": 2, "lines": len(told), "sha256": hashlib.sha256(data).hexdigest()}
    return data + (json.dumps(end) + "\n").encode()


def test_whole_lines_become_measurements(subject: Subject, planned: PlannedRun) -> None:
    measured = RUNNER.read(subject, planned, Finished(0, "", "", files={planned.fetch[0]: lines()}), "tiny on 8BC1")
    assert [sample.latency_ns for sample in (*measured.warmup, *measured.samples)] == [9, 5, 6]
    last = measured.samples[-1]
    assert (last.start_monotonic_ns, last.end_monotonic_ns) == (200, 206)
    assert (last.start_boottime_ns, last.end_boottime_ns) == (90, 116)
    assert (measured.load_ns, measured.first_ns, measured.peak_memory_bytes) == (40, 9, 77)
    assert (measured.outputs_sha256, measured.cpus) == ("abc", (0, 3))
    assert measured.clocks is not None and measured.clocks.boottime_ns == 3


@pytest.mark.parametrize(
    ("rc", "left", "message"),
    [
        (0, None, "exited with code 0 but left no results"),
        (1, None, "'py thon' failed with exit code 1; it printed:\n  said"),
        (
            0,
            b'{"line": "error", "stage": "pin", "error": "OSError: no"}\n',
            "failed while it tried to pin: OSError: no",
        ),
        (
            1,
            b'{"line": "error", "stage": "pin", "error": "OSError: no"}\n',
            "failed while it tried to pin: OSError: no",
        ),
        (137, lines(), "was ended by signal 9 (SIGKILL)"),
    ],
)
def test_failures_are_told_by_whoever_knows_most(
    subject: Subject, planned: PlannedRun, rc: int, left: bytes | None, message: str
) -> None:
    files = {} if left is None else {planned.fetch[0]: left}
    with pytest.raises(DeviceError) as failed:
        RUNNER.read(subject, planned, Finished(rc, "said", "", files=files), "tiny on 8BC1")
    assert failed.value.message.startswith("tiny on 8BC1: ")
    assert message in failed.value.message


def test_answers_are_one_for_each_feed(subject: Subject, planned: PlannedRun, tmp_path: Path) -> None:
    def answers(count: int) -> dict[str, bytes]:
        write_sets(tmp_path / "o.npz", [{"y": np.full((1, 3), index, np.float32)} for index in range(count)])
        return {planned.outputs[0]: (tmp_path / "o.npz").read_bytes()}

    assert [each["y"][0, 0] for each in RUNNER.answers(subject, planned, answers(2))] == [0.0, 1.0]
    with pytest.raises(DeviceError, match="'2/y' is of none of 2 inputs"):
        RUNNER.answers(subject, planned, answers(3))
    with pytest.raises(DeviceError, match="expected outputs for 2 inputs, got none for 1"):
        RUNNER.answers(subject, planned, answers(1))
    for key, array in (
        ("y", np.zeros(3)),
        ("00/y", np.zeros(3)),
        ("9" * 5000 + "/y", np.zeros(3)),
        ("0/y", np.array(["a"])),
    ):
        np.savez(tmp_path / "o.npz", **{key: array})
        with pytest.raises(
            DeviceError, match=r"the outputs of tiny\.onnx that came back cannot be read: .*(none of|text)"
        ):
            RUNNER.answers(subject, planned, {planned.outputs[0]: (tmp_path / "o.npz").read_bytes()})
    np.savez_compressed(tmp_path / "o.npz", **{"0/y": np.zeros(10**6)})
    with pytest.raises(DeviceError, match="would unpack to 8,000,"):
        RUNNER.answers(subject, planned, {planned.outputs[0]: (tmp_path / "o.npz").read_bytes()})
    for broken in (b"", b"no zip", answers(2)[planned.outputs[0]][:100]):
        with pytest.raises(DeviceError, match=r"the outputs of tiny\.onnx that came back cannot be read"):
            RUNNER.answers(subject, planned, {planned.outputs[0]: broken})
