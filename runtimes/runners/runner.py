"""What a runner is to the benchmark flow, whichever program stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.bench.plan import PlannedPush, PlannedRun
from runtimes.runners.tools.adapter import Summary
from runtimes.sessions.session import Array

Feed = dict[str, Array]


@dataclass(frozen=True)
class Subject:
    """One artifact to be measured.

    Attributes:
        name: For tables and file names: the artifact's file name.
        path: The file here.
        format: Its format.
        sha256: Of the file.
        size_bytes: Of the file.
        inputs: Tensors that it takes, with concrete shapes (a free batch is 1).
        outputs: Tensors that it gives, in the order of the file.
        feeds: The inputs to run, one dict of arrays per run; the first is the one that is timed.
    """

    name: str
    path: Path
    format: Format
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    feeds: tuple[Feed, ...]


class RunSettings(Record):
    """How each artifact is run. ``affinity`` is a hexadecimal mask; ``runs`` is per artifact over all rounds."""

    runs: int = 50
    rounds: int = 5
    warmup: int = 10
    gap_ms: float = 0.0
    affinity: str | None = None
    timeout_s: float = 600.0


class RunSample(Record):
    """One timed forward pass. Stamps are None where the runner is a tool that tells durations only."""

    latency_ns: int
    start_monotonic_ns: int | None = None
    end_monotonic_ns: int | None = None
    start_boottime_ns: int | None = None
    end_boottime_ns: int | None = None


class Measured(Record):
    """What one process on the device measured: every latency, or a summary where its tool tells no more.

    ``outputs_sha256`` is the hash of the outputs file, where the runner tells it.
    """

    runner: str
    runtime: str
    samples: tuple[RunSample, ...] = ()
    warmup: tuple[RunSample, ...] = ()
    summary: Summary | None = None
    cpus: tuple[int, ...] = ()
    load_ns: int | None = None
    first_ns: int | None = None
    peak_memory_bytes: int | None = None
    outputs_sha256: str | None = None


@dataclass(frozen=True)
class Finished:
    """All that a process left behind when it ended."""

    rc: int
    stdout: str
    stderr: str
    log: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def printed(self) -> str:
        """Both streams and the log."""
        return "\n".join(part for part in (self.stdout, self.stderr, self.log) if part)


class Runner(Protocol):
    """Prepares the processes that measure one subject, and reads what they left.

    Attributes:
        name: ``python`` or the tool's name.
        unverified: Why this runner cannot show that the outputs are right; None when it can.
    """

    name: str
    unverified: str | None

    def pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The files that ``subject`` needs in ``directory`` on the device; generated ones are written to ``staging``.

        Raises:
            UsageError: This runner cannot do what the settings ask for.
        """
        ...

    def plan_run(
        self, subject: Subject, staging: Path, directory: str, *, key: str, round: int, runs: int, threads: int
    ) -> tuple[list[PlannedPush], PlannedRun]:
        """One process, and the files that only it needs."""
        ...

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """The measurements of a process that ended.

        Raises:
            DeviceError: It failed, or what it left is incomplete or cannot be read.
        """
        ...

    def answers(self, subject: Subject, planned: PlannedRun, files: Mapping[str, bytes]) -> list[Feed]:
        """The outputs for the feeds (all, or the first ones), from the files that ``planned.outputs`` names.

        Raises:
            DeviceError: Too few or too many bytes for the outputs that the artifact declares.
        """
        ...
