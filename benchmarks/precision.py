"""What half precision and int8 bring: size, latency, pieces and noise, each format against its own optimised float32.

    python benchmarks/precision.py --artifacts DIR --networks edgevit-xxs,mobilenetv2_100 --formats tflite --markdown

Networks are named as in ``benchmarks/networks.py``, with random weights. What ``DIR`` lacks is exported first, each in
a process of its own, with its verification (which may fail: it is timed all the same); ``--exports-only`` stops there.
Static ranges are taken on ``--calibration-data``, or on images drawn for the purpose. Then all precisions of a network
in a format take turns, one thread, one processor, fresh processes in every block. What has been timed is kept and not
timed again while the files stay the same; ``--minutes`` ends a call early, the next one goes on.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from network_exports import folder_of
from networks import BLOCKS, _names
from precision_exports import Way, Written, written_of
from turns import WARM_UP, Worker, cpu_name, table, warm_up

from edgevit.records import Record, sha256_file
from export.formats.table import parse_format
from export.recipe import Format

HEAD = ("network", "format", "precision", "size", "latency", "95 %", "10..90 %", "ms", "pieces", "SQNR dB", "layers")
Cell = tuple[Written, ...]
"""One network in one format: its artifacts, float32 first."""


class Timed(Record):
    """Milliseconds of every run of each file, in turns: run ``i`` of one belongs to run ``i`` of the others."""

    schema_version: Literal[1] = 1
    sha256: tuple[str, ...]
    cpu: str
    taken_ms: tuple[tuple[float, ...], ...]

    def ratios(self, which: int) -> list[float]:
        """Each turn's, of file ``which`` to the first."""
        return [other / base for base, other in zip(self.taken_ms[0], self.taken_ms[which], strict=True)]


def main() -> None:
    """Export, time and print what the command line asks for."""
    options = _options()
    directory: Path = options.artifacts.resolve()
    ways = list(dict.fromkeys([Way.FP32, *options.precisions]))
    cells = [
        tuple(written_of(directory, network, format, way, options.calibration_data) for way in ways)
        for network, format in itertools.product(options.networks, options.formats)
    ]
    if not options.exports_only:
        _time_all(directory, cells, options)
    print("\n".join(_table(directory, cells, options)))


def _time_all(directory: Path, cells: list[Cell], options: argparse.Namespace) -> None:
    """Time what is not yet timed, until the minutes are over."""
    end_s = time.monotonic() + 60 * options.minutes
    todo = [cell for cell in cells if _files(cell) and (options.again or _timed(directory, cell) is None)]
    for done, cell in enumerate(todo):
        if time.monotonic() > end_s:
            print(f"{len(todo) - done} are left for the next call", file=sys.stderr)
            return
        print(f"timing: {cell[0].network} {cell[0].format}", file=sys.stderr, flush=True)
        _time(cell, options.turns).save(_timed_path(directory, cell))


def _time(cell: Cell, turns: int) -> Timed:
    """All files of a cell in turns, in blocks of fresh processes; every other turn goes backwards."""
    files = _files(cell)
    taken: list[list[float]] = [[] for _ in files]
    for block in range(BLOCKS):
        workers = [Worker(cell[0].format, (path,)) for path in files]
        warm_up([worker.run_ms for worker in workers])
        for turn in range(turns * block // BLOCKS, turns * (block + 1) // BLOCKS):
            order = range(len(files)) if turn % 2 == 0 else range(len(files) - 1, -1, -1)
            for which in order:
                taken[which].append(workers[which].run_ms())
        for worker in workers:
            worker.close()
    return Timed(sha256=_hashes(cell), cpu=cpu_name(), taken_ms=tuple(map(tuple, taken)))


def _files(cell: Cell) -> list[Path]:
    """Those that exist, float32 first; none where that is missing."""
    return [Path(one.file) for one in cell if one.file] if cell[0].file else []


def _hashes(cell: Cell) -> tuple[str, ...]:
    return tuple(sha256_file(path) for path in _files(cell))


def _timed_path(directory: Path, cell: Cell) -> Path:
    ways = "-".join(one.way for one in cell)
    return folder_of(directory, cell[0].network) / f"{cell[0].format}-{ways}-timed.json"


def _timed(directory: Path, cell: Cell) -> Timed | None:
    """What was timed of just these files."""
    path = _timed_path(directory, cell)
    if not path.exists():
        return None
    timed = Timed.load(path)
    return timed if timed.sha256 == _hashes(cell) else None


def _table(directory: Path, cells: list[Cell], options: argparse.Namespace) -> Iterator[str]:
    """A row for each artifact; as Markdown or aligned by tabs."""
    rows = [row for cell in cells for row in _rows(cell, _timed(directory, cell))]
    return table(HEAD, rows, f"{options.turns} turns.", is_markdown=options.markdown)


def _rows(cell: Cell, timed: Timed | None) -> Iterator[list[str]]:
    order = {one.way: place for place, one in enumerate(one for one in cell if one.file)}
    for one in cell:
        figures = ["-"] * 4 if timed is None or not one.file else _figures(timed, order[one.way])
        size = f"{one.bytes / cell[0].bytes:.3f}" if one.bytes and cell[0].bytes else "-"
        verdict = "" if one.verdict == "passed" else f" {one.verdict}: {' '.join(one.reasons)[:80]}"
        noise = "-" if one.sqnr_db is None else f"{one.sqnr_db:.1f}"
        name = one.network.partition("=")[0]
        yield [name, str(one.format), str(one.way), size, *figures, one.pieces, noise + verdict, one.schemes]


def _figures(timed: Timed, which: int) -> list[str]:
    """Median of the ratios, its interval, that of single turns, and the median of the times."""
    ratios = sorted(timed.ratios(which))
    low, *_, high = statistics.quantiles(ratios, n=10)
    first, last = median_interval(len(ratios))
    return [
        f"**{statistics.median(ratios):.3f}**",
        f"{ratios[first]:.3f}..{ratios[last]:.3f}",
        f"{low:.2f}..{high:.2f}",
        f"{statistics.median(timed.taken_ms[which]):.2f}",
    ]


def median_interval(count: int) -> tuple[int, int]:
    """Places of the sorted values between which their median lies at 95 %: normal approximation of the signs."""
    half = 0.98 * math.sqrt(count)
    return max(math.floor(count / 2 - half), 0), min(math.ceil(count / 2 + half), count - 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=_names, default=["edgevit-xxs"], help="separated by commas")
    parser.add_argument(
        "--formats", type=lambda text: [parse_format(name) for name in text.split(",")], default=list(Format)
    )
    parser.add_argument(
        "--precisions",
        type=lambda text: [Way(name) for name in text.split(",")],
        default=list(Way),
        help=f"of {', '.join(Way)}; all are held against fp32",
    )
    parser.add_argument("--artifacts", type=Path, required=True, help="where artifacts and figures are kept")
    parser.add_argument("--calibration-data", type=Path, help="images of static ranges, as the command takes them")
    parser.add_argument("--turns", type=int, default=90, help=f"runs of each, after {WARM_UP} warm-up runs a block")
    parser.add_argument("--minutes", type=float, default=1e6, help="start no more timings after so long")
    parser.add_argument("--again", action="store_true", help="time again what has been timed")
    parser.add_argument("--exports-only", action="store_true", help="time nothing")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    main()
