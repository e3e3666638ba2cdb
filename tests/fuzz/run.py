"""The long run: mutated inputs for every reader of the project, and the table for docs/security.md.

    python tests/fuzz/run.py                                4,000 inputs a reader of seed 1
    python tests/fuzz/run.py --reader trace-csv --seed 7    others, for one reader (may be repeated, with * for any)
    python tests/fuzz/run.py --markdown                     the table as it stands in the docs
    python tests/fuzz/run.py --show trace-csv 7 1234        one input again, in this process, with its traceback
    python tests/fuzz/run.py --atheris 300 --reader labels  guided by coverage for 300 s, where atheris is installed

Inputs that do not end as they should are kept below ``--keep``; exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

import fuzz_path  # noqa: F401
from fuzz_campaign import Tally, keep, run
from fuzz_reader import Reader
from fuzz_registry import READERS

COLUMNS = ("reader", "reads", "inputs", "accepted", "refused", "other ends", "slowest ms", "most MiB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--reader", action="append", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "edgevit-fuzz")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--show", nargs=3, metavar=("READER", "SEED", "NUMBER"))
    parser.add_argument("--atheris", type=int, metavar="SECONDS")
    asked = parser.parse_args(arguments)
    chosen = [
        reader
        for name, reader in READERS.items()
        if not asked.reader or any(fnmatchcase(name, p) for p in asked.reader)
    ]
    if not chosen:
        parser.error(f"no reader {', '.join(asked.reader)}: choose from {', '.join(READERS)}")
    if asked.show:
        return show(READERS[asked.show[0]], int(asked.show[1]), int(asked.show[2]))
    if asked.atheris is not None:
        from fuzz_atheris import guided

        return guided(chosen, asked.atheris, asked.keep)
    return campaign(chosen, asked)


def campaign(readers: Sequence[Reader], asked: argparse.Namespace) -> int:
    """All inputs of all readers; prints a line a reader, what was found, and the table if it is asked for."""

    def one(reader: Reader) -> Tally:
        begun_s = time.monotonic()
        tally = run(reader, seed=asked.seed, first=asked.first, end=asked.first + asked.count)
        line = f"{reader.name}: {tally.accepted} accepted, {tally.refused} refused, {len(tally.findings)} other ends"
        print(f"{line}, {time.monotonic() - begun_s:.0f} s", file=sys.stderr)
        for finding, times, path in keep(reader, tally, seed=asked.seed, target=asked.keep):
            print(f"    {finding.kind}: {times} x, {path}: {finding.said[:160]}", file=sys.stderr)
        return tally

    with ThreadPoolExecutor(asked.jobs) as pool:
        tallies = list(pool.map(one, readers))
    print("\n".join(markdown(readers, tallies) if asked.markdown else plain(tallies)))
    if not all(tally.limited for tally in tallies):
        print("this system does not limit the memory of a process: memory was not judged", file=sys.stderr)
    return int(any(tally.findings for tally in tallies))


def _row(reader: Reader, tally: Tally) -> tuple[str, ...]:
    figures = (tally.inputs, tally.accepted, tally.refused, len(tally.findings))
    return (
        f"`{reader.name}`", reader.reads, *(f"{figure:,}" for figure in figures), f"{tally.slowest_ms:,.0f}",
        f"{tally.peak_bytes / 2**20:,.0f}",
    )  # fmt: skip


def markdown(readers: Sequence[Reader], tallies: Sequence[Tally]) -> list[str]:
    """The table of docs/security.md."""
    rows = [_row(reader, tally) for reader, tally in zip(readers, tallies, strict=True)]
    return [f"| {' | '.join(row)} |" for row in (COLUMNS, ("---",) * 2 + ("---:",) * 6, *rows)]


def plain(tallies: Sequence[Tally]) -> list[str]:
    """One line a reader, and the sum."""
    inputs, findings = sum(tally.inputs for tally in tallies), sum(len(tally.findings) for tally in tallies)
    return [
        *(
            f"{t.reader:24} {t.inputs:7} {len(t.findings):5} {t.slowest_ms:9.0f} ms {t.peak_bytes >> 20:6} MiB"
            for t in tallies
        ),
        f"{inputs} inputs, {findings} that did not end as they should",
    ]


def show(reader: Reader, seed: int, number: int) -> int:
    """Read one input in this process; its traceback comes out."""
    data = reader.mutated(seed=seed, number=number)
    print(f"{len(data)} bytes: {data[:2000]!r}")
    with tempfile.TemporaryDirectory() as room:
        print(reader.call(data, Path(room)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
