"""Verification as rows of text for a console table; colours and borders are the front door's."""

from __future__ import annotations

from collections.abc import Sequence

from export.recipe import Precision
from validation.artifact.checks import CheckStatus, VerifyReport
from validation.artifact.parity import ParityReport

VERIFY_COLUMNS = (
    "artifact", "verdict", "x yardstick", "max error", "mean error", "SQNR dB", "inputs", "cosine", "top-1", "top-5",
    "non-finite", "runtime",
)  # fmt: skip
VERIFY_RIGHT = VERIFY_COLUMNS[2:-1]
"""The columns of numbers."""
VERIFY_ALIKE = ("inputs", "cosine", "top-1", "top-5", "non-finite", "runtime")
"""What may be said once for all rows."""


def verify_rows(reports: Sequence[VerifyReport]) -> list[tuple[str, ...]]:
    """One row per artifact, in the order of ``VERIFY_COLUMNS``; what was not measured is ``-``.

    A comparison on the user's own inputs is one more row.
    """
    rows = []
    for report in reports:
        rows.append((report.file, verdict(report), *_numbers(report.parity)))
        if report.parity_extra is not None:
            judged = "passed" if report.parity_extra.passed else "failed"
            rows.append((f"{report.file} on your images", judged, *_numbers(report.parity_extra)))
    return rows


def verdict(report: VerifyReport) -> str:
    """``passed``, ``failed: checksum, parity`` or ``not verified: runtime``."""
    if report.passed:
        return "passed"
    if report.failed_checks:
        return "failed: " + ", ".join(check.name for check in report.failed_checks)
    missing = [check.name for check in report.checks if check.status is CheckStatus.MISSING]
    return "not verified: " + ", ".join(missing or ["no comparison"])


def bare_verdict(report: VerifyReport) -> str:
    """``passed``, ``failed`` or ``not verified``: how a verification ended, for the line of its step."""
    return verdict(report).partition(":")[0]


def reason_lines(report: VerifyReport, *, limit: int = 5) -> list[str]:
    """Why an artifact did not pass, and what to be warned of when it did, one line each; long lists are cut."""
    lines: list[str] = []
    for check in report.checks:
        shown = check.details[:limit]
        lines += [f"{check.name}: {detail}" for detail in shown if _worth_a_line(check.status, report)]
        if len(check.details) > limit and _worth_a_line(check.status, report):
            lines.append(f"{check.name}: and {len(check.details) - limit} more")
    return lines


def _worth_a_line(status: CheckStatus, report: VerifyReport) -> bool:
    """Not those that were skipped: an earlier check's reason stands there already."""
    if status is CheckStatus.SKIPPED:
        return False
    return status is not CheckStatus.PASSED or report.passed


def _numbers(parity: ParityReport | None) -> tuple[str, ...]:
    if parity is None:
        return ("-",) * (len(VERIFY_COLUMNS) - 2)
    result = parity.summary()
    return (
        f"{result.multiple:.2f}" if result.precision is Precision.FP32 else "-",
        f"{result.max_abs_error:.2e}",
        f"{result.mean_abs_error:.2e}",
        f"{result.sqnr_db:.1f}",
        str(result.inputs_compared),
        f"{result.cosine:.7f}",
        _percent(result.top1_agreement),
        _percent(result.top5_agreement),
        str(sum(output.non_finite for output in parity.outputs)),
        result.runtime,
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
