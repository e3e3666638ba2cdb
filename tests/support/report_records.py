"""Result directories of made-up measurements, for tests of reports."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from latency_records import device_run, normal_rounds, one_round, record

from edgevit.records import sha256_file
from edgevit.spec import Layout, TensorSpec
from export.artifact import Delegation, ParityResult, Piece
from export.recipe import Calibration, Precision, Recipe
from runtimes.bench.layout import MeteredLayout
from runtimes.bench.record import DeviceRun, EnergyRun, RunFailure, Verification
from runtimes.power.stamps import RunStamps, Window
from runtimes.runners.contract import Pulse
from runtimes.runners.runner import Measured, RunSample
from validation.energy.report import EnergyReport, EnergySubject, TraceFacts
from validation.report.rows import (
    Accuracy,
    ArtifactRow,
    Conditions,
    Cost,
    Metric,
    Quantity,
    RankedRow,
    ReportRow,
    ReportTable,
    with_dominance,
)

IMAGE = TensorSpec(name="image", shape=(1, 3, 224, 224), layout=Layout.NCHW)
WRONG = Verification(status="failed", reason="logits: largest error 3.1, allowed 1e-4")


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def run_of(
    name: str,
    latency_ms: float,
    *,
    sd: float = 0.01,
    threads: int = 1,
    device: str = "8BC1",
    side: int = 224,
    runtime: str | None = None,
    **options: object,
) -> DeviceRun:
    """A complete run of 5 x 10 normal samples; ``options`` go to ``latency_records.device_run``."""
    rounds = normal_rounds(latency_ms, seed=len(name), sd=sd)
    run = device_run(rounds, name=name, threads=threads, **options)  # type: ignore[arg-type]
    run = with_artifact(run, name, side=side)
    parts = run.rounds
    if runtime is not None:
        parts = tuple(
            msgspec.structs.replace(each, measured=msgspec.structs.replace(each.measured, runtime=runtime))
            for each in parts
        )
    return msgspec.structs.replace(run, device=device, rounds=parts)


def with_artifact(run: DeviceRun, name: str, *, side: int = 224) -> DeviceRun:
    image = msgspec.structs.replace(IMAGE, shape=(1, 3, side, side))
    artifact = msgspec.structs.replace(run.artifact, sha256=sha_of(name), inputs=(image,))
    return msgspec.structs.replace(run, artifact=artifact)


def in_precision(
    run: DeviceRun, precision: Precision, *, images: int | None = None, size_bytes: int | None = None
) -> DeviceRun:
    """As of an artifact in that precision; ``images`` of calibration make int8 static."""
    calibration = None if images is None else Calibration(count=images, sha256="1a2b3c4d" * 8)
    recipe = Recipe(format=run.artifact.format, precision=precision, calibration=calibration)
    size = run.artifact.size_bytes if size_bytes is None else size_bytes
    return msgspec.structs.replace(run, artifact=msgspec.structs.replace(run.artifact, recipe=recipe, size_bytes=size))


def three_precisions(suffix: str = "onnx") -> list[DeviceRun]:
    """One network as float32, int8 dynamic and int8 static, under the names that their exports have."""
    name = "edgevit-s-224x224"
    return [
        in_precision(run_of(f"{name}.{suffix}", 84.0), Precision.FP32, size_bytes=52_000_000),
        in_precision(run_of(f"{name}-int8.{suffix}", 56.0), Precision.INT8, size_bytes=14_000_000),
        in_precision(
            run_of(f"{name}-int8-static-100-1a2b3c4d.{suffix}", 42.0), Precision.INT8, images=100,
            size_bytes=14_100_000,
        ),
    ]  # fmt: skip


def failed_run(name: str) -> DeviceRun:
    """A run that never got as far as its first round."""
    failure = RunFailure(message=f"{name} on 8BC1: the runner was killed", hint="free memory")
    return msgspec.structs.replace(with_artifact(record([], name=name, complete=False), name), failure=failure)


def energy_of(
    name: str, energy_mj: float | None, *, verified: bool = True, device: str = "8BC1", top1: float | None = None
) -> EnergyReport:
    subject = EnergySubject(
        artifact=name, sha256=sha_of(name), format=name.rpartition(".")[2], device=device, runner="python",
        runtime="onnxruntime 1.31.1", threads=1, gap_ms=0.0,
    )  # fmt: skip
    trace = TraceFacts(
        source="", meter="monsoon", rate_hz=5000.0, measured_rate_hz=5000.0, seconds=30.0, samples=150_000,
        lost_share=0.0, over_current=False,
    )  # fmt: skip
    return EnergyReport(
        verdict="verified" if verified else "unverified",
        reasons=() if verified else ("regions hold +9.0% more energy than the stamped windows",),
        method="aligned",
        inferences=50,
        energy_mj=energy_mj,
        energy_sd_mj=None if energy_mj is None else 0.08 * energy_mj,
        power_mw=None if energy_mj is None else 4100.0,
        power_sd_mw=None if energy_mj is None else 210.0,
        noise_mw=5.0,
        top1_percent=top1,
        trace=trace,
        subject=subject,
    )


def save_run(directory: Path, run: DeviceRun, *, partial: bool = False) -> Path:
    path = (
        directory / run.device / f"{run.artifact.name}-{run.runner}-t{run.workload.threads}{'.partial' * partial}.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    run.save(path)
    return path


def save_energy(directory: Path, energy: EnergyReport) -> Path:
    assert energy.subject is not None
    path = directory / energy.subject.device / f"{energy.subject.artifact}.energy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    energy.save(path)
    return path


def small_results(directory: Path) -> Path:
    """Three EdgeViTs and a few others on one phone, with every kind of verdict, and one of them in two threads."""
    for run in (
        run_of("edgevit-xxs-224x224.onnx", 31.0),
        run_of("edgevit-xs-224x224.onnx", 52.0),
        run_of("edgevit-s-224x224.onnx", 84.0),
        run_of("mobilenet_v2.onnx", 36.0, sd=0.4),
        run_of("slow_but_good.onnx", 120.0),
        run_of("wrong.onnx", 3.0, verification=WRONG),
        run_of("edgevit-s-224x224.onnx", 47.0, threads=4),
    ):
        save_run(directory, run)
    save_run(directory, failed_run("broken.onnx"), partial=True)
    save_energy(directory, energy_of("edgevit-xxs-224x224.onnx", 120.0))
    save_energy(directory, energy_of("edgevit-xs-224x224.onnx", 230.0))
    save_energy(directory, energy_of("edgevit-s-224x224.onnx", 380.0, verified=False))
    save_energy(directory, energy_of("wrong.onnx", 4.0))
    return directory


ACCURACY_TOML = """
"edgevit-xxs-224x224" = 74.4
"edgevit-xs-224x224.onnx" = 77.5
"edgevit-s-*" = { top1 = 80.9, kind = "measured", source = "own run, 50000 images" }
"mobilenet_v2" = { top1 = 72.0, parameters_m = 3.4, multiply_adds_g = 0.3, label = "MobileNet-v2" }
slow_but_good = 76.0
wrong = 99.0
broken = 80.0
"""

NASTY = "<script>alert(1)</script> & \"a\" 'b' $x^$"


def measured(*rows: tuple[str, float, float | None, float, str]) -> ReportTable:
    made = [
        ReportRow(
            model=model, latency_ms=Quantity(mean=mean, sd=sd), latency_status=status,
            accuracy=Accuracy(metric=Metric.TOP1, value=value, kind="stated"),
            reasons=() if status == "valid" else (f"latency {status}: {NASTY}",),
        )
        for model, mean, sd, value, status in rows
    ]  # fmt: skip
    return ReportTable(
        slug="phone", title=f"Phone {NASTY}", origin="measured", conditions=Conditions(device="d", input="224x224"),
        metric=Metric.TOP1, plots=(Cost.LATENCY,), rows=with_dominance(made),
    )  # fmt: skip


SMALL = measured(
    ("edgevit-s", 84.0, 1.0, 81.0, "valid"),
    ("edgevit-xs", 52.0, None, 77.5, "noisy"),
    ("wrong", 1.0, 0.1, 99.0, "failed"),
    (NASTY, 90.0, 120.0, 70.0, "valid"),
)


def front_of(table: ReportTable, cost: Cost) -> list[str]:
    """Names of the models on a table's front, by rising cost."""
    front = [(quantity.mean, row.model) for row in table.rows if row.on_front(cost) and (quantity := row.cost(cost))]
    return [model for _, model in sorted(front)]


def metered(run: DeviceRun, stamps: RunStamps, trace: Path) -> DeviceRun:
    """``run`` with a gap of 300 ms and the energy of the trace at ``trace``, by a process that stamped ``stamps``."""
    samples, warmup = map(_samples, (stamps.bursts, stamps.warmup))
    pulses = tuple(
        Pulse(place="before", index=index, start_monotonic_ns=each.start_ns, end_monotonic_ns=each.end_ns)
        for index, each in enumerate(stamps.pulses)
    )
    workload = msgspec.structs.replace(run.workload, gap_ms=300.0, burst=1)
    energy = EnergyRun(
        meter="simulated",
        period_s=0.0002,
        layout=MeteredLayout(workload=workload, whole_run=False, latency_s=0.06, expected_s=30.0),
        run=one_round(
            5, Measured(runner="python 1", runtime="onnxruntime 1.31.1", samples=samples, warmup=warmup, pulses=pulses)
        ),
        trace_file=trace.name,
        trace_sha256=sha256_file(trace),
        device_to_trace_s=None,
    )
    return msgspec.structs.replace(run, workload=workload, energy=energy)


def _samples(windows: Sequence[Window]) -> tuple[RunSample, ...]:
    return tuple(
        RunSample(
            latency_ns=each.end_ns - each.start_ns,
            start_monotonic_ns=each.start_ns,
            end_monotonic_ns=each.end_ns,
            start_boottime_ns=each.start_ns,
            end_boottime_ns=each.end_ns,
        )
        for each in windows
    )


def ranked(
    artifact: str,
    interval: tuple[float, float] | None,
    *,
    threads: int = 1,
    verdict: str = "valid",
    reasons: tuple[str, ...] = (),
) -> RankedRow:
    """One way to run an artifact; the median lies in the middle of its interval."""
    low, high = interval or (None, None)
    return RankedRow(
        model=artifact.rpartition(".")[0],
        artifact=artifact,
        sha256=sha_of(artifact),
        format=artifact.rpartition(".")[2],
        conditions=Conditions(device="d", runtime="r 1", runner="python", threads=threads, input="224x224"),
        latency_ms=Quantity(mean=5.0, sd=0.1),
        median_ms=None if low is None or high is None else (low + high) / 2,
        median_low_ms=low,
        median_high_ms=high,
        verdict=verdict,
        reasons=reasons,
    )


PARITY = ParityResult(
    passed=True, runtime="ai-edge-litert 2.3.0", inputs_compared=20, max_abs_error=1e-6, mean_abs_error=1e-7,
    yardstick=5e-7, multiple=2.36, sqnr_db=100.0, cosine=1.0,
)  # fmt: skip
SHARE = Delegation(
    delegate="XNNPACK",
    delegated=396,
    total=397,
    partitions=2,
    left=("FULLY_CONNECTED x 1: its weights are computed at run time (in blocks.1)",),
    pieces=(
        Piece(delegated=True, operators=36),
        Piece(delegated=False, operators=1, names=("FULLY_CONNECTED",), modules=("blocks.1",)),
        Piece(delegated=True, operators=360),
    ),
)


def artifact_row(artifact: str, sha256: str, delegation: Delegation | None = SHARE) -> ArtifactRow:
    return ArtifactRow(
        artifact=artifact, sha256=sha256, format=artifact.rpartition(".")[2], size_bytes=16_300_000, precision="fp32",
        operators=397, delegation=delegation, parity=PARITY,
    )  # fmt: skip
