"""What goes into a run on a device and what comes out of it, whichever program does the running.

In: a ``RunRequest``, pushed as JSON. Out: a file of JSON lines, one ``Line`` each, in this order::

    header   who runs, in which runtime, on which cores, all clocks at one moment
    phase    load, lead_in, warmup, runs, golden, lead_out: start and end
    pulse    one busy burst of the synchronisation pattern (only when asked for)
    sample   one per forward pass, warm-up first
    output   the file with the outputs for the golden inputs, and its SHA-256
    memory   peak resident memory
    end      number of timed samples, number of lines before, SHA-256 over those lines

A run that could not be done ends in an ``error`` line and has no ``end``. Transports lose tails silently (a stock adb
client exits 0 when the device vanishes), so a file without its ``end`` line, or with one that does not fit, is refused.

Clocks are Linux's: ``monotonic`` stops while the device is suspended, ``boottime`` does not.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from edgevit.errors import DeviceError
from edgevit.records import Record
from export.recipe import Format
from runtimes.runners.workload import Workload

CONTRACT_VERSION = 1
LAST_LINES = 15


class RunRequest(Record):
    """One process on the device: load ``model``, warm up, run, run the golden inputs, leave.

    ``inputs`` is an ``.npz`` whose keys are ``<index>/<input name>``; the timed runs use index 0. ``outputs`` is the
    ``.npz`` to write, with keys ``<index>/<output name>``; None leaves the golden inputs out. ``lines`` is the file
    for the JSON lines. Paths are the device's, relative to the working directory. ``workload.runs`` counts single
    forward passes, ``workload.affinity`` is a mask.
    """

    schema_version: Literal[2] = 2
    format: Format
    model: str
    inputs: str
    lines: str
    outputs: str | None = None
    workload: Workload


class Clocks(Record):
    """All clocks read at one moment, so that stamps of one can be turned into another."""

    realtime_ns: int
    monotonic_ns: int
    boottime_ns: int


class Header(Record, tag_field="line", tag="header"):
    """Who runs. ``cpus`` are the cores that the process may use, read back from the kernel."""

    contract: int
    runner: str
    runtime: str
    python: str
    pid: int
    threads: int
    cpus: tuple[int, ...]
    clocks: Clocks


class Phase(Record, tag_field="line", tag="phase"):
    """Start and end of one phase."""

    name: Literal["load", "lead_in", "warmup", "runs", "golden", "lead_out"]
    start_monotonic_ns: int
    end_monotonic_ns: int


class Pulse(Record, tag_field="line", tag="pulse"):
    """One busy burst; ``place`` says whether it stands before or after the runs."""

    place: Literal["before", "after"]
    index: int
    start_monotonic_ns: int
    end_monotonic_ns: int


class Sample(Record, tag_field="line", tag="sample"):
    """One forward pass. ``latency_ns`` is end minus start on the monotonic clock."""

    kind: Literal["warmup", "run"]
    index: int
    latency_ns: int
    start_monotonic_ns: int
    end_monotonic_ns: int
    start_boottime_ns: int
    end_boottime_ns: int


class Output(Record, tag_field="line", tag="output"):
    """Where the outputs for ``count`` golden inputs are."""

    file: str
    sha256: str
    count: int


class Memory(Record, tag_field="line", tag="memory"):
    """Peak resident memory of the process in bytes."""

    peak_bytes: int


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


Line = Header | Phase | Pulse | Sample | Output | Memory | Failed | End
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class RunLines(Record):
    """A complete run, as its lines told it."""

    header: Header
    phases: tuple[Phase, ...]
    pulses: tuple[Pulse, ...]
    warmup: tuple[Sample, ...]
    samples: tuple[Sample, ...]
    output: Output | None
    peak_memory_bytes: int


def parse_lines(data: bytes, request: RunRequest, *, origin: str) -> RunLines:
    """Read a runner's lines and check that they are whole and answer ``request``.

    Args:
        data: The file, byte for byte as the runner wrote it.
        request: What was asked for: the number of samples must agree.
        origin: For messages, e.g. ``"edgevit_xxs.onnx on 8BC1"``.

    Raises:
        DeviceError: A line is not of this contract, the end marker is absent or does not fit, the runner reported a
            failure, or the counts differ from the request.
    """
    raw = data.splitlines(keepends=True)
    lines = [_decode(line, number, origin) for number, line in enumerate(raw, start=1)]
    failed = next((line for line in lines if isinstance(line, Failed)), None)
    if failed is not None:
        raise DeviceError(f"{origin}: the runner failed while it tried to {failed.stage}: {failed.error}", hint=None)
    if not lines or not isinstance(lines[-1], End):
        raise DeviceError(
            f"{origin}: the runner's output has no end marker after {len(lines)} lines, so the run is not complete"
            f"{show_tail(data)}",
            hint="see that the device stays connected, then run the same command with --resume",
        )
    _check_end(lines[-1], raw, origin)
    return _assemble(lines, request, origin)


def _decode(line: bytes, number: int, origin: str) -> Line:
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        shown = line.decode("utf-8", "backslashreplace").rstrip("\n")
        raise DeviceError(
            f"{origin}: line {number} of the runner's output is not readable ({error}): {shown[:400]}"
        ) from error


def _check_end(end: End, raw: list[bytes], origin: str) -> None:
    digest = hashlib.sha256(b"".join(raw[:-1])).hexdigest()
    if not raw[-1].endswith(b"\n") or end.lines != len(raw) - 1 or end.sha256 != digest:
        raise DeviceError(
            f"{origin}: the runner's output was changed on its way: the end marker counts {end.lines} lines with "
            f"SHA-256 {end.sha256[:12]}, seen are {len(raw) - 1} lines with {digest[:12]}",
            hint="run the same command with --resume",
        )


def _assemble(lines: list[Line], request: RunRequest, origin: str) -> RunLines:
    headers = [line for line in lines if isinstance(line, Header)]
    memory = [line for line in lines if isinstance(line, Memory)]
    outputs = [line for line in lines if isinstance(line, Output)]
    samples = [line for line in lines if isinstance(line, Sample)]
    timed = tuple(line for line in samples if line.kind == "run")
    warmup = tuple(line for line in samples if line.kind == "warmup")
    end = lines[-1]
    assert isinstance(end, End)
    problems = [
        *_count("header lines", len(headers), 1),
        *_count("memory lines", len(memory), 1),
        *_count("output lines", len(outputs), int(request.outputs is not None)),
        *_count("timed samples", len(timed), request.workload.runs),
        *_count("warm-up samples", len(warmup), request.workload.warmup),
        *_count("samples by the end marker", end.samples, len(timed)),
        *_sample_problems(timed),
        *(_count("contract version", headers[0].contract, CONTRACT_VERSION) if headers else []),
    ]
    if problems:
        raise DeviceError(f"{origin}: the runner's output does not answer the request: {'; '.join(problems)}")
    return RunLines(
        header=headers[0],
        phases=tuple(line for line in lines if isinstance(line, Phase)),
        pulses=tuple(line for line in lines if isinstance(line, Pulse)),
        warmup=warmup,
        samples=timed,
        output=outputs[0] if outputs else None,
        peak_memory_bytes=memory[0].peak_bytes,
    )


def _count(what: str, seen: int, expected: int) -> list[str]:
    return [] if seen == expected else [f"{what}: expected {expected}, got {seen}"]


def _sample_problems(samples: tuple[Sample, ...]) -> list[str]:
    problems = []
    if [sample.index for sample in samples] != list(range(len(samples))):
        problems.append("sample indices are not 0, 1, 2, ...")
    for sample in samples:
        if sample.latency_ns <= 0 or sample.latency_ns != sample.end_monotonic_ns - sample.start_monotonic_ns:
            problems.append(f"sample {sample.index}: latency {sample.latency_ns} ns does not fit its stamps")
            break
    return problems


def show_tail(data: bytes) -> str:
    """The last lines of what a program printed, for an error message; empty for nothing."""
    lines = data.decode("utf-8", "backslashreplace").strip().splitlines()[-LAST_LINES:]
    return "; it printed:\n  " + "\n  ".join(line[:200] for line in lines) if lines else "; it printed nothing"
