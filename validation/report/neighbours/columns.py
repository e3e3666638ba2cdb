"""The comparison with Table 2 as columns of text."""

from __future__ import annotations

from validation.latency.tables import ABSENT, milliseconds
from validation.report.neighbours.ratios import meet
from validation.report.rows import PaperComparison, PaperRatio, Ratio
from validation.report.tables import Column


def claim_columns(comparison: PaperComparison) -> list[Column]:
    """What the paper says, there and here, and whether it holds."""
    claims = comparison.claims
    return [
        Column("the paper's figures say", tuple(claim.text for claim in claims), number=False),
        Column("top-1", tuple(_points(claim.top1_points) for claim in claims)),
        Column("there", tuple(_value(claim.reported) for claim in claims)),
        Column("here", tuple(_value(claim.measured) for claim in claims)),
        Column("verdict", tuple(str(claim.agreement) for claim in claims), number=False),
    ]


def ratio_columns(comparison: PaperComparison) -> list[Column]:
    """All networks: latencies, ratios to EdgeViT-XXS there and here with their intervals, and one over the other."""
    rows = comparison.rows
    return [
        Column("network", tuple(row.model for row in rows), number=False),
        Column("top-1 % reported", tuple(_plain(row.reported_top1_pct) for row in rows)),
        Column("ms reported", tuple(_plain(row.reported_ms) for row in rows)),
        Column("ms here", tuple(milliseconds(row.median_ms) for row in rows)),
        Column("ratio reported", tuple(ratio_words(row.reported) for row in rows)),
        Column("ratio here", tuple(ratio_words(row.measured) for row in rows)),
        Column("here / reported", tuple(_factor(row) for row in rows)),
        Column("order", tuple(str(row.agreement or ABSENT) for row in rows), number=False),
    ]


def brief_ratio_columns(comparison: PaperComparison) -> list[Column]:
    """What fits on a console of 80 columns: one ratio a cell, without the paper's latencies."""
    rows = comparison.rows
    return [
        Column("network", tuple(row.model for row in rows), number=False),
        Column("top-1 %\nreported", tuple(_plain(row.reported_top1_pct) for row in rows)),
        Column("ms here", tuple(milliseconds(row.median_ms) for row in rows)),
        Column("ratio\nreported", tuple(_value(row.reported) for row in rows)),
        Column("ratio here", tuple(ratio_words(row.measured) for row in rows)),
        Column("order", tuple(str(row.agreement or ABSENT) for row in rows), number=False),
    ]


def comparison_reasons(comparison: PaperComparison) -> list[str]:
    """Why claims have the verdict that they have, and why networks were not measured; each reason once."""
    models: dict[str, list[str]] = {}
    for row in comparison.rows:
        for reason in row.reasons:
            models.setdefault(reason, []).append(row.model)
    rows = [f"{', '.join(named)}: {reason}" for reason, named in models.items()]
    told = [
        f"{claim.text}: {reason}" for claim in comparison.claims if claim.reported is None for reason in claim.reasons
    ]
    return [*told, *rows]


def ratio_words(ratio: Ratio | None) -> str:
    """``1.65 [1.60, 1.71]``."""
    return ABSENT if ratio is None else f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _value(ratio: Ratio | None) -> str:
    return ABSENT if ratio is None else f"{ratio.value:.2f}"


def _points(points: float | None) -> str:
    return ABSENT if points is None else f"{points:+.1f}"


def _plain(number: float | None) -> str:
    return ABSENT if number is None else f"{number:.1f}"


def _factor(row: PaperRatio) -> str:
    """How much larger the ratio is here; ``~`` where the intervals meet, so that it may be the same."""
    if row.reported is None or row.measured is None:
        return ABSENT
    return f"{'~' if meet(row.reported, row.measured) else ''}{row.measured.value / row.reported.value:.2f}"
