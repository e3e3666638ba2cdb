"""``compare A.json B.json``: a real difference, or noise? Can fail a CI job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError, unknown_choice
from edgevit_export.commands.options import AsJson, Quiet, split_list
from edgevit_export.console import print_note, print_record, print_text

if TYPE_CHECKING:
    from validation.latency.compare import Comparison

_ALLOW = "Compare though unlike in: input, network, device, cores, threads, clocks, gap, runner."


@dataclass(frozen=True)
class CompareOptions:
    """The options of ``compare``."""

    first: Annotated[Path, typer.Argument(exists=True, help="Record of the baseline.")]
    second: Annotated[Path, typer.Argument(exists=True, help="Record to compare with it.")]
    max_regression: Annotated[str | None, typer.Option(help="Fail when slower by more, e.g. 5%.")] = None
    allow: Annotated[list[str] | None, typer.Option(help=_ALLOW)] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0
    as_json: AsJson = False
    quiet: Quiet = False


def compare(options: CompareOptions) -> None:
    """Compare two records of `bench`: tell a real difference from noise.

    Whatever differs between the two measurements is listed. Unlike inputs or networks are not compared, with
    --max-regression nor are unlike devices, cores, threads, clocks, gaps and runners: exit code 2.
    """
    from runtimes.bench.record import DeviceRun
    from validation.latency.compare import ComparisonLimits, compare_runs
    from validation.latency.tables import comparison_lines

    limits = ComparisonLimits(max_regression=parse_share(options.max_regression))
    allow = parse_topics(split_list(options.allow))
    first, second = DeviceRun.load(options.first), DeviceRun.load(options.second)
    result = compare_runs(first, second, limits, allow=allow, seed=options.seed)
    if options.as_json:
        print_record(result)
    elif not result.refused:
        for line in comparison_lines(result):
            print_text(line)
        for text in result.warnings:
            print_note(text)
        for text in result.reasons:
            print_note(text, is_error=not result.passed)
    if result.refused:
        raise _unlike(result)
    if not result.passed:
        raise typer.Exit(1)


def _unlike(result: Comparison) -> UsageError:
    topics = dict.fromkeys(each.topic for each in result.refused if each.topic)
    return UsageError(
        f"{result.first} and {result.second} are not compared: {'; '.join(result.reasons)}",
        hint=f"measure both alike, or compare them all the same: --allow {','.join(topics)}",
    )


def parse_topics(names: Sequence[str]) -> frozenset[str]:
    """What records may be unlike in.

    Raises:
        UsageError: No such topic.
    """
    from validation.latency.likeness_table import TOPICS

    for name in names:
        if name not in TOPICS:
            raise unknown_choice("condition in --allow", name, TOPICS)
    return frozenset(names)


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
