"""``compare A.json B.json``: a real difference, or noise? Can fail a CI job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from edgevit.errors import UsageError
from edgevit_export.commands.options import AsJson
from edgevit_export.console import print_line, print_note, print_record


@dataclass(frozen=True)
class CompareOptions:
    """The options of ``compare``."""

    first: Annotated[Path, typer.Argument(help="Record of the baseline.")]
    second: Annotated[Path, typer.Argument(help="Record to compare with it.")]
    max_regression: Annotated[str | None, typer.Option(help="Fail when slower by more, e.g. 5%.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0
    as_json: AsJson = False


def compare(options: CompareOptions) -> None:
    """Compare two records of `bench`: tell a real difference from noise."""
    from runtimes.bench.record import DeviceRun
    from validation.latency.compare import ComparisonLimits, compare_runs
    from validation.latency.tables import comparison_lines

    limits = ComparisonLimits(max_regression=parse_share(options.max_regression))
    first, second = DeviceRun.load(options.first), DeviceRun.load(options.second)
    result = compare_runs(first, second, limits, seed=options.seed)
    if options.as_json:
        print_record(result)
    else:
        for line in comparison_lines(result):
            print_line(line)
        for text in (*result.warnings, *result.reasons):
            print_note(text)
    if not result.passed:
        raise typer.Exit(1)


def parse_share(text: str | None) -> float | None:
    """``5%`` or ``0.05`` as 0.05; None stays None.

    Raises:
        UsageError: Neither, or negative.
    """
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UsageError(f"--max-regression '{text}': expected a share such as 5% or 0.05", hint="--max-regression 5%")
    return share
