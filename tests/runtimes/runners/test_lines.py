"""The runner's lines: whole ones are read, everything else is refused."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Step, Workload

WORKLOAD = scheduled(Workload(runs=3, warmup=1))
REQUEST = RunRequest(format=Format.ONNX, model="m", inputs="i", lines="l", outputs="o", workload=WORKLOAD)


def line(tag: str, /, **fields: object) -> dict[str, object]:
    return {"line": tag, **fields}


def sample(kind: str, index: int, start: int = 1000, latency: int = 500) -> dict[str, object]:
    return line(
        "sample", kind=kind, index=index, latency_ns=latency, start_monotonic_ns=start,
        end_monotonic_ns=start + latency, start_boottime_ns=start, end_boottime_ns=start + latency,
    )  # fmt: skip


def control(start: int, took: int = 500) -> dict[str, object]:
    return line("control", index=0, start_monotonic_ns=start, end_monotonic_ns=start + took)


def body() -> list[dict[str, object]]:
    clocks = {"realtime_ns": 1, "monotonic_ns": 2, "boottime_ns": 3}
    return [
        line("header", contract=3, runner="python 1", runtime="r 1", python="3.11", pid=1, threads=1, cpus=[0],
             clocks=clocks),
        sample("warmup", 0),
        *(sample("run", index, 2000 + 1000 * index) for index in range(3)),
        line("output", file="o", sha256="x", count=2),
        line("memory", peak_bytes=7),
    ]  # fmt: skip


def encode(lines: list[dict[str, object]], samples: int = 3) -> bytes:
    data = "".join(json.dumps(each) + "\n" for each in lines).encode()
    end = line("end", samples=samples, lines=len(lines), sha256=hashlib.sha256(data).hexdigest())
    return data + (json.dumps(end) + "\n").encode()


def test_whole_lines_are_read() -> None:
    run = parse_lines(encode(body()), REQUEST, origin="m on d")
    assert [each.latency_ns for each in run.samples] == [500, 500, 500]
    assert (len(run.warmup), run.peak_memory_bytes, run.runtime) == (1, 7, "r 1")


@given(cut=st.integers(0, len(encode(body())) - 1))
def test_every_truncation_is_refused(cut: int) -> None:
    with pytest.raises(DeviceError, match="m on d"):
        parse_lines(encode(body())[:cut], REQUEST, origin="m on d")


@given(position=st.integers(0, len(encode(body())) - 1), value=st.integers(0, 255))
def test_every_changed_byte_is_refused(position: int, value: int) -> None:
    data = bytearray(encode(body()))
    if data[position] == value:
        return
    data[position] = value
    try:
        run = parse_lines(bytes(data), REQUEST, origin="m on d")
    except DeviceError:
        return
    assert position > len(data) - 120  # white space or the like inside the end marker itself
    assert [each.latency_ns for each in run.samples] == [500, 500, 500]


def test_missing_end_marker_shows_what_was_printed() -> None:
    data = "".join(json.dumps(each) + "\n" for each in body()).encode()
    with pytest.raises(DeviceError, match=r"no end marker[\s\S]*peak_bytes"):
        parse_lines(data, REQUEST, origin="m on d")


def test_rubbish_between_the_lines_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"line 1 .* is not readable"):
        parse_lines(b"Segmentation fault\n" + encode(body()), REQUEST, origin="m on d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines.pop(2), "timed samples: expected 3, got 2"),
        (lambda lines: lines.pop(0), "header lines: expected 1, got 0"),
        (lambda lines: lines.pop(5), "output lines: expected 1, got 0"),
        (lambda lines: lines.append(lines[0]), "header lines: expected 1, got 2"),
        (lambda lines: lines[2].update(index=7), "indices"),
        (lambda lines: lines[2].update(latency_ns=9), "does not fit its stamps"),
        (lambda lines: lines[2].update(latency_ns=0, end_monotonic_ns=2000), "does not fit its stamps"),
        (lambda lines: lines.insert(5, control(9000)), "controls: expected 0, got 1"),
        (lambda lines: lines[0].update(contract=2), "contract version: expected 3, got 2"),
    ],
)
def test_lines_that_do_not_answer_the_request_are_refused(change: object, message: str) -> None:
    lines = body()
    change(lines)  # type: ignore[operator]
    with pytest.raises(DeviceError, match=message):
        parse_lines(encode(lines), REQUEST, origin="m on d")


def test_the_runners_own_failure_is_told() -> None:
    failed = json.dumps(line("error", stage="open the model", error="SessionError: no", detail="")).encode() + b"\n"
    with pytest.raises(DeviceError, match="failed while it tried to open the model: SessionError: no"):
        parse_lines(failed, REQUEST, origin="m on d")


MS = 1_000_000
SCHEDULE = (
    Step(gap_ms=5.0, count=1),
    Step(gap_ms=2.0, count=0, wait_ms=3.0),
    Step(gap_ms=4.0, count=2),
)
VARIED = RunRequest(
    format=Format.ONNX, model="m", inputs="i", lines="l", outputs="o",
    workload=Workload(runs=3, warmup=1, schedule=SCHEDULE),
)  # fmt: skip


def as_scheduled() -> list[dict[str, object]]:
    """A run of 1 ms each, every step as early as it may be: run at 10, control at 13, runs at 20 and 21 ms."""
    lines = body()
    for place, start in zip((2, 3, 4), (10, 20, 21), strict=True):
        lines[place] = sample("run", place - 2, start * MS, MS)
    return [*lines[:5], control(13 * MS, 3 * MS), *lines[5:]]


def test_controls_are_read_where_they_stand_in_the_schedule() -> None:
    run = parse_lines(encode(as_scheduled()), VARIED, origin="m on d")
    assert [each.start_monotonic_ns for each in run.controls] == [13 * MS]
    assert [each.start_monotonic_ns for each in run.samples] == [10 * MS, 20 * MS, 21 * MS]


@pytest.mark.parametrize(
    ("place", "start", "took", "message"),
    [
        (5, 12 * MS, 4 * MS, r"step 1: starts 1 ms after the one before, not 2 ms"),
        (5, 13 * MS, 2 * MS, r"step 1: waits 2 ms, not 3 ms"),
        (5, 30 * MS, 3 * MS, r"step 2: starts -13 ms after the one before, not 4 ms"),
        (3, 19 * MS, MS, r"step 2: starts 3 ms after the one before, not 4 ms"),
        (4, 20 * MS, MS, r"step 2: starts -1 ms after the one before, not 0 ms"),
    ],
)
def test_a_runner_that_does_not_keep_the_schedule_is_refused(place: int, start: int, took: int, message: str) -> None:
    lines = as_scheduled()
    lines[place] = control(start, took) if place == 5 else sample("run", place - 2, start, took)
    with pytest.raises(DeviceError, match=message):
        parse_lines(encode(lines), VARIED, origin="m on d")


def test_times_are_those_of_the_lines() -> None:
    lines = body()
    lines[1] = sample("warmup", 0, latency=900)
    lines[2] = sample("run", 0, latency=1)
    lines[1:1] = [line("phase", name="load", start_monotonic_ns=100, end_monotonic_ns=350)]
    lines[-1:-1] = [line("phase", name="runs", start_monotonic_ns=400, end_monotonic_ns=950)]
    lines[-1:-1] = [line("pulse", place="before", index=0, start_monotonic_ns=5, end_monotonic_ns=6)]
    run = parse_lines(encode(lines), REQUEST, origin="m on d")
    assert (run.load_ns, run.first_ns, run.outputs_sha256) == (250, 900, "x")
    assert ([phase.name for phase in run.phases], len(run.pulses)) == (["load", "runs"], 1)
    assert [each.latency_ns for each in run.samples] == [1, 500, 500]
    unwarmed = msgspec.structs.replace(REQUEST.workload, warmup=0)
    cold = msgspec.structs.replace(REQUEST, outputs=None, workload=unwarmed)
    bare = [each for each in lines if each["line"] not in ("output", "phase") and each.get("kind") != "warmup"]
    run = parse_lines(encode(bare), cold, origin="m on d")
    assert (run.load_ns, run.first_ns, run.outputs_sha256, run.warmup) == (None, 1, None, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines.pop(1), "warm-up samples: expected 1, got 0"),
        (lambda lines: lines.pop(6), "memory lines: expected 1, got 0"),
        (lambda lines: lines.append(lines[5]), "output lines: expected 1, got 2"),
        (lambda lines: lines[4].update(latency_ns=-5, end_monotonic_ns=995), "sample 2: latency -5 ns"),
        (lambda lines: lines.insert(3, lines.pop(2)), "indices"),
    ],
)
def test_other_lines_that_do_not_answer_the_request_are_refused(change: object, message: str) -> None:
    lines = body()
    change(lines)  # type: ignore[operator]
    with pytest.raises(DeviceError, match=message):
        parse_lines(encode(lines), REQUEST, origin="m on d")


@pytest.mark.parametrize("counted", [{"samples": 2}, {"lines": 6}, {"lines": 8}, {"sha256": "0" * 64}])
def test_an_end_marker_that_counts_otherwise_is_refused(counted: dict[str, object]) -> None:
    *lines, end = encode(body()).splitlines(keepends=True)
    changed = json.dumps(json.loads(end) | counted).encode() + b"\n"
    with pytest.raises(DeviceError, match=r"end marker|changed on its way"):
        parse_lines(b"".join(lines) + changed, REQUEST, origin="m on d")
    with pytest.raises(DeviceError, match="changed on its way"):
        parse_lines(b"".join(lines) + end.rstrip(b"\n"), REQUEST, origin="m on d")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[" * 2000, "Expected `object`, got `array`|recursion"),
        (b'{"line": "memory", "peak_bytes": ' + b"[" * 2000, "not a valid line"),
        (b'{"line": "memory", "peak_bytes": 1e999}', "Number out of range"),
        (b'{"line": "memory", "peak_bytes": ' + b"9" * 400 + b"}", "peak_bytes is 999"),
        (b'{"line": "memory", "peak_bytes": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"line": "output", "file": "\xff", "sha256": "x", "count": 1}', "is no UTF-8 text"),
        (b'{"line": "output", "file": "\\ud800", "sha256": "x", "count": 1}', "not a valid line"),
        (b'{"line": "control", "index": 0, "start_monotonic_ns": 9, "end_monotonic_ns": 3}', "time runs backwards"),
        (b'{"\x1b[2J": 1}', "malformed"),
    ],
)
def test_a_line_that_cannot_be_is_refused_in_our_own_words(line: bytes, words: str) -> None:
    told = [json.dumps(each).encode() for each in body()]
    told[-1:-1] = [line]
    with pytest.raises(DeviceError, match=words) as refused:
        parse_lines(b"".join(each + b"\n" for each in told), REQUEST, origin="m on d")
    assert (
        refused.value.message.startswith("m on d: line 7 of the runner's output")
        and refused.value.message.isprintable()
    )


def test_passes_that_overlap_are_refused() -> None:
    lines = body()
    lines[3] = sample("run", 1, 2400)
    with pytest.raises(DeviceError, match=r"time runs backwards, from 2500 to 2400 ns|starts -0\.0001 ms"):
        parse_lines(encode(lines), REQUEST, origin="m on d")
