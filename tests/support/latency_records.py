"""Records of made-up measurements, for tests of verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.recipe import Format
from runtimes.bench.record import ArtifactFacts, DeviceRun, Round, Verification
from runtimes.conditions.device_state import CpuState, DeviceState, ThermalState
from runtimes.runners.runner import Measured, RunSample, Summary
from runtimes.runners.workload import Workload

SECOND_NS = 1_000_000_000
PASSED = Verification(status="passed")


def state(*, thermal_status: int | None = 0, max_hz: int = 2_000_000_000) -> DeviceState:
    cpu = CpuState(
        index=0, online=True, governor="performance", cur_hz=max_hz, min_hz=None, max_hz=max_hz, hw_max_hz=None,
        capacity=None,
    )  # fmt: skip
    return DeviceState(
        serial="8BC1", kind="adb", unix_time_s=0.0, uptime_s=1.0, manufacturer="Maker", model="Phone 1", soc=None,
        system=None, android_version="14", sdk=34, fingerprint=None, kernel=None, abi="arm64-v8a", cpus=(cpu,),
        clusters=(), thermal=ThermalState(status=thermal_status, source="hal", temperatures=()), battery=None,
        screen="awake", load_1min=0.0, cpus_allowed=(0,), cpu_quota=None, memory_total_bytes=None,
        memory_available_bytes=None, airplane_mode=None, low_power_mode=False, is_root=False, missing={},
    )  # fmt: skip


def stamped(latencies_ms: Sequence[float], *, start_ns: int = 0, suspended_ns: int = 0) -> tuple[RunSample, ...]:
    """Samples one after the other; ``suspended_ns`` passes on the boot clock alone, in the middle."""
    samples, now_ns = [], start_ns
    for index, latency in enumerate(latencies_ms):
        latency_ns = round(latency * 1e6)
        boot_ns = now_ns + (suspended_ns if index >= len(latencies_ms) // 2 else 0)
        samples.append(
            RunSample(
                latency_ns=latency_ns,
                start_monotonic_ns=now_ns,
                end_monotonic_ns=now_ns + latency_ns,
                start_boottime_ns=boot_ns,
                end_boottime_ns=boot_ns + latency_ns,
            )
        )
        now_ns += latency_ns
    return tuple(samples)


def one_round(
    index: int,
    measured: Measured,
    *,
    verification: Verification = PASSED,
    before: DeviceState | None = None,
    after: DeviceState | None = None,
) -> Round:
    return Round(
        index=index,
        started_utc="2026-01-01T00:00:00+00:00",
        measured=measured,
        verification=verification,
        before=before or state(),
        after=after or state(),
    )


def device_run(
    rounds_ms: Sequence[Sequence[float]],
    *,
    name: str = "small.onnx",
    threads: int = 1,
    verification: Verification = PASSED,
    suspended_ns: int = 0,
    after: DeviceState | None = None,
    complete: bool = True,
) -> DeviceRun:
    rounds = [
        one_round(
            index,
            Measured(
                runner="python 1",
                runtime="onnxruntime 1.31.1",
                samples=stamped(latencies, start_ns=index * SECOND_NS, suspended_ns=suspended_ns),
                load_ns=5_000_000,
                peak_memory_bytes=50_000_000,
            ),
            verification=verification,
            after=after,
        )
        for index, latencies in enumerate(rounds_ms)
    ]
    return record(rounds, name=name, threads=threads, complete=complete)


def summary_run(summaries: Sequence[Summary], *, verification: Verification = PASSED) -> DeviceRun:
    measured = [Measured(runner="TFLite benchmark_model", runtime="", summary=each) for each in summaries]
    rounds = [one_round(index, each, verification=verification) for index, each in enumerate(measured)]
    return record(rounds, name="small.tflite", runner="benchmark_model")


def record(
    rounds: Sequence[Round], *, name: str, threads: int = 1, complete: bool = True, runner: str = "python"
) -> DeviceRun:
    runs = sum(len(each.measured.samples) for each in rounds) or 50
    return DeviceRun(
        tool="edgevit-export 0.1.0",
        created_utc="2026-01-01T00:00:00+00:00",
        device="8BC1",
        artifact=ArtifactFacts(name=name, format=Format(name.rpartition(".")[2]), sha256="0" * 64, size_bytes=1),
        runner=runner,
        workload=Workload(runs=runs, rounds=max(1, len(rounds)), threads=threads),
        rounds=tuple(rounds),
        complete=complete,
    )


def normal_rounds(mean_ms: float, *, seed: int, rounds: int = 5, runs: int = 10, sd: float = 0.01) -> list[list[float]]:
    """Rounds of normal samples, of a thousandth of the mean at least; ``sd`` is a share of the mean."""
    generator = np.random.default_rng(seed)
    drawn = generator.normal(mean_ms, sd * mean_ms, (rounds, runs))
    return [[float(x) for x in each] for each in np.maximum(drawn, mean_ms / 1e3)]
