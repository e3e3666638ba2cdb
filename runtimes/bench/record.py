"""``DeviceRun``: everything that was measured for one artifact on one device under one workload.

Every raw sample, the state around each round and the power trace are kept, so that a verdict can be made again, with
other limits or by a later version, without the device.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Literal, Self

import msgspec

from edgevit.errors import ArtifactError, EdgevitExportError, ImpossibleError
from edgevit.names import LONGEST_BYTES, file_name, why_not_beside
from edgevit.records import Record, is_version, require_within
from edgevit.spec import Network, TensorSpec
from edgevit.text import decode, parse_json, printable
from export.artifact import ParityResult
from export.recipe import Format, Recipe
from runtimes.bench.layout import MeteredLayout, idle_around_s, stamps_of
from runtimes.bench.randomisation import BURST_FACTORS, GAP_SPREAD
from runtimes.bench.request import Conditions, MeterRequest
from runtimes.conditions.device_state import MOST_CORES
from runtimes.conditions.state import DeviceState
from runtimes.power.stamps import RunStamps
from runtimes.runners.contract import MOST_BYTES
from runtimes.runners.runner import LONGEST_NS, MOST_RUNS, Measured, Subject
from runtimes.runners.workload import Workload

MOST_VALUES = 2**40  # chosen: 4 TiB of float32, which no device holds
_SHA256 = re.compile(r"[0-9a-f]{64}")
LEAST_PERIOD_S = 1e-9  # no meter reads as often


class ArtifactFacts(Record):
    """Which file was measured, and the shapes it was fed; figures of different input sizes must not be compared.

    ``network`` and ``recipe`` come from its manifest: None where there was none, and in older records.
    """

    name: str
    format: Format
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...] = ()
    network: Network | None = None
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        """Refuse what no file has: a size below nothing, another hash than SHA-256, inputs that no memory holds."""
        require_within(0, MOST_BYTES, size_bytes=self.size_bytes)
        if not _SHA256.fullmatch(self.sha256):
            raise ImpossibleError(f"sha256 is {self.sha256[:80]!r}, expected 64 hexadecimal digits")
        for tensor in self.inputs:
            require_within(0, MOST_VALUES, values=float(prod(map(abs, tensor.shape))))


class Verification(Record):
    """Whether the device's outputs are right: judged, or why not."""

    status: Literal["passed", "failed", "not verified"]
    reason: str = ""
    parity: ParityResult | None = None

    def __post_init__(self) -> None:
        """Refuse outputs that passed with a parity that did not."""
        if self.status == "passed" and self.parity is not None and not self.parity.passed:
            raise ImpossibleError("status is 'passed', but parity is not")


class Round(Record):
    """One process on the device, with the device's state before and after it. ``seconds`` is how long it took."""

    index: int
    started_utc: str
    measured: Measured
    verification: Verification
    before: DeviceState
    after: DeviceState
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse a process that ended before it began."""
        require_within(0, LONGEST_NS / 1e9, seconds=self.seconds)


class EnergyRun(Record):
    """One process under a power meter.

    Attributes:
        meter: The meter's name.
        period_s: Time between two of its readings.
        layout: How the process was laid out for it.
        run: What the process measured; with gaps in it, not the latency to report.
        trace_file: The power trace, beside the record.
        trace_sha256: Of that file.
        top1_percent: Top-1 accuracy as it was stated with the measurement.
        device_to_trace_s: Added to the device's monotonic time gives trace time, within some 10 ms; None where the
            meter keeps no host times.
    """

    meter: str
    period_s: float
    layout: MeteredLayout
    run: Round
    trace_file: str
    trace_sha256: str
    device_to_trace_s: float | None
    top1_percent: float | None = None

    def __post_init__(self) -> None:
        """Refuse a trace elsewhere than beside the record, and a meter that never reads."""
        if problem := why_not_beside(self.trace_file):
            raise ImpossibleError(f"trace_file is {self.trace_file[:LONGEST_BYTES]!r}: {problem}")
        require_within(LEAST_PERIOD_S, LONGEST_NS / 1e9, period_s=self.period_s)
        require_within(0, 100, top1_percent=self.top1_percent)

    @property
    def stamps(self) -> RunStamps | None:
        """When the device was busy; None for tools that tell no times."""
        return stamps_of(self.run.measured, self.layout.workload)

    def answers(self, request: MeterRequest) -> bool:
        """Whether ``request`` asks for what was measured, as far as the workload does not say it.

        Earlier versions wrote no schedule for a runner that tells its times: all gaps and all bursts were alike.
        """
        work, whole_run = self.layout.workload, self.layout.whole_run
        same_idle = work.idle_s == idle_around_s(request, self.period_s, whole_run=whole_run)
        return self.meter == request.name and same_idle and (bool(work.schedule) or not self.run.measured.stamped)


class RunFailure(Record):
    """Why an artifact could not be measured, in the words of the error; ``round`` is None outside the rounds."""

    message: str
    hint: str | None = None
    round: int | None = None
    exit_code: int = 4


class DeviceRun(Record):
    """The record of one artifact, device and workload.

    ``rounds`` grows, ``energy`` follows where there is a meter; ``complete`` when all is there. ``failure`` ends the
    artifact, ``energy_failure`` its energy only. ``conditions`` is None in records of version 1, which kept none.
    """

    schema_version: Literal[2] = 2
    tool: str
    created_utc: str
    device: str
    artifact: ArtifactFacts
    runner: str
    workload: Workload
    conditions: Conditions | None = None
    rounds: tuple[Round, ...] = ()
    energy: EnergyRun | None = None
    complete: bool = False
    failure: RunFailure | None = None
    energy_failure: RunFailure | None = None

    def __post_init__(self) -> None:
        """Refuse what no measuring leaves: no run, rounds out of order or without a sample, a day that is none."""
        require_within(1, MOST_RUNS, runs=self.workload.runs)
        require_within(1, MOST_CORES, threads=self.workload.threads)
        try:
            datetime.fromisoformat(self.created_utc or now_utc())  # some are undated
        except ValueError as error:
            raise ImpossibleError(f"created_utc is {self.created_utc[:80]!r}, expected a date and time") from error
        for place, each in enumerate(self.rounds):
            if each.index != place:
                raise ImpossibleError(f"round {place} has the index {each.index}")
            if not each.measured.samples and each.measured.summary is None:
                raise ImpossibleError(f"round {place} has no sample and no summary")

    @classmethod
    def from_json(
        cls, text: str | bytes, *, origin: str = "JSON text", failure: type[EdgevitExportError] = ArtifactError
    ) -> Self:
        """Read a record of this version or of version 1; see ``Record.from_json``."""
        if isinstance(text, bytes):
            text = decode(text, origin=origin, failure=failure)
        if is_version(text, 1):
            old = parse_json(text, origin=origin, failure=failure)
            text = msgspec.json.encode(_from_version_1(old, origin, failure)).decode()
        return super().from_json(text, origin=origin, failure=failure)

    def continues(self, other: DeviceRun) -> bool:
        """Whether the rounds of this record measure the very file of ``other`` in the very same way.

        What concerns a power meter is a matter of the energy alone.
        """
        mine, asked = (each.workload.of_rounds for each in (self, other))
        conditions = (self.conditions or other.conditions) == other.conditions
        same_file = (self.artifact.sha256, self.runner) == (other.artifact.sha256, other.runner)
        return conditions and same_file and mine == asked


def _from_version_1(old: object, origin: str, failure: type[EdgevitExportError]) -> dict[str, object]:
    """Version 1 had ``settings`` without threads, 0 ms for no gap given, and no conditions."""
    assert isinstance(old, dict), "it has a version"
    settings = old.pop("settings", None)
    if not isinstance(settings, dict) or "threads" not in old:
        raise failure(f"{printable(origin)} is not a valid DeviceRun record: version 1 needs `settings` and `threads`")
    workload = {**settings, "threads": old.pop("threads"), "gap_ms": settings.get("gap_ms") or None}
    return {**old, "workload": workload, "schema_version": 2}


def new_record(
    device: str,
    subject: Subject,
    runner: str,
    workload: Workload,
    conditions: Conditions,
    failure: RunFailure | None = None,
) -> DeviceRun:
    """A record without rounds."""
    return DeviceRun(
        tool=f"edgevit-export {version('edgevit-export')}",
        created_utc=now_utc(),
        device=device,
        artifact=msgspec.convert(subject, ArtifactFacts, from_attributes=True),
        runner=runner,
        workload=workload,
        conditions=conditions,
        failure=failure,
    )


def now_utc() -> str:
    """This moment as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_directory(output: Path, device: str) -> Path:
    """Where the records and traces of one device are kept."""
    return output / file_name(device)


def partial_path(path: Path) -> Path:
    """Where a record waits that is not complete or failed: an earlier complete one is not touched by it."""
    return path.with_suffix(".partial.json")


def record_key(subject: Subject, runner: str, workload: Workload) -> str:
    """Name of one artifact, runner and workload in plans and file names.

    The hash keeps artifacts of one name apart. What differs from the plain workload is named, since records of
    different workloads do not replace each other.
    """
    plain = Workload()
    differing = [
        f"{name}{value:g}"
        for name, value, usual in (
            ("runs", workload.runs, plain.runs),
            ("rounds", workload.rounds, plain.rounds),
            ("warmup", workload.warmup, plain.warmup),
            ("gap", workload.gap_ms or 0.0, 0.0),
            ("burst", workload.burst or 1, 1),
            ("spread", workload.gap_spread, GAP_SPREAD),
            ("controls", workload.controls, None),
            ("seed", workload.seed, 0),
        )
        if value is not None and value != usual
    ]
    if workload.burst_factors not in (None, BURST_FACTORS):
        differing.append("factors" + "_".join(map(str, workload.burst_factors)))
    cores = [] if workload.affinity is None else [f"cpus{workload.affinity}"]
    parts = [subject.name, subject.sha256[:8], runner, *differing, *cores, f"t{workload.threads}"]
    return file_name("-".join(parts))
