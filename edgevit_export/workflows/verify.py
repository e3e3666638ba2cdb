"""Verification of what stands on disk: find the manifests, judge each artifact, compare on photos if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevit.errors import ArtifactError, UsageError
from edgevit_export.console import Progress
from edgevit_export.workflows.photo_references import PhotoReferences
from export.golden import GoldenSet
from export.manifest import find_manifests, load_manifest, manifest_path, manifests_in
from export.quiet import quiet
from export.recipe import Format
from runtimes.sessions.table import open_session
from validation.artifact.checks import VerifyReport
from validation.artifact.limits import Limits
from validation.artifact.tables import bare_verdict
from validation.artifact.verify import verify_artifact


def verify(
    *paths: Path | str,
    images: Path | None = None,
    checkpoint: Path | None = None,
    atol: float | None = None,
    strict: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
    verbose: bool = False,
) -> list[VerifyReport]:
    """Verify artifacts from their manifests and golden sets; torch is needed only for ``images``.

    Args:
        paths: Artifacts, manifests or directories; ``artifacts`` when there are none.
        images: A directory of photos to compare on as well, against the network rebuilt from the manifest.
        checkpoint: With ``images``: the weights that the artifacts were exported from, if they came from a file.
        atol: Allowed absolute error instead of the yardsticks of ``validation.artifact.limits``.
        strict: Tighter limits.
        threads: Threads of each runtime.
        progress: Where steps are shown; nowhere by default.
        verbose: Let the runtimes' output through to stderr.

    Returns:
        One report per artifact. What is wrong with an artifact is in its report and never raises.

    Raises:
        UsageError: No such path, nothing to verify there, or photos that cannot be used.
        CheckpointError: ``checkpoint`` is not the file that the artifacts were exported from.
    """
    if checkpoint is not None and images is None:
        raise UsageError("--checkpoint is only used to compare on --images", hint="add --images DIR")
    progress, limits = progress or Progress(quiet=True), Limits(atol=atol, strict=strict)
    references = PhotoReferences(images, checkpoint) if images is not None else None
    reports = []
    for path in manifests_to_verify([Path(path) for path in paths] or [Path("artifacts")]):
        with progress.step(f"verifying {path.name.removesuffix('.json')}") as step, quiet(verbose=verbose):
            extra = _photos(path, references)
            report = verify_artifact(path, opener=open_session, limits=limits, extra=extra, threads=threads)
            step.result = bare_verdict(report)
        reports.append(report)
    return reports


def _photos(path: Path, references: PhotoReferences | None) -> GoldenSet | None:
    """The photos for the artifact of a manifest; None where that cannot be read, which verification itself reports."""
    if references is None:
        return None
    try:
        spec = load_manifest(path).spec
    except ArtifactError:
        return None
    return references.of(spec)


def manifests_to_verify(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The manifests at ``paths``, and where one should stand for each artifact that has none: that must not pass.

    Raises:
        UsageError: No such path, or a directory that holds neither manifest nor artifact.
    """
    found: dict[Path, None] = {}
    for path in paths:
        missing = [manifest_path(file) for file in _artifacts(path) if not manifest_path(file).exists()]
        if not missing:
            found.update(dict.fromkeys(find_manifests([path])))
        elif path.is_dir():
            found.update(dict.fromkeys(manifests_in(path)))
        found.update(dict.fromkeys(missing))
    return tuple(found)


def _artifacts(path: Path) -> list[Path]:
    """The artifacts directly in a directory, or the one that ``path`` is, by their suffix."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix.removeprefix(".") in list(Format) and file.is_file()]
