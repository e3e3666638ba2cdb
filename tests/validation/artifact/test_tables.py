"""Verification as rows of a table, and as lines of reasons."""

from __future__ import annotations

import pytest
from verify_reports import FAILED, MISSING, PASSED, check, report

from validation.artifact.checks import CheckStatus, VerifyReport
from validation.artifact.tables import VERIFY_COLUMNS, reason_lines, verdict, verify_rows


@pytest.mark.parametrize(
    ("given", "expected"),
    [(PASSED, "passed"), (FAILED, "failed: parity"), (MISSING, "not verified: load")],
)
def test_verdicts(given: VerifyReport, expected: str) -> None:
    assert verdict(given) == expected


def test_rows_fit_the_columns() -> None:
    rows = verify_rows([PASSED, FAILED, MISSING])
    assert {len(row) for row in rows} == {len(VERIFY_COLUMNS)}
    passed = dict(zip(VERIFY_COLUMNS, rows[0], strict=True))
    assert (passed["inputs"], passed["top-1"], passed["SQNR dB"], passed["non-finite"]) == ("1", "100.0%", "300.0", "0")
    assert dict(zip(VERIFY_COLUMNS, rows[1], strict=True))["max error"] == "5.00e-01"
    assert rows[2][2:] == ("-",) * (len(VERIFY_COLUMNS) - 2)


def test_reasons_are_lines_and_long_lists_are_cut() -> None:
    assert reason_lines(PASSED) == ["parity: a remark"]
    assert reason_lines(FAILED)[:2] == ["parity: error 1 on <input>", "parity: worst & last"]
    assert not any("not run" in line for line in reason_lines(FAILED))  # the check before has said why
    many = report(check("contents", CheckStatus.FAILED, *(f"reason {i}" for i in range(9))))
    assert len(reason_lines(many, limit=3)) == 4
    assert reason_lines(many, limit=3)[-1] == "contents: and 6 more"
