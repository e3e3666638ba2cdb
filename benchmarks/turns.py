"""Artifacts timed in turns: each in a fresh process that holds nothing but it and its runtime, all on one processor."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export.artifact import Delegation
from export.recipe import Format
from runtimes.sessions.table import open_session

WARM_UP = 5


def interleaved(calls: list[Callable[[], float]], runs: int) -> list[list[float]]:
    """Milliseconds of every run, taken in turns after a warm-up."""
    warm_up(calls)
    rounds = [[call() for call in calls] for _ in range(runs)]
    return [list(times) for times in zip(*rounds, strict=True)]


def warm_up(calls: list[Callable[[], float]]) -> None:
    """Run each ``WARM_UP`` times."""
    for _ in range(WARM_UP):
        for call in calls:
            call()


class Worker:
    """Artifacts of one format in a process of their own."""

    def __init__(self, format: Format, paths: tuple[Path, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, format, paths), daemon=True)
        self._process.start()
        other.close()
        self.delegation: Delegation | None = self._received(paths[0])

    def _received(self, path: Path) -> Delegation | None:
        try:
            first: Delegation | None = self._connection.recv()
        except EOFError:
            raise SystemExit(
                f"error: {path} could not be opened in a process of its own; its error stands above"
            ) from None
        return first

    def run_ms(self, which: int = 0) -> float:
        """Milliseconds of one run of artifact ``which``."""
        self._connection.send(which)
        taken: float = self._connection.recv()
        return taken

    def close(self) -> None:
        self._connection.send(None)
        self._process.join()


def _serve(connection: Connection, format: Format, paths: tuple[Path, ...]) -> None:
    """Run the artifact of every number that comes once, and send the milliseconds; all workers on one processor."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sessions = [open_session(path, format, threads=1) for path in paths]
    generator = np.random.default_rng(0)
    feeds = [
        {tensor.name: generator.standard_normal(tensor.shape).astype(tensor.dtype) for tensor in session.inputs}
        for session in sessions
    ]
    connection.send(sessions[0].delegation())
    gc.collect()
    gc.disable()
    while (which := connection.recv()) is not None:
        start = time.perf_counter_ns()
        sessions[which].run(feeds[which])
        connection.send((time.perf_counter_ns() - start) / 1e6)
    for session in sessions:
        session.close()


def spread(values: list[float]) -> float:
    """From the 10th to the 90th percentile."""
    return float(np.percentile(values, 90) - np.percentile(values, 10))


def cpu_name() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], how: str, *, is_markdown: bool) -> Iterator[str]:
    """The lines of what was timed here: as Markdown below this machine and ``how`` it was done, or parted by tabs."""
    if not is_markdown:
        yield from ("\t".join(row) for row in (head, *rows))
        return
    yield f"{cpu_name()}, {os.cpu_count()} cores; Python {platform.python_version()}; {how}"
    yield ""
    yield from (f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
