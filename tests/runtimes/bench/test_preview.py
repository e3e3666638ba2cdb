"""What ``--dry-run`` says of the run under a meter."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_rig import onnx_subject
from latency_records import device_run, normal_rounds
from stamp_meter import StampMeter

from runtimes.bench.plan import Job
from runtimes.bench.preview import layout_lines
from runtimes.bench.request import MeterRequest
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.workload import Workload


@pytest.fixture
def meter(tmp_path: Path) -> StampMeter:
    return StampMeter(tmp_path)


def job_of(directory: Path, **asked: object) -> Job:
    return Job(onnx_subject(directory / "tiny.onnx"), PythonRunner("py"), Workload(**asked))  # type: ignore[arg-type]


def test_a_latency_that_is_known_is_laid_out_for_and_examples_otherwise(tmp_path: Path, meter: StampMeter) -> None:
    job = job_of(tmp_path)
    examples = layout_lines([job], {}, meter, MeterRequest(name="monsoon"))
    assert len(examples) == 3
    assert examples[0].startswith(f"energy {job.key}, if one inference takes 10 ms: 50 bursts of 1 or 3, 10 controls, ")
    rounds = device_run(normal_rounds(12.5, seed=0, sd=0.0)).rounds
    (line,) = layout_lines([job], {job.key: rounds}, meter, MeterRequest(name="monsoon"))
    assert f"{job.key}, one inference takes 12.5 ms: 50 bursts of 1 or 3" in line
    assert meter.calls == [], "nothing was touched"


def test_what_cannot_be_laid_out_says_why(tmp_path: Path, meter: StampMeter) -> None:
    lines = layout_lines([job_of(tmp_path, burst=1, gap_ms=1.0)], {}, meter, MeterRequest(name="monsoon"))
    assert all("cannot be measured: monsoon cannot tell what lies between bursts" in line for line in lines)
