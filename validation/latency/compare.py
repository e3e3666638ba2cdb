"""Two records: a real difference, or noise?

A difference counts as real when the bootstrap interval of the ratio of medians excludes 1 and a rank test agrees.
Either alone is fooled: the test by runs that are not independent, the interval by a few rounds. For tools that give
summaries only, the medians (or means) of the rounds take the place of the runs.

All in which the records differ is told with the verdict (``validation.latency.likeness``). What makes the question
meaningless, and under a limit on regressions another device or way of running too, is not judged unless it is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from enum import StrEnum
from typing import Literal

import msgspec
import numpy as np

from edgevit.records import Record
from runtimes.bench.record import DeviceRun
from validation.latency.analysis import NS_PER_MS, LatencyReport, Verdict, judge_run, samples_ms
from validation.latency.likeness import UNKNOWN, Difference, differences, unfit_in_one, untold
from validation.latency.likeness_table import Weight
from validation.statistics import Z95, Floats, interval_of, rank_test, resample, widened

MIN_POINTS = 5  # against as many, wholly apart: p = 2 / 252, the first below 1 %
ONE_ROUND = 0.03  # standard deviation between processes where a record has one: chosen, a restless machine's


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

    ``differences`` are all fields in which the two records differ and that are not expected to, ``warnings`` say so in
    words, with what else weakens the verdict. ``refused`` are those for which nothing was judged.
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
    differences: tuple[Difference, ...] = ()
    refused: tuple[Difference, ...] = ()


def compare_runs(
    first: DeviceRun,
    second: DeviceRun,
    limits: ComparisonLimits | None = None,
    *,
    allow: Collection[str] = (),
    seed: int = 0,
) -> Comparison:
    """Compare two records, made on one device in one way or on two.

    Args:
        first: The baseline.
        second: What is compared with it.
        limits: When a difference is real, and when it fails.
        allow: Topics of ``likeness_table.TOPICS`` in which the records may be unlike.
        seed: Of the bootstrap; the same seed gives the same result.
    """
    limits = limits or ComparisonLimits()
    reports = judge_run(first), judge_run(second)
    found = differences(first, second)
    refused = tuple(each for each in found if _refused(each, limits, allow))
    rounds = _points(first), _points(second)
    hindrances = [*map(str, refused)] or _unusable(reports, rounds)
    undecided = Comparison(
        first=_title(first),
        second=_title(second),
        reasons=tuple(hindrances),
        warnings=(
            *_in_words(found),
            *_unknown(first, second),
            *unfit_in_one(first, second),
            *_uncertain(reports),
            *_single(rounds),
        ),
        differences=found,
        refused=refused,
    )
    return undecided if hindrances else _judged(undecided, rounds, limits, seed)


def _uncertain(reports: tuple[LatencyReport, LatencyReport]) -> list[str]:
    return [
        f"the {which} record is {report.verdict}: {report.reasons[0]}"
        for which, report in zip(("first", "second"), reports, strict=True)
        if report.verdict not in (Verdict.VALID, Verdict.FAILED)
    ]


def _single(rounds: tuple[list[Floats], list[Floats]]) -> list[str]:
    return [
        f"the {which} record has one round: what differs from process to process is taken to be {ONE_ROUND:.0%}; more "
        "--rounds would tell"
        for which, each in zip(("first", "second"), rounds, strict=True)
        if len(each) == 1
    ]


def _unusable(reports: tuple[LatencyReport, LatencyReport], rounds: tuple[list[Floats], list[Floats]]) -> list[str]:
    failed = [
        f"the {which} record failed: {report.reasons[0]}"
        for which, report in zip(("first", "second"), reports, strict=True)
        if report.verdict is Verdict.FAILED
    ]
    if not failed and min(sum(map(len, each)) for each in rounds) < MIN_POINTS:
        return [f"too few samples: at least {MIN_POINTS} runs (or rounds of a tool's summaries) are needed"]
    return failed


def _judged(
    undecided: Comparison, rounds: tuple[list[Floats], list[Floats]], limits: ComparisonLimits, seed: int
) -> Comparison:
    joined = np.concatenate(rounds[0]), np.concatenate(rounds[1])
    centres = float(np.median(joined[0])), float(np.median(joined[1]))
    ratio = centres[1] / centres[0]
    low, high = widened(interval_of(_ratio_draws(*rounds, seed)), ratio, list(map(len, rounds)))
    unknown = math.exp(Z95 * ONE_ROUND * math.sqrt(sum(len(each) == 1 for each in rounds)))
    low, high = low / unknown, high * unknown
    p_value = rank_test(*joined)
    outcome = _outcome(ratio, low, high, p_value, limits)
    reasons = _regression(outcome, ratio, (low, high), limits)
    if reasons and outcome is Outcome.SAME:
        outcome = Outcome.UNDECIDED
    warnings = (*undecided.warnings, *_hidden(outcome, high, limits))
    return msgspec.structs.replace(
        undecided, first_ms=centres[0], second_ms=centres[1], ratio=ratio, ratio_low=low, ratio_high=high,
        p_value=p_value, outcome=outcome, passed=not reasons, reasons=tuple(reasons), warnings=warnings,
    )  # fmt: skip


def _points(run: DeviceRun) -> list[Floats]:
    """Latencies by round, (runs,) float64, ms.

    Where there are summaries only, the median (or mean) of each round in its place.
    """
    if rounds := samples_ms(run):
        return rounds
    summaries = [each.measured.summary for each in run.rounds if each.measured.summary is not None]
    centres = [each.mean_ns if each.median_ns is None else each.median_ns for each in summaries]
    return [np.array([each], np.float64) / NS_PER_MS for each in centres]


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
    """Why a limit is not kept, or why it cannot be told whether it is: no answer is no pass."""
    allowed = limits.max_regression
    if allowed is None or outcome is Outcome.FASTER or ratio <= 1 + allowed:
        return []
    low, high = interval
    seen = f"slower by {ratio - 1:.1%} (between {low - 1:.1%} and {high - 1:.1%}), allowed are {allowed:.1%}"
    if outcome is Outcome.SLOWER:
        return [seen]
    return [f"cannot be told, because it may be noise: {seen}; more --rounds or a quieter device would tell"]


def _hidden(outcome: Outcome, high: float, limits: ComparisonLimits) -> list[str]:
    """What passes a limit because the records are too few or scatter too much to say otherwise."""
    if limits.max_regression is None or outcome is not Outcome.SAME or high <= 1 + limits.max_regression:
        return []
    return [f"it may be slower by up to {high - 1:.1%} without being seen: more --rounds would tell"]


def _title(run: DeviceRun) -> str:
    threads = run.workload.threads
    return f"{run.artifact.name} on {run.device}, {threads} thread{'s' if threads != 1 else ''}"


def _refused(difference: Difference, limits: ComparisonLimits, allow: Collection[str]) -> bool:
    """Whether nothing may be judged because of it. What only one record tells is no proof that they are unlike."""
    gate = (Weight.QUESTION,) if limits.max_regression is None else (Weight.QUESTION, Weight.GATE)
    return difference.known and difference.weight in gate and difference.topic not in allow


def _in_words(found: Collection[Difference]) -> list[str]:
    """A line for each field that both records tell, and one for what a record does not."""
    lines = [str(each) for each in found if each.known]
    for which, silent in (
        ("first", [each.words for each in found if each.first == UNKNOWN]),
        ("second", [each.words for each in found if each.second == UNKNOWN]),
    ):
        if silent:
            lines.append(f"the {which} record does not tell, but the other does: {', '.join(silent)}")
    return lines


def _unknown(first: DeviceRun, second: DeviceRun) -> list[str]:
    return [f"neither record tells its {topic}, which would have to be alike" for topic in untold(first, second)]
