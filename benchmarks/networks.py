"""Latency of any networks, optimised against plain, each format, beside the arithmetic floor: what optimising brings.

    python benchmarks/networks.py --artifacts DIR --networks edgevit-xxs,mobilenetv2_100,resnet18 --markdown

Networks are EdgeViT's variants (``edgevit-xxs``), names that timm has, and those with other arguments
(``tnt_ti=tnt_s_patch16_224(embed_dim=192, inner_dim=12)``), with random weights. What ``DIR`` lacks is exported
first, each in a process of its own, with its verification; ``--exports-only`` stops there. Then the levels run in turns
(A B B A), one thread, one processor, fresh processes in every block, with products for the floor between
(``floor.py``): the best rate of any product between any of these runs counts. What has been timed is kept beside the
artifacts and not timed again while they stay the same; ``--minutes`` ends a call early, the next one goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import statistics
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from floor import LARGE, Chain, product_files
from network_exports import Exported, Facts, exported_of, facts_of, folder_of
from turns import WARM_UP, Worker, cpu_name, spread, table, warm_up

from edgevit.records import Record, sha256_file
from export.formats.table import parse_format
from export.recipe import Format, Optimize

ProductFiles = dict[Format, tuple[Path, ...]]
BLOCKS = 3
"""Chosen: where memory happens to lie differs from process to process by some per cent, which three places show."""


class Timed(Record):
    """Milliseconds of every run of both sides, in the order in which they ran as pairs, and the best product rate."""

    schema_version: Literal[1] = 1
    sha256: tuple[str, str]
    cpu: str
    base_ms: tuple[float, ...]
    other_ms: tuple[float, ...]
    rates: dict[Format, float]
    """Multiply-adds per second: the best of each runtime's products between these runs."""

    @property
    def ratios(self) -> list[float]:
        """Each pair's."""
        return [b / a for a, b in zip(self.base_ms, self.other_ms, strict=True)]


class Products:
    """Products of every runtime, one a call, so that all had their turns after some calls."""

    def __init__(self, chains: list[Chain], files: ProductFiles, stack: contextlib.ExitStack) -> None:
        workers = {format: Worker(format, paths) for format, paths in files.items()}
        for worker in workers.values():
            stack.callback(worker.close)
        self._calls = itertools.cycle(
            [
                (format, one, partial(worker.run_ms, i))
                for format, worker in workers.items()
                for i, one in enumerate(chains)
            ]
        )
        self.rates: dict[Format, float] = {}

    def run(self) -> None:
        """One product; its rate counts if it is the best of its runtime since ``forget``."""
        format, one, call = next(self._calls)
        self.rates[format] = max(self.rates.get(format, 0.0), one.multiply_adds / call() * 1e3)

    def forget(self) -> None:
        self.rates = {}


def main() -> None:
    """Export, time and print what the command line asks for."""
    options = _options()
    directory: Path = options.artifacts.resolve()
    cells = [(n, f, level) for n in options.networks for f in options.formats for level in options.levels]
    exports = {cell: exported_of(directory, *cell) for cell in cells}
    facts = {network: facts_of(directory, network) for network in options.networks}
    (directory / "products").mkdir(parents=True, exist_ok=True)
    chains = [Chain(shape) for shape in dict.fromkeys([LARGE, *(one.product for one in facts.values())])]
    files = product_files(chains, directory / "products")
    if not options.exports_only:
        _time_all(directory, exports, (chains, files), options)
    print("\n".join(_table(directory, exports, facts, options)))


def _time_all(
    directory: Path,
    exports: dict[tuple[str, Format, Optimize], Exported],
    products_of: tuple[list[Chain], ProductFiles],
    options: argparse.Namespace,
) -> None:
    """Time what is not yet timed, until the minutes are over."""
    end_s = time.monotonic() + 60 * options.minutes
    base, *others = options.levels
    todo = [
        (exports[network, format, base], exports[network, format, other])
        for network, format, other in itertools.product(options.networks, options.formats, others)
        if options.again or _timed(directory, exports[network, format, base], exports[network, format, other]) is None
    ]
    todo = [pair for pair in todo if all(one.file for one in pair)]
    if not todo:
        return
    with contextlib.ExitStack() as stack:
        products = Products(*products_of, stack)
        for done, (one, other) in enumerate(todo):
            if time.monotonic() > end_s:
                print(f"{len(todo) - done} are left for the next call", file=sys.stderr)
                return
            print(f"timing: {one.network} {one.format} {other.level}", file=sys.stderr, flush=True)
            _time(one, other, products, options.pairs).save(_timed_path(directory, one, other))


def _time(one: Exported, other: Exported, products: Products, pairs: int) -> Timed:
    """Both artifacts in turns, in blocks of fresh processes."""
    products.forget()
    base_ms: list[float] = []
    other_ms: list[float] = []
    for block in range(BLOCKS):
        sides = [Worker(side.format, (Path(str(side.file)),)) for side in (one, other)]
        warm_up([side.run_ms for side in sides])
        for turn in range(pairs * block // BLOCKS, pairs * (block + 1) // BLOCKS):
            products.run()
            order = (0, 1) if turn % 2 == 0 else (1, 0)  # neither side always follows the products
            taken = {which: sides[which].run_ms() for which in order}
            base_ms.append(taken[0])
            other_ms.append(taken[1])
        for side in sides:
            side.close()
    return Timed(
        sha256=_hashes(one, other),
        cpu=cpu_name(),
        base_ms=tuple(base_ms),
        other_ms=tuple(other_ms),
        rates=products.rates,
    )


def _hashes(one: Exported, other: Exported) -> tuple[str, str]:
    return sha256_file(Path(str(one.file))), sha256_file(Path(str(other.file)))


def _timed_path(directory: Path, one: Exported, other: Exported) -> Path:
    return folder_of(directory, one.network) / f"{one.format}-{one.level}-{other.level}-timed.json"


def _timed(directory: Path, one: Exported, other: Exported) -> Timed | None:
    """What was timed of just these two files."""
    path = _timed_path(directory, one, other)
    if not path.exists() or not one.file or not other.file:
        return None
    timed = Timed.load(path)
    return timed if timed.sha256 == _hashes(one, other) else None


def _table(
    directory: Path,
    exports: dict[tuple[str, Format, Optimize], Exported],
    facts: dict[str, Facts],
    options: argparse.Namespace,
) -> Iterator[str]:
    """A row for each network, format and level but the first; as Markdown or aligned by tabs."""
    base, *others = options.levels
    head = ["network", "format", f"{base} ms", "ms", "ratio", "10..90 %", "to floor", "operators", "pieces", "parity"]
    cells = [
        (exports[network, format, base], exports[network, format, other])
        for network, format, other in itertools.product(options.networks, options.formats, others)
    ]
    timed = [_timed(directory, *cell) for cell in cells]
    best_rate = max((rate for one in timed if one for rate in one.rates.values()), default=0.0)
    rows = [
        _row(*cell, one, facts[cell[0].network].multiply_adds / best_rate * 1e3 if one else 0.0)
        for cell, one in zip(cells, timed, strict=True)
    ]
    how = f"{options.pairs} pairs of runs. Best rate of a product: {2e-9 * best_rate:.0f} GFLOP/s."
    return table(head, rows, how, is_markdown=options.markdown)


def _row(one: Exported, other: Exported, timed: Timed | None, floor_ms: float) -> list[str]:
    row = [one.network.partition("=")[0], str(one.format)]
    if timed is None:
        row += ["-"] * 5
    else:
        ratios = timed.ratios
        base_ms, other_ms = statistics.median(timed.base_ms), statistics.median(timed.other_ms)
        row += [f"{ms:.2f} (±{spread(list(all_ms)) / 2:.2f})"
                for ms, all_ms in ((base_ms, timed.base_ms), (other_ms, timed.other_ms))]  # fmt: skip
        low, *_, high = statistics.quantiles(ratios, n=10)
        row += [f"**{statistics.median(ratios):.3f}**", f"{low:.2f}..{high:.2f}"]
        row += [f"{base_ms / floor_ms:.2f} → {other_ms / floor_ms:.2f}"]
    idle = f", {other.idle} passes did not run" if other.idle else ""
    row += [
        f"{one.operators} → {other.operators}{idle}",
        f"{one.pieces} → {other.pieces}" if one.pieces != "-" else "-",
    ]
    return [*row, " → ".join(_parity(side) for side in (one, other))]


def _parity(side: Exported) -> str:
    if side.parity is None:
        return f"{side.verdict}: {' '.join(side.reasons)[:80]}"
    return f"{side.parity:.1f}" if side.verdict == "passed" else f"**{side.parity:.1f} {side.verdict}**"


def _names(text: str) -> list[str]:
    """Split at commas that stand in no parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=_names, default=["edgevit-xxs"], help="separated by commas")
    parser.add_argument(
        "--formats", type=lambda text: [parse_format(name) for name in text.split(",")], default=list(Format)
    )
    parser.add_argument(
        "--levels",
        type=lambda text: [Optimize(name) for name in text.split(",")],
        default=[Optimize.NONE, Optimize.FULL],
        help="the first is what the others are held against",
    )
    parser.add_argument("--artifacts", type=Path, required=True, help="where artifacts and figures are kept")
    parser.add_argument("--pairs", type=int, default=60, help=f"pairs of runs, after {WARM_UP} warm-up runs a block")
    parser.add_argument("--minutes", type=float, default=1e6, help="start no more timings after so long")
    parser.add_argument("--again", action="store_true", help="time again what has been timed")
    parser.add_argument("--exports-only", action="store_true", help="time nothing")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    main()
