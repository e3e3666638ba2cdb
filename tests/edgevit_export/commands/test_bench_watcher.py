"""What is told while devices are measured: each thing once, as it happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from latency_records import device_run

from edgevit_export.commands.bench_watcher import ConsoleWatcher
from edgevit_export.console import Progress, begin, hush
from runtimes.bench.record import RunFailure, Verification
from runtimes.runners.process import PlannedPush, PlannedRun
from runtimes.runners.workload import Workload

PLANNED = PlannedRun(key="a.onnx-python-t1", round=0, workload=Workload(runs=4), program="x", argv=("x",), cwd="/")
FAILURE = RunFailure(message="a.onnx on 8BC1: it burns", hint="water", exit_code=4)


@pytest.fixture(autouse=True)
def unhushed() -> Iterator[None]:
    yield
    begin()


def test_a_push_is_told_as_it_begins_and_where_it_is_large(capsys: pytest.CaptureFixture[str]) -> None:
    """Again where it begins again, as behind a lost cable."""
    watcher = ConsoleWatcher("8BC1", Progress(), set(), bars=True)
    for size_bytes in (3_000_000, 1_000_000):
        item = PlannedPush(local=f"/here/{size_bytes}.so", remote="/there", sha256="0" * 64, size_bytes=size_bytes)
        for done_bytes in (0, size_bytes // 2, 0, size_bytes // 2, size_bytes):
            watcher.pushing(item, done_bytes)
    assert capsys.readouterr().err == "8BC1: pushing 3000000.so (3.0 MB)\n" * 2


def test_a_failure_is_told_once_and_before_the_eyes_until_a_run_starts(capsys: pytest.CaptureFixture[str]) -> None:
    told: set[str] = set()
    watcher, other = (ConsoleWatcher(serial, Progress(), told) for serial in ("8BC1", "9ZZ9"))
    for _ in range(2):
        watcher.failed("a.onnx", FAILURE)
    assert capsys.readouterr().err == "8BC1: a.onnx: failed: a.onnx on 8BC1: it burns (hint: water)\n"
    watcher.note("brought back")
    assert told == {FAILURE.message}
    other.round_started(PLANNED, 1, 2)
    assert told == set()
    assert capsys.readouterr().err.endswith("9ZZ9: run 1 of 2: a.onnx-python-t1, round 1, 4 runs\n")


def test_wrong_outputs_are_told_once_for_all_rounds_also_where_only_errors_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hush()
    watcher = ConsoleWatcher("8BC1", Progress(), set())
    wrong = Verification(status="failed", reason="y is wrong")
    for number, finished in enumerate(device_run([[10.0], [11.0]], verification=wrong).rounds):
        watcher.round_started(PLANNED, number + 1, 2)
        watcher.round_ended(PLANNED, finished)
    watcher.failed("a.onnx", FAILURE)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "8BC1: a.onnx-python-t1: outputs wrong: y is wrong"
    assert second == "8BC1: a.onnx: failed: a.onnx on 8BC1: it burns (hint: water)"
