"""What the paper's Table 2 says of each EdgeViT, claim by claim, and whether records bear it out.

Two kinds: who is faster of an EdgeViT and a network of the same part of the table, and that no network at least as
accurate is faster than an EdgeViT, which is what Pareto-optimal in the paper's abstract means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgevit.neighbours import rivals
from edgevit.paper import LatencyRow, paper_tables
from runtimes.bench.record import DeviceRun
from validation.latency.compare import Outcome
from validation.report.neighbours.ratios import MeasuredRatio, agreement, measured_ratio, reported_ratio
from validation.report.rows import Agreement, PaperClaim, Ratio

Runs = Mapping[str, DeviceRun]
Missing = Mapping[str, tuple[str, ...]]


def claims_of(runs: Runs, missing: Missing) -> tuple[PaperClaim, ...]:
    """All claims of Table 2, each with its answer.

    Args:
        runs: Records made in one way on one device, by the paper's name of their network.
        missing: Why there is none of a network.
    """
    rows = {row.model: row for row in paper_tables().table_2.rows}
    orders = [_order(rows[ours], rows[other], runs, missing) for ours, others in rivals().items() for other in others]
    return (*_fronts(rows, runs), *orders)


def _order(ours: LatencyRow, other: LatencyRow, runs: Runs, missing: Missing) -> PaperClaim:
    """Who is faster; the ratio is the other network's latency over the EdgeViT's."""
    reported = reported_ratio(ours, other)
    text, points = f"{ours.model} is {_in_words(reported)} {other.model}", round(ours.top1_pct - other.top1_pct, 1)
    absent = [model for model in (ours.model, other.model) if model not in runs]
    if absent:
        reasons = tuple(f"{model}: {reason}" for model in absent for reason in missing.get(model, ()))
        return PaperClaim(
            text=text, top1_points=points, reported=reported, agreement=Agreement.UNMEASURED, reasons=reasons
        )
    measured = measured_ratio(runs[ours.model], runs[other.model])
    return PaperClaim(
        text=text,
        top1_points=points,
        reported=reported,
        measured=measured.ratio,
        agreement=agreement(reported, measured),
        reasons=measured.reasons,
    )


def _in_words(reported: Ratio) -> str:
    if reported.low <= 1 <= reported.high:
        return "as fast as"
    return "faster than" if reported.value > 1 else "slower than"


def _fronts(rows: Mapping[str, LatencyRow], runs: Runs) -> Iterator[PaperClaim]:
    for model in rivals():
        better = [row.model for row in rows.values() if row.top1_pct >= rows[model].top1_pct and row.model != model]
        if better:  # the most accurate of all is on any front
            yield _front(model, better, runs)


def _front(model: str, better: Sequence[str], runs: Runs) -> PaperClaim:
    """Whether any network at least as accurate is surely faster."""
    measured = {
        other: found
        for other in better
        if model in runs and other in runs
        if (found := measured_ratio(runs[model], runs[other])).ratio is not None
    }
    text, told = f"none as accurate as {model} is faster", f"{len(measured)} of {len(better)} as accurate were measured"
    faster = [other for other, found in measured.items() if found.outcome is Outcome.FASTER]
    open_ = [other for other, found in measured.items() if found.outcome in (Outcome.SAME, Outcome.UNDECIDED)]
    if not measured:
        return PaperClaim(text=text, agreement=Agreement.UNMEASURED)
    if faster:
        reasons = told, *_told(faster, measured, "faster")
        return PaperClaim(text=text, agreement=Agreement.FAILS, reasons=reasons)
    if open_:
        reasons = told, *_told(open_, measured, "as fast")
        return PaperClaim(text=text, agreement=Agreement.UNDECIDED, reasons=reasons)
    return PaperClaim(text=text, agreement=Agreement.HOLDS, reasons=(told,))


def _told(others: Sequence[str], measured: Mapping[str, MeasuredRatio], what: str) -> Iterator[str]:
    for other in others:
        ratio = measured[other].ratio
        if ratio is not None:
            yield f"{other} is {what}: {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] of its latency"
