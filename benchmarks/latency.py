"""Latency of optimised against plain artifacts of the same weights, interleaved on one thread.

For each format, the network is exported twice: ``--optimize none`` (the network's own formulation through the stock
converter) and ``--optimize full``. Both files run in turns (A B A B), each in a fresh process that holds nothing but
this artifact and its runtime, as in an app: in the process of a converter, a runtime finds memory that is already warm.
Medians are compared, and set against the arithmetic floor: the time that the network's multiply-adds would take at the
rate of a large matrix product, measured between the formats.

    python benchmarks/latency.py --variant xxs --format onnx --format tflite --runs 100 --output table.md
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

# read once, when numpy is loaded: the matrix product must stay on one thread like everything else
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgevit.build import build_model
from export.artifact import Delegation
from export.build import StagedArtifact, export_artifact
from export.formats.table import parse_format
from export.program import Program, capture
from export.recipe import Format, Optimize, Recipe
from runtimes.sessions.table import open_session

MULTIPLY_ADDS = {"xxs": 0.551e9, "xs": 1.127e9, "s": 1.905e9}
SIDE = 1024


@dataclass(frozen=True)
class Row:
    """One format's figures: [plain, optimised] each."""

    format: Format
    median_ms: tuple[float, float]
    spread_ms: tuple[float, float]
    ratio: float
    operators: tuple[int, int]
    file_bytes: tuple[int, int]
    export_s: tuple[float, float]
    delegation: tuple[Delegation | None, Delegation | None]


def main() -> None:
    """Measure what the command line asks for and print a Markdown table."""
    options = _options()
    import torch

    torch.set_num_threads(1)
    model, spec = build_model(options.variant, input_size=(options.size, options.size))
    program = capture(model, spec)
    rows, floors = [], []
    with tempfile.TemporaryDirectory() as folder:
        for format in options.format or list(Format):
            print(f"{format}: exporting and running", file=sys.stderr, flush=True)
            floors.append(matrix_rate_flops())
            rows.append(measure(program, format, Path(folder), options.runs))
            floors.append(matrix_rate_flops())
    rate = max(floors)
    multiply_adds = MULTIPLY_ADDS.get(options.variant, 0.0) * (options.size / 224) ** 2
    text = table(options.variant, options.size, rows, rate, 2 * multiply_adds / rate * 1e3, options.runs)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def measure(program: Program, format: Format, folder: Path, runs: int) -> Row:
    """Export both artifacts of ``format`` and run them in turns."""
    staged = [_export(program, format, level, folder / f"{format}-{level}") for level in (Optimize.NONE, Optimize.FULL)]
    workers = [_Worker(format, one.path) for one in staged]
    plain, optimised = interleaved([worker.run_ms for worker in workers], runs)
    # each round is one pair, so that what else the machine does falls on both
    ratio = statistics.median(b / a for a, b in zip(plain, optimised, strict=True))
    for worker in workers:
        worker.close()
    return Row(
        format=format,
        median_ms=(statistics.median(plain), statistics.median(optimised)),
        spread_ms=(_spread(plain), _spread(optimised)),
        ratio=ratio,
        operators=(staged[0].facts.operator_count, staged[1].facts.operator_count),
        file_bytes=(staged[0].path.stat().st_size, staged[1].path.stat().st_size),
        export_s=(staged[0].seconds, staged[1].seconds),
        delegation=(workers[0].delegation, workers[1].delegation),
    )


def interleaved(calls: list[Callable[[], float]], runs: int) -> list[list[float]]:
    """Milliseconds of every run, taken in turns after a warm-up."""
    for _ in range(5):
        for call in calls:
            call()
    rounds = [[call() for call in calls] for _ in range(runs)]
    return [list(times) for times in zip(*rounds, strict=True)]


class _Worker:
    """One artifact in a process of its own."""

    def __init__(self, format: Format, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, format, path), daemon=True)
        self._process.start()
        other.close()
        self.delegation: Delegation | None = self._received(path)

    def _received(self, path: Path) -> Delegation | None:
        try:
            first: Delegation | None = self._connection.recv()
        except EOFError:
            raise SystemExit(
                f"error: {path} could not be opened in a process of its own; its error stands above"
            ) from None
        return first

    def run_ms(self) -> float:
        """Milliseconds of one run."""
        self._connection.send(True)
        taken: float = self._connection.recv()
        return taken

    def close(self) -> None:
        self._connection.send(False)
        self._process.join()


def _serve(connection: Connection, format: Format, path: Path) -> None:
    """Run the artifact once for every ``True`` that comes, and send the milliseconds; all workers on one processor."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    session = open_session(path, format, threads=1)
    generator = np.random.default_rng(0)
    feed = {tensor.name: generator.standard_normal(tensor.shape).astype(tensor.dtype) for tensor in session.inputs}
    connection.send(session.delegation())
    gc.collect()
    gc.disable()
    while connection.recv():
        start = time.perf_counter_ns()
        session.run(feed)
        connection.send((time.perf_counter_ns() - start) / 1e6)
    session.close()


def matrix_rate_flops() -> float:
    """Best rate, in operations per second, of a large float32 matrix product on one thread."""
    a = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        np.matmul(a, a)
        taken.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(taken)


def table(variant: str, size: int, rows: list[Row], rate: float, floor_ms: float, runs: int) -> str:
    """The figures as Markdown, with machine and method."""
    lines = [
        f"### {variant.upper()}, {size}x{size}, batch 1, float32, one thread",
        "",
        f"{_cpu()}, {os.cpu_count()} cores; Python {platform.python_version()}; {runs} pairs of runs, A B A B, after 5 "
        f"warm-up runs each; ratio: median of the pairs' ratios; spread: 10th to 90th percentile. Matrix product: "
        f"{rate / 1e9:.0f} GFLOP/s, so the floor is {floor_ms:.1f} ms.",
        "",
        "| format | plain ms | optimised ms | ratio | to floor | operators "
        "| plain delegated | delegated | MB | export s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(row, floor_ms) for row in rows])


def _line(row: Row, floor_ms: float) -> str:
    def pair(values: tuple[float, float], digits: int) -> str:
        return f"{values[0]:.{digits}f} → {values[1]:.{digits}f}"

    def share(delegation: Delegation | None) -> str:
        return f"{delegation.delegated}/{delegation.total} in {delegation.partitions}" if delegation else "-"

    cells = [
        row.format.value,
        *(f"{ms:.2f} (±{spread / 2:.2f})" for ms, spread in zip(row.median_ms, row.spread_ms, strict=True)),
        f"**{row.ratio:.2f}**",
        pair((row.median_ms[0] / floor_ms, row.median_ms[1] / floor_ms), 2) if floor_ms else "-",
        pair(row.operators, 0),
        *map(share, row.delegation),
        pair((row.file_bytes[0] / 1e6, row.file_bytes[1] / 1e6), 1),
        pair(row.export_s, 1),
    ]
    return f"| {' | '.join(cells)} |"


def _export(program: Program, format: Format, level: Optimize, stage: Path) -> StagedArtifact:
    stage.mkdir()
    with contextlib.redirect_stdout(sys.stderr):
        return export_artifact(program, Recipe(format=format, optimize=level), stage)


def _spread(times: list[float]) -> float:
    return float(np.percentile(times, 90) - np.percentile(times, 10))


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="xxs", choices=sorted(MULTIPLY_ADDS))
    parser.add_argument("--format", action="append", type=parse_format, help="may be repeated; default: all")
    parser.add_argument("--runs", type=int, default=100, help="pairs of runs per format")
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
