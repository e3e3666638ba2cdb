"""When a verification passed, and its exit code."""

from __future__ import annotations

from verify_reports import FAILED, MISSING, PASSED, check, report

from validation.artifact.checks import Check, CheckStatus, VerifyReport, exit_code


def test_a_report_without_a_comparison_never_passes() -> None:
    assert not report(check("checksum", CheckStatus.PASSED)).passed
    assert report(check("checksum", CheckStatus.PASSED)).exit_code == 1


def test_a_failed_verdict_outweighs_a_missing_package() -> None:
    assert [each.exit_code for each in (PASSED, FAILED, MISSING)] == [0, 1, 3]
    assert exit_code([PASSED, MISSING]) == 3
    assert exit_code([PASSED, MISSING, FAILED]) == 1
    assert exit_code([PASSED]) == 0
    assert exit_code([]) == 1


def test_a_missing_package_is_no_pass_even_with_a_comparison_that_passed() -> None:
    both = report(check("parity", CheckStatus.PASSED), check("contents", CheckStatus.MISSING), compared=PASSED.parity)
    assert (both.passed, both.exit_code) == (False, 3)


def test_a_report_is_stored_whole() -> None:
    for each in (PASSED, FAILED, MISSING):
        assert VerifyReport.from_json(each.to_json()) == each


def test_a_check_that_was_not_made_took_no_time() -> None:
    assert Check(name="load", status=CheckStatus.SKIPPED).seconds == 0.0
    assert [each.name for each in FAILED.failed_checks] == ["parity"]
