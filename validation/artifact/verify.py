"""Verification of one artifact from its manifest and golden set: named checks in order, each with what it saw.

``manifest`` the record can be read · ``file`` the artifact is there, with the size that the manifest says ·
``checksum`` its SHA-256 · ``golden`` the golden set is there, unchanged, plausible, fits the model, and holds the
inputs that are drawn again here · ``contents`` what a reader finds in the file is what the manifest says · ``audit``
only standard operators · ``load`` the runtime opens it, with the manifest's inputs and outputs · ``parity`` it computes
the reference's function · ``parity-extra`` the same on the user's own inputs · ``record`` what the manifest records of
its own proof agrees with itself and with what was seen.

A file is opened by its runtime only after its contents and its audit passed: runtimes may crash on damaged files, and
some run what a hostile file asks for. So a machine that lacks what a reader needs (the package onnx) cannot verify that
format.

The exporter has just written, hashed and read back what it verifies: it hands over a ``KnownArtifact``, and the same
checks are made without reading or drawing anything again.

What this cannot see: somebody who edits the artifact, the golden set and the manifest so that they agree again. The
chain ends at the manifest. Only the reference closes the gap: with torch and the checkpoint at hand, give a golden set
computed afresh as ``extra``, and the artifact is compared with the network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edgevit.records import sha256_file
from export.artifact import AuditResult, FileFacts, Manifest
from export.formats.table import read_artifact
from export.golden import GoldenSet, load_golden
from export.identify import stranger
from export.manifest import SUFFIX, load_manifest, renamed
from export.recipe import Format
from runtimes.sessions.session import Session
from validation.artifact.audit import audit
from validation.artifact.beside_float import delegation_beside
from validation.artifact.checks import Check, CheckStatus, VerifyReport
from validation.artifact.consistency import content_problems, tensor_problems
from validation.artifact.divergence import Divergence
from validation.artifact.explain import explained
from validation.artifact.feeding import widened
from validation.artifact.golden_checks import golden_problems, stimuli_problems
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare
from validation.artifact.record_checks import (
    delegation_difference,
    figure_problems,
    record_problems,
    tool_problems,
)
from validation.artifact.steps import Step, StepFailed, StepSkipped, perform


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
    artifact: Path | None = None,
    known: KnownArtifact | None = None,
    limits: Limits | None = None,
    extra: GoldenSet | Callable[[], GoldenSet] | None = None,
    threads: int = 1,
) -> VerifyReport:
    """Verify one artifact.

    Args:
        manifest_path: The artifact's manifest, beside the artifact.
        opener: Opens the artifact in its runtime.
        artifact: The file to judge, where it is not the one that the manifest names, beside it.
        known: What need not be read from files again; there need be no manifest on disk then.
        limits: What parity must keep, ``Limits()`` when None; the manifest's recipe says for which precision.
        extra: Further inputs with reference outputs (the user's own images), or what makes them, which is called only
            for an artifact that is what its manifest says. Their yardstick is widened to the golden set's where that is
            larger, since few inputs give a small one by chance.
        threads: Threads of the runtime.

    Returns:
        The report; nothing that is wrong with the artifact, its manifest or its golden set raises.

    Raises:
        EdgevitExportError: ``extra`` raises it.
    """
    run = _Run(manifest_path, limits or Limits(), opener, threads, known, artifact)
    started = datetime.now(UTC)
    try:
        checks = _all_steps(run, extra)
    finally:
        if run.session is not None:
            run.session.close()
    return VerifyReport(
        file=_file_name(run),
        manifest=str(manifest_path),
        started_utc=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        format=run.manifest.recipe.format if run.manifest else None,
        checks=checks,
        audit=run.audit,
        parity=run.parity,
        parity_extra=run.parity_extra,
        divergence=run.divergence,
        shortfalls=run.manifest.shortfalls() if run.manifest else (),
    )


def _all_steps(run: _Run, extra: GoldenSet | Callable[[], GoldenSet] | None) -> tuple[Check, ...]:
    checks: dict[str, Check] = {}
    for step in STEPS:
        if step.name == "parity-extra":
            if extra is None:
                continue
            if all(checks[name].status is CheckStatus.PASSED for name in step.needs):
                run.extra = extra() if callable(extra) else extra
        checks[step.name] = perform(step, run, checks)
    return tuple(checks.values())


@dataclass
class _Run:
    """One verification under way, filled step by step; a step reads only what the steps that it needs have filled."""

    path: Path
    asked: Limits
    opener: SessionOpener
    threads: int
    known: KnownArtifact | None
    file: Path | None = None
    manifest: Manifest | None = None
    golden: GoldenSet | None = None
    extra: GoldenSet | None = None
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
        return self.file or self.path.parent / self.stated.file

    @property
    def limits(self) -> Limits:
        return self.asked.of(self.stated.recipe, untrained=self.stated.spec.weights.source == "random")


def _file_name(run: _Run) -> str:
    """The artifact's name for reports: the file's own, or the manifest's where that says none."""
    return run.artifact.name if run.file or run.manifest else run.path.name


def _manifest(run: _Run) -> None:
    run.manifest = run.known.manifest if run.known else load_manifest(run.path)


def _file(run: _Run) -> Sequence[str]:
    run.file = run.file or _found(run)
    said = run.stated
    if not run.file.is_file():
        raise StepFailed(f"{run.file} {stranger(run.file, said.recipe.format)}")
    size = run.file.stat().st_size
    if size != said.bytes:
        cut = "it is cut off" if size < said.bytes else "it is another file"
        seen = stranger(run.file, said.recipe.format)
        raise StepFailed(
            f"{run.file.name} must have {said.bytes} bytes, but has {size}: {f'it {seen}' if seen else cut}"
        )
    if run.file.name == said.file:
        return ()
    return [f"{run.file.name} is called {said.file} in its manifest, {run.path.name}: it is known by its content"]


def _found(run: _Run) -> Path:
    """The artifact beside its manifest: by its name, by its bytes, or as the file that the manifest is named after."""
    said = run.path.parent / run.stated.file
    if said.exists() or said.is_symlink():
        return said
    moved = renamed(run.path.parent, "*", run.stated.sha256, run.stated.bytes)
    namesake = run.path.with_name(run.path.name.removesuffix(SUFFIX))
    return moved or (namesake if namesake.exists() and namesake != run.path else said)


def _checksum(run: _Run) -> None:
    if run.known is not None:  # its manifest has the SHA-256 of this very file
        return
    expected, seen = run.stated.sha256, sha256_file(run.artifact)
    if seen != expected:
        kind = stranger(run.artifact, run.stated.recipe.format)
        raise StepFailed(
            f"{run.artifact.name} must have SHA-256 {expected}, but has {seen}: "
            f"{f'it {kind}' if kind else 'it is not the file that was exported'}"
        )


def _golden(run: _Run) -> Sequence[str]:
    said, remarks = run.stated.golden, list[str]()
    path = run.path.parent / said.file
    if run.known is None and not path.exists() and (moved := renamed(path.parent, "*.npz", said.sha256)):
        remarks = [f"the golden set {moved.name} is called {said.file} in the manifest: it is known by its content"]
        path = moved
    golden = run.known.golden if run.known else load_golden(path, said)
    problems = golden_problems(golden, run.stated)
    if not problems and run.known is None:
        problems = stimuli_problems(golden, run.stated.spec)
    if problems:
        raise StepFailed(*problems)
    run.golden = golden
    return remarks


def _contents(run: _Run) -> None:
    run.facts = run.known.facts if run.known else read_artifact(run.artifact, run.stated.recipe.format)
    if problems := content_problems(run.facts, run.stated):
        raise StepFailed(*problems)


def _audit(run: _Run) -> Sequence[str]:
    if run.facts is None:
        raise StepSkipped("not run, because the file's own contents could not be read")
    run.audit = audit(run.facts, run.stated.recipe, run.stated.quantization)
    if not run.audit.passed:
        raise StepFailed(*run.audit.violations)
    return run.facts.cautions


def _load(run: _Run) -> None:
    run.session = run.opener(run.artifact, run.stated.recipe.format, threads=run.threads)
    problems = tensor_problems("input", run.stated.inputs, run.session.inputs)
    problems += tensor_problems("output", run.stated.outputs, run.session.outputs)
    if problems:
        raise StepFailed(*problems)


def _parity(run: _Run) -> Sequence[str]:
    assert run.session is not None and run.golden is not None
    run.parity = compare(run.session, run.golden, run.limits, inputs=run.stated.inputs)
    return _judged(run, run.session, run.golden, run.parity)


def _parity_extra(run: _Run) -> Sequence[str]:
    assert run.session is not None and run.golden is not None and run.extra is not None
    extra = widened(run.extra, run.golden)
    run.parity_extra = compare(run.session, extra, run.limits.on_photos(), inputs=run.stated.inputs)
    return _judged(run, run.session, extra, run.parity_extra)


def _judged(run: _Run, session: Session, golden: GoldenSet, report: ParityReport) -> Sequence[str]:
    """The warnings of a comparison that passed; one that failed raises, with the place where the outputs part."""
    if report.passed:
        return report.warnings
    reasons, found = explained(session, golden, report, run.stated.inputs)
    run.divergence = run.divergence or found
    raise StepFailed(*reasons)


def _record(run: _Run) -> Sequence[str]:
    slack = run.golden is not None and bool(run.golden.slack)
    problems, remarks = record_problems(run.stated, slack=slack), list[str]()
    if run.facts is not None:
        problems += tool_problems(run.stated, run.facts)
    if run.parity is not None and run.parity.passed and run.stated.parity is not None and run.stated.parity.passed:
        problems += figure_problems(run.stated.parity, run.parity)
    if run.session is not None and (other := delegation_difference(run.stated.delegation, run.session.delegation())):
        (problems if _same_delegate(run.stated, run.session) else remarks).append(other)
    if problems:
        raise StepFailed(*problems)
    return [*remarks, *delegation_beside(run.artifact, run.stated)]


def _same_delegate(manifest: Manifest, session: Session) -> bool:
    """Whether the delegate must take what it took when the manifest was made: the same release, or the file's own."""
    seen = session.delegation()
    fixed = seen is not None and not seen.delegate.endswith(session.runtime)
    return fixed or (manifest.parity is not None and manifest.parity.runtime == session.runtime)


STEPS = (
    Step("manifest", (), _manifest),
    Step("file", ("manifest",), _file),
    Step("checksum", ("file",), _checksum),
    Step("golden", ("manifest",), _golden),
    Step("contents", ("checksum",), _contents),
    Step("audit", ("checksum",), _audit),
    Step("load", ("contents", "audit"), _load),
    Step("parity", ("load", "golden"), _parity),
    Step("parity-extra", ("load", "golden"), _parity_extra),
    Step("record", ("manifest",), _record),
)
