"""Two records: a real difference, or noise?

A difference counts as real when the bootstrap interval of the ratio of medians excludes 1 and a rank test agrees.
Either alone is fooled: the test by runs that are not independent, the interval by a few rounds. For tools that give
summaries only, the medians (or means) of the rounds take the place of the runs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec
import numpy as np

from edgevit.records import Record
from runtimes.bench.record import DeviceRun
from validation.latency.analysis import NS_PER_MS, Verdict, judge_run, samples_ms
from validation.statistics import Floats, interval_of, rank_test, resample

MIN_POINTS = 5  # against as many, wholly apart: p = 2 / 252, the first below 1 %


class Outcome(StrEnum):
    """What the second record is, compared with the first."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no real difference"
    UNDECIDED = "cannot tell"


class ComparisonLimits(Record):
    """``max_regression``: 0.05 fails what is really slower by more than 5 %; None never fails on speed.

    ``min_effect`` is the smallest change of the median that is called a difference at all; chosen, because
    smaller ones rarely matter in use. ``p_value`` is the conventional 1 %, as for trends.
    """

    max_regression: float | None = None
    min_effect: float = 0.01
    p_value: float = 0.01


class Comparison(Record):
    """The second record against the first. ``ratio`` is second over first: 1.05 is 5 % slower.

    ``warnings`` name what differs between the two measurements besides the artifact.
    """

    schema_version: Literal[1] = 1
    first: str
    second: str
    first_ms: float | None = None
    second_ms: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    p_value: float | None = None
    outcome: Outcome = Outcome.UNDECIDED
    passed: bool = False
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def compare_runs(
    first: DeviceRun, second: DeviceRun, limits: ComparisonLimits | None = None, *, seed: int = 0
) -> Comparison:
    """Compare two records, made on one device in one way or on two.

    Args:
        first: The baseline.
        second: What is compared with it.
        limits: When a difference is real, and when it fails.
        seed: Of the bootstrap; the same seed gives the same result.
    """
    limits = limits or ComparisonLimits()
    named = (("first", first, judge_run(first)), ("second", second, judge_run(second)))
    uncertain = [
        f"the {which} record is {report.verdict}: {report.reasons[0]}"
        for which, _, report in named
        if report.verdict not in (Verdict.VALID, Verdict.FAILED)
    ]
    undecided = Comparison(
        first=_title(first),
        second=_title(second),
        reasons=(),
        warnings=(*_differences(first, second), *uncertain),
    )
    unusable = [
        f"the {which} record ({_title(run)}) failed: {report.reasons[0]}"
        for which, run, report in named
        if report.verdict is Verdict.FAILED
    ]
    rounds = _points(first), _points(second)
    if not unusable and min(sum(map(len, each)) for each in rounds) < MIN_POINTS:
        unusable = [f"too few samples: at least {MIN_POINTS} runs (or rounds of a tool's summaries) are needed"]
    if unusable:
        return msgspec.structs.replace(undecided, reasons=tuple(unusable))
    ratios = _ratio_draws(*rounds, seed)
    low, high = interval_of(ratios)
    joined = np.concatenate(rounds[0]), np.concatenate(rounds[1])
    centres = float(np.median(joined[0])), float(np.median(joined[1]))
    ratio = centres[1] / centres[0]
    p_value = rank_test(*joined)
    outcome = _outcome(ratio, low, high, p_value, limits)
    reasons = _regression(outcome, ratio, (low, high), limits)
    return msgspec.structs.replace(
        undecided, first_ms=centres[0], second_ms=centres[1], ratio=ratio, ratio_low=low, ratio_high=high,
        p_value=p_value, outcome=outcome, passed=not reasons, reasons=tuple(reasons),
    )  # fmt: skip


def _points(run: DeviceRun) -> list[Floats]:
    """Latencies by round, (runs,) float64, ms.

    Where there are summaries only, a single round of the rounds' medians (or means).
    """
    if rounds := samples_ms(run):
        return rounds
    summaries = [each.measured.summary for each in run.rounds if each.measured.summary is not None]
    centres = [each.mean_ns if each.median_ns is None else each.median_ns for each in summaries]
    return [np.array(centres, np.float64) / NS_PER_MS] if centres else []


def _ratio_draws(first: list[Floats], second: list[Floats], seed: int) -> Floats:
    """Bootstrap draws of the ratio of medians, (resamples,) float64, second over first."""
    generator = np.random.default_rng(seed)
    draws: Floats = np.median(resample(second, generator), axis=-1) / np.median(resample(first, generator), axis=-1)
    return draws


def _outcome(ratio: float, low: float, high: float, p_value: float, limits: ComparisonLimits) -> Outcome:
    if p_value >= limits.p_value or low <= 1 <= high or abs(ratio - 1) < limits.min_effect:
        return Outcome.SAME
    return Outcome.SLOWER if ratio > 1 else Outcome.FASTER


def _regression(outcome: Outcome, ratio: float, interval: tuple[float, float], limits: ComparisonLimits) -> list[str]:
    allowed = limits.max_regression
    if allowed is None or outcome is not Outcome.SLOWER or ratio <= 1 + allowed:
        return []
    low, high = interval
    return [f"slower by {ratio - 1:.1%} (between {low - 1:.1%} and {high - 1:.1%}), allowed are {allowed:.1%}"]


def _title(run: DeviceRun) -> str:
    threads = run.workload.threads
    return f"{run.artifact.name} on {run.device}, {threads} thread{'s' if threads != 1 else ''}"


def _differences(first: DeviceRun, second: DeviceRun) -> list[str]:
    """What differs besides the latency."""
    one, other = first.workload, second.workload
    pairs = [
        ("device", _device(first), _device(second)),
        ("threads", str(one.threads), str(other.threads)),
        ("runner", first.runner, second.runner),
        ("gap", f"{one.gap_ms or 0:g} ms", f"{other.gap_ms or 0:g} ms"),
        ("affinity", str(one.affinity), str(other.affinity)),
        ("format", first.artifact.format, second.artifact.format),
        ("runtime", _runtime(first), _runtime(second)),
    ]
    return [f"{what} differs: {mine} and {theirs}" for what, mine, theirs in pairs if mine != theirs]


def _device(run: DeviceRun) -> str:
    return f"{run.device} ({run.rounds[0].before.title})" if run.rounds else run.device


def _runtime(run: DeviceRun) -> str:
    return run.rounds[0].measured.runtime if run.rounds else ""
