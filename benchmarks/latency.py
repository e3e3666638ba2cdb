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
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from floor import LARGE, Chain, Floor, dominant_product, exported, product_files
from turns import Worker, cpu_name, interleaved, spread

from edgevit.build import build_model
from edgevit.network.variants import variants
from export.artifact import Delegation
from export.build import StagedArtifact
from export.formats.table import parse_format
from export.multiply_adds import multiply_adds
from export.program import Program, capture
from export.recipe import Format, Optimize, Recipe


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
    chains = [Chain(shape) for shape in (dominant_product(program), LARGE)]
    rows: list[Row] = []
    rates: dict[Format, float] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        workers = {format: Worker(format, paths) for format, paths in product_files(chains, Path(folder)).items()}
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
    program: Program, format: Format, folder: Path, runs: int, chains: list[Chain], products: dict[Format, Worker]
) -> tuple[Row, dict[Format, float]]:
    """Export both artifacts of ``format`` and run them in turns, with the products of all runtimes between.

    Returns:
        The figures, and for each runtime the best rate of its products in multiply-adds per second.
    """
    staged = [_export(program, format, level, folder / f"{format}-{level}") for level in (Optimize.NONE, Optimize.FULL)]
    workers = [Worker(format, (one.path,)) for one in staged]
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
        spread_ms=(spread(plain), spread(optimised)),
        ratio=ratio,
        operators=(staged[0].facts.operator_count, staged[1].facts.operator_count),
        file_bytes=(staged[0].path.stat().st_size, staged[1].path.stat().st_size),
        export_s=(staged[0].seconds, staged[1].seconds),
        delegation=(workers[0].delegation, workers[1].delegation),
    )
    return row, rates


def table(variant: str, size: int, rows: list[Row], floor: Floor, runs: int) -> str:
    """The figures as Markdown, with machine and method."""
    lines = [
        f"### {variant.upper()}, {size}x{size}, batch 1, float32, one thread",
        "",
        f"{cpu_name()}, {os.cpu_count()} cores; Python {platform.python_version()}; {runs} pairs of runs, A B A B, "
        "after 5 warm-up runs each; ratio: median of the pairs' ratios; spread: 10th to 90th percentile. "
        f"{floor.describe()}",
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
    return exported(program, Recipe(format=format, optimize=level), stage)


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
