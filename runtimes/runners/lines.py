"""What the Python runner left, line by line: checked to the end, as measurements."""

from __future__ import annotations

import hashlib
from itertools import islice

import msgspec

from edgevit.errors import DeviceError, ImpossibleError
from edgevit.records import read_json
from edgevit.text import printable
from runtimes.runners.contract import (
    CONTRACT_VERSION,
    Control,
    End,
    Failed,
    Header,
    Line,
    Memory,
    Output,
    Phase,
    Pulse,
    RunRequest,
    Sample,
)
from runtimes.runners.exits import GLIBC_HINT, needed_glibc, show_tail
from runtimes.runners.runner import Measured, RunSample
from runtimes.runners.workload import Step

EARLY_NS = 100_000  # chosen: sleeps never end early, and clocks of microseconds are read on both sides of one

_LINE: type[Line] = Line  # type: ignore[assignment]  # a union, as msgspec takes it


def parse_lines(data: bytes, request: RunRequest, *, origin: str) -> Measured:
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
        raise DeviceError(
            f"{origin}: the runner failed while it tried to {printable(failed.stage)}: {printable(failed.error)}",
            hint=GLIBC_HINT if needed_glibc(failed.error) else None,
        )
    end = lines[-1] if lines else None
    if not isinstance(end, End):
        raise DeviceError(
            f"{origin}: the runner's output has no end marker after {len(lines)} lines, so the run is not complete"
            f"{show_tail(data)}",
            hint="see that the device stays connected, then run the same command with --resume",
        )
    _check_end(end, raw, origin)
    try:
        return _assemble(lines, end, request, origin)
    except (ImpossibleError, msgspec.ValidationError) as error:
        raise DeviceError(f"{origin}: the runner's output cannot be: {error}") from error


def _decode(line: bytes, number: int, origin: str) -> Line:
    try:
        return read_json(line, _LINE, what="line", origin="it", failure=DeviceError)
    except DeviceError as error:
        shown = printable(line[:400].decode("utf-8", "backslashreplace").rstrip("\n"))
        raise DeviceError(
            f"{origin}: line {number} of the runner's output is not readable ({error.message}): {shown}"
        ) from error


def _check_end(end: End, raw: list[bytes], origin: str) -> None:
    digest = hashlib.sha256(b"".join(raw[:-1])).hexdigest()
    if not raw[-1].endswith(b"\n") or end.lines != len(raw) - 1 or end.sha256 != digest:
        raise DeviceError(
            f"{origin}: the runner's output was changed on its way: the end marker counts {end.lines} lines with "
            f"SHA-256 {end.sha256[:12]}, seen are {len(raw) - 1} lines with {digest[:12]}",
            hint="run the same command with --resume",
        )


def _assemble(lines: list[Line], end: End, request: RunRequest, origin: str) -> Measured:
    headers = [line for line in lines if isinstance(line, Header)]
    memory = [line for line in lines if isinstance(line, Memory)]
    outputs = [line for line in lines if isinstance(line, Output)]
    samples = [line for line in lines if isinstance(line, Sample)]
    controls = tuple(line for line in lines if isinstance(line, Control))
    timed = tuple(line for line in samples if line.kind == "run")
    warmup = tuple(line for line in samples if line.kind == "warmup")
    problems = [
        *_count("header lines", len(headers), 1),
        *_count("memory lines", len(memory), 1),
        *_count("output lines", len(outputs), int(request.outputs is not None)),
        *_count("timed samples", len(timed), request.workload.runs),
        *_count("warm-up samples", len(warmup), request.workload.warmup),
        *_count("controls", len(controls), sum(not step.count for step in request.workload.schedule)),
        *_count("samples by the end marker", end.samples, len(timed)),
        *_sample_problems(timed),
        *_order_problems(timed, controls, request.workload.schedule),
        *(_count("contract version", headers[0].contract, CONTRACT_VERSION) if headers else []),
    ]
    if problems:
        raise DeviceError(f"{origin}: the runner's output does not answer the request: {'; '.join(problems)}")
    load = next((line for line in lines if isinstance(line, Phase) and line.name == "load"), None)
    return Measured(
        runner=headers[0].runner,
        runtime=headers[0].runtime,
        samples=msgspec.convert(timed, tuple[RunSample, ...], from_attributes=True),
        warmup=msgspec.convert(warmup, tuple[RunSample, ...], from_attributes=True),
        cpus=headers[0].cpus,
        load_ns=load.end_monotonic_ns - load.start_monotonic_ns if load else None,
        first_ns=(warmup or timed)[0].latency_ns if warmup or timed else None,
        peak_memory_bytes=memory[0].peak_bytes,
        outputs_sha256=outputs[0].sha256 if outputs else None,
        phases=tuple(line for line in lines if isinstance(line, Phase)),
        pulses=tuple(line for line in lines if isinstance(line, Pulse)),
        controls=controls,
        clocks=headers[0].clocks,
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


def _order_problems(
    samples: tuple[Sample, ...], controls: tuple[Control, ...], schedule: tuple[Step, ...]
) -> list[str]:
    """The first step that was not done when and for as long as it stands in the schedule."""
    runs, waits = iter(samples), iter(controls)
    ended_ns: int | None = None
    for place, step in enumerate(schedule):
        done: list[Sample | Control] = list(islice(runs, step.count) if step.count else islice(waits, 1))
        gaps_ms = [step.gap_ms, *(0.0 for _ in done[1:])]
        for each, gap_ms in zip(done, gaps_ms, strict=False):
            rested_ns = each.start_monotonic_ns - ended_ns if ended_ns is not None else gap_ms * 1e6
            if rested_ns < gap_ms * 1e6 - EARLY_NS:
                return [f"step {place}: starts {rested_ns / 1e6:g} ms after the one before, not {gap_ms:g} ms"]
            ended_ns = each.end_monotonic_ns
        took_ns = sum(each.end_monotonic_ns - each.start_monotonic_ns for each in done)
        if step.wait_ms and done and took_ns < step.wait_ms * 1e6 - EARLY_NS:
            return [f"step {place}: waits {took_ns / 1e6:g} ms, not {step.wait_ms:g} ms"]
    return []
