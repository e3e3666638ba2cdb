"""``VerifyReport``: what verification found about one artifact, check by check."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from edgevit.records import Record
from export.artifact import AuditResult
from export.recipe import Format
from validation.artifact.divergence import Divergence
from validation.artifact.parity import ParityReport


class CheckStatus(StrEnum):
    """How one check ended. ``missing``: could not run because a package is not installed; that is no pass."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSING = "missing"


class Check(Record):
    """One named check. ``details`` say what was seen: reasons when it failed, warnings when it passed."""

    name: str
    status: CheckStatus
    details: tuple[str, ...] = ()
    seconds: float = 0.0


class VerifyReport(Record):
    """Everything verification found about one artifact.

    ``file`` is the artifact's name (the manifest's, when that cannot be read). ``parity_extra`` is the comparison on
    the user's own inputs. ``shortfalls`` is what the manifest says was not optimised or delegated as asked. A file from
    elsewhere has no ``manifest`` (""), but the ``reference`` that it was held against: an artifact of this tool, or a
    golden set.
    """

    schema_version: Literal[1, 2] = 2
    file: str
    manifest: str
    reference: str | None = None
    started_utc: str
    format: Format | None = None
    checks: tuple[Check, ...]
    audit: AuditResult | None = None
    parity: ParityReport | None = None
    parity_extra: ParityReport | None = None
    divergence: Divergence | None = None
    shortfalls: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True only if the artifact was compared with the reference and no check failed or lacked a package."""
        bad = any(check.status in (CheckStatus.FAILED, CheckStatus.MISSING) for check in self.checks)
        return not bad and self.parity is not None and self.parity.passed

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status is CheckStatus.FAILED)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 a check failed, 3 nothing failed but a package is missing to decide."""
        if self.passed:
            return 0
        missing = any(check.status is CheckStatus.MISSING for check in self.checks)
        return 3 if missing and not self.failed_checks else 1


def exit_code(reports: tuple[VerifyReport, ...] | list[VerifyReport]) -> int:
    """One exit code for several artifacts: a failed verdict outweighs a missing package; no report at all fails."""
    codes = {report.exit_code for report in reports} or {1}
    return 1 if 1 in codes else max(codes)
