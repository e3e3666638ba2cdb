"""What is asked of a runner fits together."""

from __future__ import annotations

import pytest

from edgevit.errors import ArtifactError, UsageError
from export.recipe import Format
from runtimes.runners.contract import Clocks, Control, Memory, Phase, Pulse, RunRequest
from runtimes.runners.workload import Step, Workload

SCHEDULE = (Step(gap_ms=5.0, count=2), Step(gap_ms=2.0, count=0, wait_ms=3.0), Step(gap_ms=4.0, count=1))


def request(runs: int, schedule: tuple[Step, ...] = SCHEDULE) -> RunRequest:
    work = Workload(runs=runs, schedule=schedule)
    return RunRequest(format=Format.ONNX, model="m", inputs="i", lines="l", workload=work)


def test_the_schedule_holds_all_runs_and_travels() -> None:
    asked = request(3)
    assert RunRequest.from_json(asked.to_json()) == asked
    for runs, schedule in ((4, SCHEDULE), (3, ())):
        with pytest.raises(UsageError, match=f"a run of {runs} forward passes with a schedule of"):
            request(runs, schedule)


@pytest.mark.parametrize(
    ("gap_ms", "count", "wait_ms"), [(-1.0, 1, 0.0), (1.0, 0, 0.0), (1.0, 1, 1.0), (1.0, -1, 0.0), (1.0, 0, -1.0)]
)
def test_a_step_is_a_burst_or_a_control(gap_ms: float, count: int, wait_ms: float) -> None:
    with pytest.raises(UsageError, match="expected runs or a wait"):
        Step(gap_ms=gap_ms, count=count, wait_ms=wait_ms)


@pytest.mark.parametrize("kind", [Phase, Pulse, Control])
def test_stamps_that_run_backwards_are_refused(kind: type[Phase | Pulse | Control]) -> None:
    place = {Phase: {"name": "load"}, Pulse: {"place": "before", "index": 0}, Control: {"index": 0}}[kind]
    assert kind(**place, start_monotonic_ns=3, end_monotonic_ns=3).end_monotonic_ns == 3  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="time runs backwards, from 4 to 3 ns"):
        kind(**place, start_monotonic_ns=4, end_monotonic_ns=3)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="end_ns is 1000"):
        kind(**place, start_monotonic_ns=4, end_monotonic_ns=10**300)  # type: ignore[arg-type]


def test_clocks_and_memory_that_cannot_be_are_refused() -> None:
    with pytest.raises(ArtifactError, match="boottime_ns is -1"):
        Clocks(realtime_ns=1, monotonic_ns=1, boottime_ns=-1)
    with pytest.raises(ArtifactError, match="peak_bytes is 0"):
        Memory(peak_bytes=0)
