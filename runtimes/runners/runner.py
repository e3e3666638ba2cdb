"""What a runner is to the benchmark flow, whichever program stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from edgevit.errors import ImpossibleError
from edgevit.records import Record, require_within
from edgevit.spec import Network, TensorSpec
from export.recipe import Format, Recipe
from runtimes.runners.contract import MOST_BYTES, Clocks, Control, Phase, Pulse, require_interval
from runtimes.runners.process import Finished, PlannedPush, PlannedRun, RunnerFile
from runtimes.runners.workload import Workload
from runtimes.sessions.session import Array

LONGEST_NS = 86_400 * 10**9  # a day; chosen: no process is given as long
LEAST_SUMMARY_NS = 1.0
MOST_RUNS = 10**9  # chosen: at 1 us each they take a quarter of an hour
ROUNDED = 0.01  # chosen: tools print three digits and more

Feed = dict[str, Array]  # by tensor name, shaped and typed as the artifact's tensors


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
        network: Which network it holds; None for a file without manifest.
        recipe: What was asked for when it was exported; likewise.
    """

    name: str
    path: Path
    format: Format
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    feeds: tuple[Feed, ...]
    network: Network | None = None
    recipe: Recipe | None = None

    @property
    def short_sha256(self) -> str:
        """Begins the names of all its files on the device, so that artifacts of one name do not meet there."""
        return self.sha256[:16]

    @property
    def remote_name(self) -> str:
        """The artifact's own name on the device."""
        return f"{self.short_sha256}.{self.format}"

    @property
    def input_files(self) -> tuple[str, ...]:
        """Files on the device with the raw little-endian values of each input, as tools read them."""
        return tuple(f"{self.short_sha256}.input{index}.bin" for index in range(len(self.inputs)))

    @property
    def output_name(self) -> str:
        """Where tools put the outputs on the device, or the beginning of their files' names."""
        return f"{self.short_sha256}.output"


class RunSample(Record):
    """One timed forward pass. Stamps are None where the runner is a tool that tells durations only."""

    latency_ns: int
    start_monotonic_ns: int | None = None
    end_monotonic_ns: int | None = None
    start_boottime_ns: int | None = None
    end_boottime_ns: int | None = None

    def __post_init__(self) -> None:
        """Refuse a pass that took no time, or not the time between its stamps."""
        require_within(1, LONGEST_NS, latency_ns=self.latency_ns)
        if self.start_boottime_ns is not None and self.end_boottime_ns is not None:
            require_interval(self.start_boottime_ns, self.end_boottime_ns)
        if self.start_monotonic_ns is not None and self.end_monotonic_ns is not None:
            require_interval(self.start_monotonic_ns, self.end_monotonic_ns)
            if self.end_monotonic_ns - self.start_monotonic_ns != self.latency_ns:
                raise ImpossibleError(
                    f"latency_ns is {self.latency_ns}, but the stamps are "
                    f"{self.end_monotonic_ns - self.start_monotonic_ns} ns apart"
                )


class Summary(Record):
    """What a tool tells of runs that it does not list one by one; None where it says nothing."""

    count: int
    mean_ns: float
    sd_ns: float | None = None
    min_ns: float | None = None
    max_ns: float | None = None
    median_ns: float | None = None
    p95_ns: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no series of passes can have; tools round what they print."""
        require_within(1, MOST_RUNS, count=self.count)
        least, most = LEAST_SUMMARY_NS, float(LONGEST_NS)
        require_within(least, most, mean_ns=self.mean_ns, min_ns=self.min_ns, max_ns=self.max_ns)
        require_within(least, most, median_ns=self.median_ns, p95_ns=self.p95_ns)
        require_within(0, most, sd_ns=self.sd_ns)
        low, high = (self.min_ns or least) * (1 - ROUNDED), (self.max_ns or most) * (1 + ROUNDED)
        require_within(low, high, mean_ns=self.mean_ns, median_ns=self.median_ns, p95_ns=self.p95_ns)


class Measured(Record):
    """What one process on the device measured: every latency, or a summary where its tool tells no more.

    ``outputs_sha256`` is the hash of the outputs file; ``phases``, ``pulses``, ``controls`` and ``clocks`` are what
    else the process did and when, where the runner tells it. ``files`` are the runner's program and the libraries that
    it brought along, by hash; what the device itself has (a Python, its packages) is named by ``runtime`` alone.
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
    phases: tuple[Phase, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    controls: tuple[Control, ...] = ()
    clocks: Clocks | None = None
    files: tuple[RunnerFile, ...] = ()

    def __post_init__(self) -> None:
        """Refuse figures that no process has, and passes that begin before the one before has ended."""
        require_within(0, LONGEST_NS, load_ns=self.load_ns, first_ns=self.first_ns)  # tools round to 1 ms
        require_within(0, MOST_BYTES, peak_memory_bytes=self.peak_memory_bytes)
        for before, after in (*pairwise(self.warmup), *pairwise(self.samples)):
            if before.end_monotonic_ns is not None and after.start_monotonic_ns is not None:
                require_interval(before.end_monotonic_ns, after.start_monotonic_ns)

    @property
    def stamped(self) -> bool:
        """Whether the runner told when it did each of its runs."""
        return bool(self.samples) and self.samples[0].start_monotonic_ns is not None


class Runner(Protocol):
    """Prepares the processes that measure one subject, and reads what they left.

    Attributes:
        name: ``python``, ``native``, ``native-glibc`` or the tool's name.
        unverified: Why this runner cannot show that the outputs are right; None when it can.
        stamps: Whether it executes a schedule, keeps idle and pulses, and tells when it did what.
    """

    name: str
    unverified: str | None
    stamps: bool

    def pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The files that ``subject`` needs in ``directory`` on the device; made-up ones are written to ``staging``."""

    def plan_run(
        self, subject: Subject, staging: Path, directory: str, *, key: str, round: int, workload: Workload
    ) -> tuple[list[PlannedPush], PlannedRun]:
        """One process that does all of ``workload``, and the files that only it needs.

        Raises:
            UsageError: This runner cannot do what the workload asks for.
        """

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """The measurements of a process that ended.

        Raises:
            DeviceError: It failed, or what it left is incomplete or cannot be read.
        """

    def answers(self, subject: Subject, planned: PlannedRun, files: Mapping[str, bytes]) -> list[Feed]:
        """The outputs for the feeds (all, or the first ones), from the files that ``planned.outputs`` names.

        Raises:
            DeviceError: Too few or too many bytes for the outputs that the artifact declares.
        """
