"""The verdict on the energy of a ``DeviceRun``, from its stamps and the power trace beside its record."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgevit.errors import ArtifactError
from edgevit.records import sha256_file
from runtimes.bench.record import DeviceRun, EnergyRun
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport, EnergySubject
from validation.energy.whole_run import analyze_whole_run
from validation.precision import precision_of

Recorded = tuple[PowerTrace, RunStamps | None]


def judge_energy(
    run: DeviceRun, directory: Path, *, top1_percent: float | None = None, recorded: Recorded | None = None
) -> EnergyReport | None:
    """Energy per inference of ``run``; None where no meter was there.

    Args:
        run: The record.
        directory: Where the record and its trace stand.
        top1_percent: Top-1 accuracy as the user states it now, instead of what was stated with the measurement.
        recorded: What ``recorded_trace`` read, not to read it again.

    Raises:
        ArtifactError: The trace is not there, or not the one that was recorded.
    """
    energy = run.energy
    if energy is None:
        return None
    trace, stamps = recorded[0] if recorded else _load_trace(run, energy, directory), energy.stamps
    top1 = energy.top1_percent if top1_percent is None else top1_percent
    if energy.layout.whole_run:
        if stamps is None or energy.device_to_trace_s is None:
            raise ArtifactError(
                f"{energy.meter} needs the run's times, which {run.runner} does not tell",
                hint="bench --runner python, or --energy monsoon",
            )
        report = analyze_whole_run(
            trace,
            stamps,
            device_to_trace_s=energy.device_to_trace_s,
            period_s=energy.period_s,
            top1_percent=top1,
        )
    else:
        bursts = None if stamps else run.workload.runs
        report = analyze_energy(trace, runs=bursts, stamps=stamps, top1_percent=top1)
    return msgspec.structs.replace(report, subject=_subject(run, energy.run.measured.runtime))


def _subject(run: DeviceRun, runtime: str) -> EnergySubject:
    return EnergySubject(
        artifact=run.artifact.name,
        sha256=run.artifact.sha256,
        format=str(run.artifact.format),
        precision=precision_of(run),
        device=run.device,
        runner=run.runner,
        runtime=runtime,
        threads=run.workload.threads,
        affinity=run.workload.affinity,
        gap_ms=run.workload.gap_ms or 0.0,
    )


def recorded_trace(run: DeviceRun, directory: Path) -> Recorded | None:
    """The trace of ``run`` and, where its single windows tell the energy, the stamps; None where no meter was there.

    Raises:
        ArtifactError: The trace is not there, or not the one that was recorded.
    """
    if (energy := run.energy) is None:
        return None
    return _load_trace(run, energy, directory), None if energy.layout.whole_run else energy.stamps


def _load_trace(run: DeviceRun, energy: EnergyRun, directory: Path) -> PowerTrace:
    path = directory / energy.trace_file
    if not path.is_file():
        raise ArtifactError(f"{path}: the power trace of {run.artifact.name} on {run.device} is not there")
    if (seen := sha256_file(path)) != energy.trace_sha256:
        raise ArtifactError(
            f"{path} is not the power trace of its record: expected SHA-256 {energy.trace_sha256[:12]}, got {seen[:12]}"
        )
    return PowerTrace.load(path)
