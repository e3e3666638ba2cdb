"""Verification as rows of a table, and as lines of reasons."""

from __future__ import annotations

import msgspec
import pytest
from verify_reports import FAILED, MISSING, PASSED, check, report

from validation.artifact.checks import CheckStatus, VerifyReport
from validation.artifact.tables import VERIFY_COLUMNS, VERIFY_RIGHT, bare_verdict, reason_lines, verdict, verify_rows


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


def test_what_was_compared_on_the_users_images_is_a_row_of_its_own() -> None:
    on_images = msgspec.structs.replace(PASSED, parity_extra=FAILED.parity)
    rows = verify_rows([on_images, MISSING])
    assert [row[0] for row in rows] == [PASSED.file, f"{PASSED.file} on your images", MISSING.file]
    assert rows[1] == (rows[1][0], "failed", *verify_rows([FAILED])[0][2:])
    assert rows[0] == verify_rows([PASSED])[0]


def test_reasons_are_lines_and_long_lists_are_cut() -> None:
    assert reason_lines(PASSED) == ["parity: a remark"]
    assert reason_lines(FAILED)[:2] == ["parity: error 1 on <input>", "parity: worst & last"]
    assert not any("not run" in line for line in reason_lines(FAILED))  # the check before has said why
    many = report(check("contents", CheckStatus.FAILED, *(f"reason {i}" for i in range(9))))
    assert len(reason_lines(many, limit=3)) == 4
    assert reason_lines(many, limit=3)[-1] == "contents: and 6 more"


@pytest.mark.parametrize(("given", "bare"), [(PASSED, "passed"), (FAILED, "failed"), (MISSING, "not verified")])
def test_a_step_ends_in_the_bare_verdict(given: VerifyReport, bare: str) -> None:
    assert bare_verdict(given) == bare


def test_what_was_never_compared_is_not_verified_and_each_failure_is_named() -> None:
    assert verdict(report(check("checksum", CheckStatus.PASSED))) == "not verified: no comparison"
    two = report(check("contents", CheckStatus.FAILED), check("audit", CheckStatus.FAILED))
    assert verdict(two) == "failed: contents, audit"


def test_five_reasons_are_told_and_the_rest_counted() -> None:
    def lines(count: int, status: CheckStatus = CheckStatus.FAILED) -> list[str]:
        return reason_lines(report(check("parity", status, *(f"{i}" for i in range(count)))))

    assert lines(5) == [f"parity: {i}" for i in range(5)]
    assert lines(6) == [*(f"parity: {i}" for i in range(5)), "parity: and 1 more"]
    assert lines(6, CheckStatus.SKIPPED) == []
    assert lines(6, CheckStatus.PASSED) == [], "warnings of a check that passed, where another reason stands"


def test_all_columns_but_names_and_words_are_numbers() -> None:
    assert set(VERIFY_COLUMNS) - set(VERIFY_RIGHT) == {"artifact", "verdict", "runtime"}
