"""Latency of optimised against plain artifacts of the same weights, interleaved on one thread.

For each format, the network is exported twice: ``--optimize none`` (the network's own formulation through the stock
converter) and ``--optimize full``. Both files run in turns (A B A B), each in a fresh process that holds nothing but
this artifact and its runtime, as in an app: in the process of a converter, a runtime finds memory that is already warm.
Medians are compared, and set against the arithmetic floor: the time that the network's multiply-adds, counted on its
captured graph, would take at the best rate that any runtime reached in the same run, between the same runs, with an
artifact of nothing but products: one chain as the network's own dominant product, one of large products.

    python benchmarks/latency.py --variant xxs --format onnx --format tflite --runs 100 --output table.md
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgevit.build import build_model
from edgevit.errors import MissingDependencyError
from edgevit.network.variants import variants
from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.artifact import Delegation
from export.build import StagedArtifact, export_artifact
from export.formats.table import parse_format
from export.multiply_adds import multiply_adds
from export.patterns import aten, is_call, operand, shape_of
from export.program import Program, capture
from export.recipe import Format, Optimize, Recipe
from runtimes.sessions.table import open_session

PRODUCTS = 4
"""In a chain. Chosen, because what a call costs besides (copies of input and output, Python) is paid once for four."""
LARGE = (256, 1024, 1024)
"""Rows, inputs and outputs. Chosen, because all are multiples of every kernel's tile and the sums are long."""


@dataclass(frozen=True)
class Chain:
    """Linear layers one behind the other; ``shape`` is (rows, inputs, outputs) of the first, the next turns back."""

    shape: tuple[int, int, int]
    program: Program
    multiply_adds: int


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
    chains = [chain(*shape) for shape in (dominant_product(program), LARGE)]
    rows: list[Row] = []
    rates: dict[Format, float] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        workers = _product_workers(chains, Path(folder))
        for worker in workers.values():
            stack.callback(worker.close)
        for format in options.format or list(Format):
            print(f"{format}: exporting and running", file=sys.stderr, flush=True)
            row, seen = measure(program, format, Path(folder), options.runs, chains, workers)
            rows.append(row)
            rates = {runtime: max(rate, rates.get(runtime, 0.0)) for runtime, rate in seen.items()}
    text = table(options.variant, options.size, rows, Floor(multiply_adds(program), rates, chains), options.runs)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def measure(
    program: Program, format: Format, folder: Path, runs: int, chains: list[Chain], products: dict[Format, _Worker]
) -> tuple[Row, dict[Format, float]]:
    """Export both artifacts of ``format`` and run them in turns, with the products of all runtimes between.

    Returns:
        The figures, and for each runtime the best rate of its products in multiply-adds per second.
    """
    staged = [_export(program, format, level, folder / f"{format}-{level}") for level in (Optimize.NONE, Optimize.FULL)]
    workers = [_Worker(format, (one.path,)) for one in staged]
    places = [(runtime, i) for runtime in products for i in range(len(chains))]
    calls = [worker.run_ms for worker in workers] + [partial(products[runtime].run_ms, i) for runtime, i in places]
    plain, optimised, *taken = interleaved(calls, runs)
    # each round is one pair, so that what else the machine does falls on both
    ratio = statistics.median(b / a for a, b in zip(plain, optimised, strict=True))
    for worker in workers:
        worker.close()
    rates: dict[Format, float] = {}
    for (runtime, i), times in zip(places, taken, strict=True):
        rates[runtime] = max(rates.get(runtime, 0.0), chains[i].multiply_adds / min(times) * 1e3)
    row = Row(
        format=format,
        median_ms=(statistics.median(plain), statistics.median(optimised)),
        spread_ms=(_spread(plain), _spread(optimised)),
        ratio=ratio,
        operators=(staged[0].facts.operator_count, staged[1].facts.operator_count),
        file_bytes=(staged[0].path.stat().st_size, staged[1].path.stat().st_size),
        export_s=(staged[0].seconds, staged[1].seconds),
        delegation=(workers[0].delegation, workers[1].delegation),
    )
    return row, rates


def dominant_product(program: Program) -> tuple[int, int, int]:
    """Rows, inputs and outputs of the linear layer or 1x1 convolution whose kind takes most of the multiply-adds."""
    totals: Counter[tuple[int, int, int]] = Counter()
    for node in program.module.graph.nodes:
        if is_call(node, aten.linear.default, aten.conv2d.default):
            outputs, inputs, *kernel = shape_of(operand(node, 1))
            rows = math.prod(shape_of(node)) // outputs
            if kernel in ([], [1, 1]):
                totals[rows, inputs, outputs] += rows * inputs * outputs
    return max(totals, key=totals.__getitem__)


def chain(rows: int, inputs: int, outputs: int) -> Chain:
    """``PRODUCTS`` linear layers from (rows, inputs) to (rows, outputs) and back."""
    from torch import nn

    sizes = [(inputs, outputs) if i % 2 == 0 else (outputs, inputs) for i in range(PRODUCTS)]
    tensors = (TensorSpec(name="x", shape=(rows, inputs)), TensorSpec(name="y", shape=(rows, sizes[-1][1])))
    spec = ModelSpec(
        name=f"products-{rows}x{inputs}x{outputs}",
        variant="products",
        task=Task.FEATURES,
        inputs=tensors[:1],
        outputs=tensors[1:],
        weights=Weights(source="random", seed=0),
    )
    program = capture(nn.Sequential(*[nn.Linear(*size) for size in sizes]), spec)
    return Chain((rows, inputs, outputs), program, multiply_adds(program))


def _product_workers(chains: list[Chain], folder: Path) -> dict[Format, _Worker]:
    """A worker with all chains for every runtime that can be had here."""
    workers = {}
    for format in Format:
        print(f"{format}: products", file=sys.stderr, flush=True)
        stage = folder / f"{format}-products"
        stage.mkdir()
        try:
            staged = [_exported(one.program, Recipe(format=format, optimize=Optimize.NONE), stage) for one in chains]
        except MissingDependencyError as error:
            print(f"{format}: not among the products: {error.message}", file=sys.stderr, flush=True)
            continue
        workers[format] = _Worker(format, tuple(one.path for one in staged))
    return workers


def interleaved(calls: list[Callable[[], float]], runs: int) -> list[list[float]]:
    """Milliseconds of every run, taken in turns after a warm-up."""
    for _ in range(5):
        for call in calls:
            call()
    rounds = [[call() for call in calls] for _ in range(runs)]
    return [list(times) for times in zip(*rounds, strict=True)]


class _Worker:
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


@dataclass(frozen=True)
class Floor:
    """What arithmetic alone would take: ``rates`` are the best multiply-adds per second of each runtime's products."""

    multiply_adds: int
    rates: dict[Format, float]
    chains: list[Chain]

    @property
    def ms(self) -> float:
        """Milliseconds at the best rate of all."""
        return self.multiply_adds / max(self.rates.values()) * 1e3

    def describe(self) -> str:
        """How it came about."""
        shapes = " and ".join(" x ".join(map(str, one.shape)) for one in self.chains)
        rates = ", ".join(f"{runtime} {2 * rate / 1e9:.0f}" for runtime, rate in self.rates.items())
        return (
            f"Best rate of {PRODUCTS} products of {shapes} (rows x inputs x outputs), run between: {rates} GFLOP/s; at "
            f"the highest, the {self.multiply_adds / 1e9:.3f} G multiply-adds take {self.ms:.1f} ms, the floor."
        )


def table(variant: str, size: int, rows: list[Row], floor: Floor, runs: int) -> str:
    """The figures as Markdown, with machine and method."""
    lines = [
        f"### {variant.upper()}, {size}x{size}, batch 1, float32, one thread",
        "",
        f"{_cpu()}, {os.cpu_count()} cores; Python {platform.python_version()}; {runs} pairs of runs, A B A B, after 5 "
        f"warm-up runs each; ratio: median of the pairs' ratios; spread: 10th to 90th percentile. {floor.describe()}",
        "",
        "| format | plain ms | optimised ms | ratio | to floor | operators "
        "| plain delegated | delegated | MB | export s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(row, floor.ms) for row in rows])


def _line(row: Row, floor_ms: float) -> str:
    def pair(values: tuple[float, float], digits: int) -> str:
        return f"{values[0]:.{digits}f} → {values[1]:.{digits}f}"

    def share(delegation: Delegation | None) -> str:
        return f"{delegation.delegated}/{delegation.total} in {delegation.partitions}" if delegation else "-"

    cells = [
        row.format.value,
        *(f"{ms:.2f} (±{spread / 2:.2f})" for ms, spread in zip(row.median_ms, row.spread_ms, strict=True)),
        f"**{row.ratio:.2f}**",
        pair((row.median_ms[0] / floor_ms, row.median_ms[1] / floor_ms), 2),
        pair(row.operators, 0),
        *map(share, row.delegation),
        pair((row.file_bytes[0] / 1e6, row.file_bytes[1] / 1e6), 1),
        pair(row.export_s, 1),
    ]
    return f"| {' | '.join(cells)} |"


def _export(program: Program, format: Format, level: Optimize, stage: Path) -> StagedArtifact:
    stage.mkdir()
    return _exported(program, Recipe(format=format, optimize=level), stage)


def _exported(program: Program, recipe: Recipe, stage: Path) -> StagedArtifact:
    with contextlib.redirect_stdout(sys.stderr):
        return export_artifact(program, recipe, stage)


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
    parser.add_argument("--variant", default="xxs", choices=list(variants()))
    parser.add_argument("--format", action="append", type=parse_format, help="may be repeated; default: all")
    parser.add_argument("--runs", type=int, default=100, help="pairs of runs per format")
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
