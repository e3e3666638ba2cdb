"""What is told of a comparison that failed: the reasons, the worst input, and the place where the outputs part."""

from __future__ import annotations

from edgevit.errors import EdgevitExportError
from edgevit.spec import TensorSpec
from export.golden import GoldenSet
from runtimes.sessions.session import Session
from validation.artifact.divergence import Divergence, find_divergence
from validation.artifact.parity import ParityReport


def explained(
    session: Session, golden: GoldenSet, report: ParityReport, inputs: tuple[TensorSpec, ...]
) -> tuple[tuple[str, ...], Divergence | None]:
    """Reasons in words, and the divergence where one was found.

    Args:
        session: The opened artifact.
        golden: What it was compared with.
        report: The comparison; it failed.
        inputs: As for ``validation.artifact.parity.compare``.
    """
    worst = report.worst
    seen = f"worst input: {worst.label}, error {worst.max_abs_error:.3g} in '{worst.output}' at batch {worst.batch}"
    try:
        found = find_divergence(session, golden, report, inputs=inputs)
    except EdgevitExportError as error:
        return (*report.reasons, seen, f"where they part could not be found: {error.message}"), None
    place = (f"where they part: {found.describe()}",) if found else ()
    return (*report.reasons, seen, *place), found
