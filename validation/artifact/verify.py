"""Verification of one artifact from its manifest and golden set: named checks in order, each with what it saw.

``manifest`` the record can be read · ``file`` the artifact is there, with the size that the manifest says ·
``checksum`` its SHA-256 · ``golden`` the golden set is there, unchanged, plausible, and fits the model · ``contents``
what a reader finds in the file is what the manifest says · ``audit`` only standard operators · ``load`` the runtime
opens it, with the manifest's inputs and outputs · ``parity`` it computes the reference's function ·
``parity-extra`` the same on the user's own inputs.

A file is opened by its runtime only after its audit passed: runtimes may crash on damaged files, and some run what a
hostile file asks for. So a machine that lacks what a reader needs (the package onnx) cannot verify that format.

The exporter has just written, hashed and read back what it verifies: it hands over a ``KnownArtifact``, and the same
checks are made without reading anything again.

What this cannot see: somebody who edits the artifact, the golden set and the manifest so that they agree again. The
chain ends at the manifest. Only the reference closes the gap: with torch and the checkpoint at hand, give a golden set
computed afresh as ``extra``, and the artifact is compared with the network itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from edgevit.errors import EdgevitExportError, MissingDependencyError
from edgevit.records import sha256_file
from export.artifact import AuditResult, FileFacts, Manifest
from export.formats.table import read_artifact
from export.golden import GoldenSet, load_golden
from export.manifest import load_manifest
from export.recipe import Format
from runtimes.sessions.session import Session
from validation.artifact.audit import audit
from validation.artifact.checks import Check, CheckStatus, VerifyReport
from validation.artifact.consistency import content_problems, golden_problems, tensor_problems
from validation.artifact.divergence import Divergence, find_divergence
from validation.artifact.feeding import widened
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare


class SessionOpener(Protocol):
    """Opens an artifact in its own runtime: ``runtimes.sessions.table.open_session``."""

    def __call__(self, path: Path, format: Format, *, threads: int = 1) -> Session:
        """The session; raises what ``open_session`` raises."""
        ...


@dataclass(frozen=True)
class KnownArtifact:
    """An artifact in memory. ``manifest`` has size and SHA-256 from the very file that ``facts`` were read from."""

    manifest: Manifest
    facts: FileFacts
    golden: GoldenSet


def verify_artifact(
    manifest_path: Path,
    *,
    opener: SessionOpener,
    known: KnownArtifact | None = None,
    limits: Limits | None = None,
    extra: GoldenSet | None = None,
    threads: int = 1,
) -> VerifyReport:
    """Verify one artifact.

    Args:
        manifest_path: The artifact's manifest, beside the artifact.
        opener: Opens the artifact in its runtime.
        known: What need not be read from files again; there need be no manifest on disk then.
        limits: What parity must keep, ``Limits()`` when None; the manifest's recipe says for which precision.
        extra: Further inputs with reference outputs (the user's own images); their yardstick is widened to the golden
            set's where that is larger, since few inputs give a small one by chance.
        threads: Threads of the runtime.

    Returns:
        The report; nothing that is wrong with the artifact, its manifest or its golden set raises.
    """
    run = _Run(manifest_path, limits or Limits(), opener, threads, extra, known)
    started = datetime.now(UTC)
    checks: dict[str, Check] = {}
    try:
        for step in STEPS:
            if step.name != "parity-extra" or extra is not None:
                checks[step.name] = _perform(step, run, checks)
    finally:
        if run.session is not None:
            run.session.close()
    return VerifyReport(
        file=run.manifest.file if run.manifest else manifest_path.name,
        manifest=str(manifest_path),
        started_utc=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        format=run.manifest.recipe.format if run.manifest else None,
        checks=tuple(checks.values()),
        audit=run.audit,
        parity=run.parity,
        parity_extra=run.parity_extra,
        divergence=run.divergence,
        shortfalls=run.manifest.shortfalls() if run.manifest else (),
    )


@dataclass
class _Run:
    """One verification under way, filled step by step; a step reads only what the steps that it needs have filled."""

    path: Path
    asked: Limits
    opener: SessionOpener
    threads: int
    extra: GoldenSet | None
    known: KnownArtifact | None
    manifest: Manifest | None = None
    golden: GoldenSet | None = None
    facts: FileFacts | None = None
    session: Session | None = None
    audit: AuditResult | None = None
    parity: ParityReport | None = None
    parity_extra: ParityReport | None = None
    divergence: Divergence | None = None

    @property
    def stated(self) -> Manifest:
        """The manifest, for the steps that need it."""
        assert self.manifest is not None
        return self.manifest

    @property
    def artifact(self) -> Path:
        return self.path.parent / self.stated.file

    @property
    def limits(self) -> Limits:
        return replace(self.asked, precision=self.stated.recipe.precision)


@dataclass(frozen=True)
class _Step:
    """One check: what must have passed before, and the work. The work returns remarks if it has any, or raises."""

    name: str
    needs: tuple[str, ...]
    work: Callable[[_Run], Sequence[str] | None]


class _Failed(Exception):
    """A check failed, with these reasons. Never leaves this module."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


class _Skipped(Exception):
    """A check cannot be made. Never leaves this module."""


def _perform(step: _Step, run: _Run, before: dict[str, Check]) -> Check:
    """Do one step, and turn whatever ends it into a ``Check``."""
    blocking = [name for name in step.needs if before[name].status is not CheckStatus.PASSED]
    if blocking:
        reason = f"not run, because '{blocking[0]}' did not pass"
        return Check(name=step.name, status=CheckStatus.SKIPPED, details=(reason,))
    status, start = CheckStatus.PASSED, time.perf_counter()
    try:
        details = tuple(step.work(run) or ())
    except _Skipped as skipped:
        status, details = CheckStatus.SKIPPED, (str(skipped),)
    except _Failed as failed:
        status, details = CheckStatus.FAILED, failed.reasons
    except MissingDependencyError as error:
        hint = f"; {error.hint}" if error.hint else ""
        status, details = CheckStatus.MISSING, (f"not verified: {error.message}{hint}",)
    except EdgevitExportError as error:
        status, details = CheckStatus.FAILED, (error.message,)
    return Check(name=step.name, status=status, details=details, seconds=time.perf_counter() - start)


def _manifest(run: _Run) -> None:
    run.manifest = run.known.manifest if run.known else load_manifest(run.path)


def _file(run: _Run) -> None:
    if not run.artifact.is_file():
        raise _Failed(f"{run.artifact} does not exist")
    size = run.artifact.stat().st_size
    if size != run.stated.bytes:
        raise _Failed(f"{run.stated.file} must have {run.stated.bytes} bytes, but has {size}")


def _checksum(run: _Run) -> None:
    if run.known is not None:  # its manifest has the SHA-256 of this very file
        return
    expected, seen = run.stated.sha256, sha256_file(run.artifact)
    if seen != expected:
        raise _Failed(
            f"{run.stated.file} must have SHA-256 {expected}, but has {seen}: it is not the file that was exported"
        )


def _golden(run: _Run) -> None:
    said = run.stated.golden
    golden = run.known.golden if run.known else load_golden(run.path.parent / said.file, said)
    if problems := golden_problems(golden, run.stated):
        raise _Failed(*problems)
    run.golden = golden


def _contents(run: _Run) -> None:
    run.facts = run.known.facts if run.known else read_artifact(run.artifact, run.stated.recipe.format)
    if problems := content_problems(run.facts, run.stated):
        raise _Failed(*problems)


def _audit(run: _Run) -> None:
    if run.facts is None:
        raise _Skipped("not run, because the file's own contents could not be read")
    run.audit = audit(run.facts, run.stated.recipe)
    if not run.audit.passed:
        raise _Failed(*run.audit.violations)


def _load(run: _Run) -> None:
    run.session = run.opener(run.artifact, run.stated.recipe.format, threads=run.threads)
    problems = tensor_problems("input", run.stated.inputs, run.session.inputs)
    problems += tensor_problems("output", run.stated.outputs, run.session.outputs)
    if problems:
        raise _Failed(*problems)


def _parity(run: _Run) -> Sequence[str]:
    assert run.session is not None and run.golden is not None
    run.parity = compare(run.session, run.golden, run.limits, inputs=run.stated.inputs)
    return _judged(run, run.session, run.golden, run.parity)


def _parity_extra(run: _Run) -> Sequence[str]:
    assert run.session is not None and run.golden is not None and run.extra is not None
    extra = widened(run.extra, run.golden)
    run.parity_extra = compare(run.session, extra, run.limits, inputs=run.stated.inputs)
    return _judged(run, run.session, extra, run.parity_extra)


def _judged(run: _Run, session: Session, golden: GoldenSet, report: ParityReport) -> Sequence[str]:
    """The warnings of a comparison that passed; one that failed raises, with the place where the outputs part."""
    if report.passed:
        return report.warnings
    worst = report.worst
    seen = f"worst input: {worst.label}, error {worst.max_abs_error:.3g} in '{worst.output}' at batch {worst.batch}"
    place: tuple[str, ...] = ()
    try:
        found = find_divergence(session, golden, report, inputs=run.stated.inputs)
        if found is not None:
            run.divergence = run.divergence or found
            place = (f"where they part: {found.describe()}",)
    except EdgevitExportError as error:
        place = (f"where they part could not be found: {error.message}",)
    raise _Failed(*report.reasons, seen, *place)


STEPS = (
    _Step("manifest", (), _manifest),
    _Step("file", ("manifest",), _file),
    _Step("checksum", ("file",), _checksum),
    _Step("golden", ("manifest",), _golden),
    _Step("contents", ("checksum",), _contents),
    _Step("audit", ("checksum",), _audit),
    _Step("load", ("audit",), _load),
    _Step("parity", ("load", "golden"), _parity),
    _Step("parity-extra", ("load", "golden"), _parity_extra),
)
