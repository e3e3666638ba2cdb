"""What ``bench`` adds: to the latency that it reports, and to the time that it takes.

    PYTHONPATH=tests/support python benchmarks/bench_overhead.py ARTIFACT [PAIRS]

Over the real adb client and AOSP's adbd, with this host as the device (tests/support/adbd/build.sh .adbd builds it).

Fidelity: in turns, ``bench`` measures ARTIFACT over adb (one round of 50 runs after 10 of warm-up, default settings
otherwise), and a fresh process opens the same session and times the same 50 runs with two clock reads around each.
Each pair gives a ratio of medians; printed are the median ratio and its 95 % bootstrap interval over pairs.

Overhead: ``bench`` with its default five rounds on three copies of ARTIFACT; the wall time less the pushes and less the
processes that execute the model, divided by three.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from adbd_rig import AdbRig, why_not

from edgevit_export.workflows.subjects import Subjects, find_subjects
from runtimes.bench.measure import Measurement
from runtimes.bench.request import BenchRequest
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Progress
from runtimes.devices.packets import Channel, Packet, Packets
from runtimes.runners.workload import Workload
from validation.latency.analysis import samples_ms
from validation.statistics import bootstrap_interval

RUNS, WARMUP, DEFAULT_PAIRS = 50, 10, 12

DIRECT = """
import sys, time
from pathlib import Path
from export.recipe import Format
from runtimes.sessions.table import open_session
from runtimes.runners.array_sets import read_sets
session = open_session(Path(sys.argv[1]), Format(sys.argv[2]), threads=1)
feed = read_sets(Path(sys.argv[3]))[0]
for _ in range(int(sys.argv[4])):
    session.run(feed)
for _ in range(int(sys.argv[5])):
    start = time.perf_counter_ns()
    session.run(feed)
    print(time.perf_counter_ns() - start)
"""


class Quiet:
    """A watcher that says nothing but failures."""

    def pushing(self, item: object, done_bytes: int) -> None:
        pass

    def round_started(self, planned: object, number: int, total: int) -> None:
        pass

    def round_ended(self, planned: object, finished: object) -> None:
        pass

    def failed(self, key: str, failure: object) -> None:
        print(key, failure, file=sys.stderr)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)


class TimedDevice(AdbDevice):
    """Sums up the time of pushes, and of processes that execute models."""

    push_s = 0.0
    run_s = 0.0

    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        start = time.monotonic()
        sent = super().push(local, remote, progress=progress, mode=mode, timeout_s=timeout_s)
        self.push_s += time.monotonic() - start
        return sent

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        packets = super().open_packets(argv, start_timeout_s=start_timeout_s, tracked=tracked)
        return _Timed(packets, self) if tracked else packets


class _Timed:
    """Packets that tell the device how long they took to the end."""

    def __init__(self, inner: Packets, device: TimedDevice) -> None:
        self._inner, self._device, self._start = inner, device, time.monotonic()

    def read(self, timeout_s: float) -> Packet:
        packet = self._inner.read(timeout_s)
        if packet.channel is Channel.EXIT:
            self._device.run_s += time.monotonic() - self._start
        return packet

    def close(self, *, kill: bool) -> None:
        self._inner.close(kill=kill)


def bench_median_ms(device: AdbDevice, subjects: Subjects, output: Path) -> float:
    """One round of ``bench``."""
    workload = Workload(runs=RUNS, rounds=1, warmup=WARMUP)
    request = BenchRequest(workload=workload, python=sys.executable)
    outcome = Measurement(device, subjects.subjects, request, output, subjects.judge, Quiet()).run()
    (run,) = outcome.runs
    return float(np.median(np.concatenate(samples_ms(run))))


def direct_median_ms(artifact: Path, format: str, inputs: Path) -> float:
    """The same session in a process of its own."""
    command = [sys.executable, "-c", DIRECT, str(artifact), format, str(inputs), str(WARMUP), str(RUNS)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    return float(np.median([int(line) for line in printed.split()])) / 1e6


def fidelity(device: AdbDevice, subjects: Subjects, directory: Path, pairs: int) -> None:
    """Print the ratio of what ``bench`` reports to what direct timing gives."""
    from runtimes.runners.array_sets import write_sets

    (subject,) = subjects.subjects
    inputs = directory / "inputs.npz"
    write_sets(inputs, list(subject.feeds))
    bench, direct = [], []
    for index in range(pairs):
        for which in ("bench", "direct") if index % 2 else ("direct", "bench"):
            if which == "bench":
                bench.append(bench_median_ms(device, subjects, directory / f"out{index}"))
            else:
                direct.append(direct_median_ms(subject.path, subject.format, inputs))
    ratios = np.array(bench) / np.array(direct)
    low, high = bootstrap_interval([ratios], np.median, seed=0)
    print(f"latency: bench {np.median(bench):.3f} ms, direct {np.median(direct):.3f} ms over {pairs} pairs; ")
    print(f"ratio {np.median(ratios):.4f}, 95 % between {low:.4f} and {high:.4f}")


def overhead(device: TimedDevice, subjects: Subjects, directory: Path) -> None:
    """Print the time besides pushing and running, per artifact."""
    (subject,) = subjects.subjects
    copies = [replace(subject, name=f"{index}-{subject.name}") for index in range(3)]
    device.push_s = device.run_s = 0.0
    start = time.monotonic()
    request = BenchRequest(python=sys.executable)
    Measurement(device, copies, request, directory / "overhead", subjects.judge, Quiet()).run()
    wall_s = time.monotonic() - start
    rest_s = wall_s - device.push_s - device.run_s
    print(
        f"overhead: {wall_s:.2f} s for 3 artifacts, of which pushing {device.push_s:.2f} s and running "
        f"{device.run_s:.2f} s; the rest is {rest_s / 3:.2f} s per artifact"
    )


def main() -> None:
    """Measure and print."""
    if reason := why_not():
        sys.exit(reason)
    subjects = find_subjects([Path(sys.argv[1])])
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_PAIRS
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        rig = AdbRig(directory)
        try:
            daemon = rig.add()
            (daemon.data / "dumpsys_power").write_text("mWakefulness=Awake\n")
            device = TimedDevice(daemon.serial, rig.server, scratch=str(daemon.root / "scratch"))
            overhead(device, subjects, directory)
            fidelity(device, subjects, directory, pairs)
        finally:
            rig.close()


if __name__ == "__main__":
    main()
