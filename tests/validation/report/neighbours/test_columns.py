"""The comparison as text."""

from __future__ import annotations

import msgspec
from paper_records import COMPARISON

from validation.report.neighbours.columns import (
    brief_ratio_columns,
    claim_columns,
    comparison_reasons,
    ratio_columns,
    ratio_words,
)
from validation.report.tables import Column


def cells(columns: list[Column], title: str) -> tuple[str, ...]:
    return next(column.cells for column in columns if column.title == title)


def test_claims_with_both_ratios_and_the_verdict() -> None:
    columns = claim_columns(COMPARISON)
    assert cells(columns, "there") == ("2.00", "-", "2.00")
    assert cells(columns, "here") == ("0.50", "-", "-")
    assert cells(columns, "top-1") == ("+5.4", "-", "-")
    assert cells(columns, "verdict") == ("does not hold", "not decided", "not measured")


def test_ratios_with_their_intervals_and_one_over_the_other() -> None:
    columns = ratio_columns(COMPARISON)
    assert cells(columns, "ratio reported") == ("-", "2.00 [1.90, 2.10]", "-", "2.00 [1.90, 2.10]")
    assert cells(columns, "ratio here") == ("-", "0.50 [0.45, 0.55]", "1.50 [1.40, 1.60]", "2.20 [2.05, 2.30]")
    assert cells(columns, "here / reported") == ("-", "0.25", "-", "~1.10")
    assert cells(columns, "order") == ("-", "does not hold", "-", "holds")
    assert cells(columns, "top-1 % reported") == ("74.4", "69.0", "-", "-")


def test_the_brief_table_fits_on_a_console() -> None:
    columns = brief_ratio_columns(COMPARISON)
    widths = [max(map(len, (*column.title.split("\n"), *column.cells))) for column in columns]
    assert sum(widths) + 2 * (len(widths) - 1) <= 80


def test_reasons_are_told_once_and_those_of_pairs_with_their_network() -> None:
    assert comparison_reasons(COMPARISON) == ["no network is faster: C is as fast", "B: not measured in turns"]
    first, *others = COMPARISON.rows
    alike = [msgspec.structs.replace(row, reasons=("no record",)) for row in others]
    told = comparison_reasons(msgspec.structs.replace(COMPARISON, rows=(first, *alike)))
    assert told[1:] == ["B, C, D: no record"]
    assert ratio_words(None) == "-"
