"""What goes into a run on a device and what comes out of it, whichever program does the running.

In: a ``RunRequest``, pushed as JSON. Out: a file of JSON lines, one ``Line`` each, in this order::

    header   who runs, in which runtime, on which cores, all clocks at one moment
    phase    load, lead_in, warmup, runs, golden, lead_out: start and end
    pulse    one busy burst of the synchronisation pattern (only when asked for)
    sample   one per forward pass, warm-up first
    control  one per step in which the runner waited instead
    output   the file with the outputs for the golden inputs, and its SHA-256
    memory   peak resident memory
    end      number of timed samples, number of lines before, SHA-256 over those lines

A run that could not be done ends in an ``error`` line and has no ``end``. Transports lose tails silently (a stock adb
client exits 0 when the device vanishes), so a file without its ``end`` line, or with one that does not fit, is refused.

``monotonic`` stops while the device is suspended, ``boottime`` does not: Linux's clocks of these names, on macOS the
two that do the same.
"""

from __future__ import annotations

from typing import Literal

from edgevit.errors import ImpossibleError, UsageError
from edgevit.records import Record, require_within
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.runners.workload import Workload

CONTRACT_VERSION = 3
REQUEST_VERSION = 4
LAST_NS = 2**63 - 1  # in the year 2262 by the clock, and no device stays on for so long
MOST_BYTES = 2**48  # what 64-bit processors can address


def require_interval(start_ns: int, end_ns: int) -> None:
    """Refuse stamps of one clock that run backwards.

    Raises:
        ImpossibleError: In words.
    """
    require_within(-LAST_NS, LAST_NS, start_ns=start_ns, end_ns=end_ns)
    if end_ns < start_ns:
        raise ImpossibleError(f"time runs backwards, from {start_ns} to {end_ns} ns")


class RunRequest(Record):
    """One process on the device: load ``model``, warm up, do each step of the schedule, run the golden inputs, leave.

    ``inputs`` is an ``.npz`` whose keys are ``<index>/<input name>``; the timed runs use index 0. ``outputs`` is the
    ``.npz`` to write, with keys ``<index>/<output name>``; None leaves the golden inputs out. ``lines`` is the file
    for the JSON lines. Paths are the device's, relative to the working directory.

    ``workload.schedule`` is complete and is executed literally, one step after the other; ``workload.runs`` is the
    number of forward passes in it, and what else the workload says of bursts and gaps is for people. Between control
    and burst nothing differs but the model. ``workload.affinity`` is a mask.

    ``takes`` and ``gives`` are the model's tensors in its own order, for runners whose runtime does not know them.
    ``library`` is the file of the runtime's library and ``runtime`` its name and version, for runners that load one;
    None where the runner brings its own. A runner refuses a request of another version than its own.
    """

    schema_version: Literal[4] = 4
    format: Format
    model: str
    inputs: str
    lines: str
    outputs: str | None = None
    library: str | None = None
    runtime: str | None = None
    takes: tuple[TensorSpec, ...] = ()
    gives: tuple[TensorSpec, ...] = ()
    workload: Workload

    def __post_init__(self) -> None:
        """Refuse a schedule that is not that of the workload."""
        scheduled = sum(step.count for step in self.workload.schedule)
        if scheduled != self.workload.runs:
            raise UsageError(f"a run of {self.workload.runs} forward passes with a schedule of {scheduled}")


class Clocks(Record):
    """All clocks read at one moment, so that stamps of one can be turned into another."""

    realtime_ns: int
    monotonic_ns: int
    boottime_ns: int

    def __post_init__(self) -> None:
        """Refuse clocks that began before they were switched on."""
        require_within(0, LAST_NS, realtime_ns=self.realtime_ns, monotonic_ns=self.monotonic_ns)
        require_within(0, LAST_NS, boottime_ns=self.boottime_ns)


class Header(Record, tag_field="line", tag="header"):
    """Who runs. ``cpus`` are the cores that the process may use, read back from the kernel.

    ``python`` is the interpreter's version; None for a runner that is a program by itself.
    """

    contract: int
    runner: str
    runtime: str
    python: str | None
    pid: int
    threads: int
    cpus: tuple[int, ...]
    clocks: Clocks


class Phase(Record, tag_field="line", tag="phase"):
    """Start and end of one phase."""

    name: Literal["load", "lead_in", "warmup", "runs", "golden", "lead_out"]
    start_monotonic_ns: int
    end_monotonic_ns: int

    def __post_init__(self) -> None:
        """Refuse time that runs backwards."""
        require_interval(self.start_monotonic_ns, self.end_monotonic_ns)


class Pulse(Record, tag_field="line", tag="pulse"):
    """One busy burst; ``place`` says whether it stands before or after the runs."""

    place: Literal["before", "after"]
    index: int
    start_monotonic_ns: int
    end_monotonic_ns: int

    def __post_init__(self) -> None:
        """Refuse time that runs backwards."""
        require_interval(self.start_monotonic_ns, self.end_monotonic_ns)


class Sample(Record, tag_field="line", tag="sample"):
    """One forward pass. ``latency_ns`` is end minus start on the monotonic clock."""

    kind: Literal["warmup", "run"]
    index: int
    latency_ns: int
    start_monotonic_ns: int
    end_monotonic_ns: int
    start_boottime_ns: int
    end_boottime_ns: int


class Control(Record, tag_field="line", tag="control"):
    """One step in which the runner woke and waited, as it does around a burst, and the model did not run."""

    index: int
    start_monotonic_ns: int
    end_monotonic_ns: int

    def __post_init__(self) -> None:
        """Refuse time that runs backwards."""
        require_interval(self.start_monotonic_ns, self.end_monotonic_ns)


class Output(Record, tag_field="line", tag="output"):
    """Where the outputs for ``count`` golden inputs are."""

    file: str
    sha256: str
    count: int


class Memory(Record, tag_field="line", tag="memory"):
    """Peak resident memory of the process in bytes."""

    peak_bytes: int

    def __post_init__(self) -> None:
        """Refuse a process without memory, or with more than there is anywhere."""
        require_within(1, MOST_BYTES, peak_bytes=self.peak_bytes)


class Failed(Record, tag_field="line", tag="error"):
    """The runner's own report of why it could not finish."""

    stage: str
    error: str
    detail: str = ""


class End(Record, tag_field="line", tag="end"):
    """The end marker."""

    samples: int
    lines: int
    sha256: str


Line = Header | Phase | Pulse | Sample | Control | Output | Memory | Failed | End
