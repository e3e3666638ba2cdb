"""The native runner against the Python runner: latency, start to first inference, and what ``bench`` adds, in turns.

    PYTHONPATH=tests/support python benchmarks/native_runner.py ARTIFACT... [--pairs 20] [--runs 40] [--overhead]

On this host, one thread, one core; the runners of the user's cache (``runner fetch``, ``runner build``). In each pair
both runners execute the same request, one after the other, the order turning from pair to pair: a fresh process that
opens ARTIFACT, warms up and times ``--runs`` forward passes. Printed are the median latencies, the median over pairs of
the ratio native / Python with its quartiles, the time from the start of the process to the end of the first inference,
peak memory, and the largest difference of the outputs over all golden inputs, relative to their peak.

``--overhead``: ``bench`` of three copies of each artifact with its default five rounds, over the real adb client and
AOSP's adbd, with each runner: the wall time less the pushes and the processes that execute the model.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgevit.shell import quoted
from edgevit_export.workflows.subjects import Subjects, find_subjects
from export.recipe import Format
from runtimes.bench.process import fetch, push_file, run_process
from runtimes.conditions.state import read_state
from runtimes.devices.host import HostDevice
from runtimes.runners.native.launch import NativeRunner
from runtimes.runners.native.usable import Missing, native_files
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Feed, Runner, Subject
from runtimes.runners.workload import Workload

WARMUP = 10


@dataclass(frozen=True)
class Once:
    """What one process did."""

    median_ms: float
    first_s: float
    peak_mb: float
    answers: list[Feed]


def run_once(runner: Runner, subject: Subject, device: HostDevice, staging: Path, workload: Workload) -> Once:
    """One process from its start to its end; its files are pushed before."""
    directory = f"{device.scratch_dir()}/{runner.name}"
    pushes = runner.pushes(subject, staging, directory)
    own, planned = runner.plan_run(subject, staging, directory, key="k", round=0, workload=workload)
    for push in (*pushes, *own):
        push_file(device, push)
    start_ns = time.monotonic_ns()
    finished = run_process(device, planned)
    measured = runner.read(subject, planned, finished, subject.name)
    answers = runner.answers(subject, planned, fetch(device, planned, planned.outputs))
    first_end_ns = measured.warmup[0].end_monotonic_ns or 0
    median_ms = float(np.median([sample.latency_ns for sample in measured.samples])) / 1e6
    return Once(median_ms, (first_end_ns - start_ns) / 1e9, (measured.peak_memory_bytes or 0) / 1e6, answers)


def compare(subject: Subject, pairs: int, runs: int, directory: Path) -> None:
    """Print the ratios of one artifact."""
    device = HostDevice(directory / "host")
    files = native_files(read_state(device), subject.format, None)
    if isinstance(files, Missing):
        sys.exit(f"{subject.name}: {files.why}: {files.how}")
    runners: list[Runner] = [NativeRunner(files), PythonRunner(sys.executable)]
    core = f"{1 << max(os.sched_getaffinity(0)):x}"
    workload = Workload(runs=runs, rounds=1, warmup=WARMUP, affinity=core, timeout_s=600.0)
    seen: dict[str, list[Once]] = {runner.name: [] for runner in runners}
    for pair in range(pairs):
        for runner in runners if pair % 2 else reversed(runners):
            seen[runner.name].append(run_once(runner, subject, device, directory, workload))
    native, python = seen["native"], seen["python"]
    ratios = [ours.median_ms / theirs.median_ms for ours, theirs in zip(native, python, strict=True)]
    starts = [ours.first_s / theirs.first_s for ours, theirs in zip(native, python, strict=True)]
    print(
        f"{subject.name:42} {np.median([each.median_ms for each in native]):7.2f} "
        f"{np.median([each.median_ms for each in python]):7.2f} ms  {_spread(ratios)}   first "
        f"{np.median([each.first_s for each in native]):.3f} {np.median([each.first_s for each in python]):.3f} s "
        f"{_spread(starts)}   peak {native[0].peak_mb:.0f} {python[0].peak_mb:.0f} MB   "
        f"outputs {_worst(native[0].answers, python[0].answers):.1e}",
        flush=True,
    )


def _spread(values: list[float]) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _worst(ours: list[Feed], theirs: list[Feed]) -> float:
    """The largest difference over all outputs, relative to the peak of each."""
    return max(
        float(np.abs(one[name].astype(np.float64) - array).max() / max(np.abs(array).max(), 1e-30))
        for one, other in zip(ours, theirs, strict=True)
        for name, array in other.items()
    )


def overhead(subjects: Subjects, directory: Path) -> None:
    """Print what ``bench`` adds per artifact, with each runner."""
    from adbd_rig import AdbRig
    from bench_overhead import Quiet, TimedDevice

    from runtimes.bench.measure import Measurement
    from runtimes.bench.request import BenchRequest

    rig = AdbRig(directory)
    try:
        daemon = rig.add()
        (daemon.data / "dumpsys_power").write_text("mWakefulness=Awake\n")
        for subject in subjects.subjects:
            copies = [replace(subject, name=f"{index}-{subject.name}") for index in range(3)]
            for runner in ("python", "native", "python", "native"):
                device = TimedDevice(daemon.serial, rig.server, scratch=str(daemon.root / "scratch"))
                request = BenchRequest(python=sys.executable, runner=runner)
                start = time.monotonic()
                with tempfile.TemporaryDirectory() as out:
                    Measurement(device, copies, request, Path(out), subjects.judge, Quiet()).run()
                rest_s = time.monotonic() - start - device.push_s - device.run_s
                print(f"{subject.name}: bench adds {rest_s / 3:.2f} s per artifact with {runner}", flush=True)
    finally:
        rig.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--overhead", action="store_true")
    asked = parser.parse_args()
    subjects = find_subjects(asked.artifacts)
    print(f"{', '.join(quoted(str(path)) for path in asked.artifacts)}: {asked.pairs} pairs of {asked.runs} runs")
    with tempfile.TemporaryDirectory() as name:
        if asked.overhead:
            overhead(subjects, Path(name))
            return
        for subject in sorted(subjects.subjects, key=lambda each: list(Format).index(each.format)):
            compare(subject, asked.pairs, asked.runs, Path(name))


if __name__ == "__main__":
    main()
