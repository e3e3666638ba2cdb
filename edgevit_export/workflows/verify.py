"""Verification of what stands on disk: find the manifests, judge each artifact, compare on photos if wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from edgevit.errors import ArtifactError, UsageError
from edgevit_export.console import Progress
from edgevit_export.workflows.photo_references import PhotoReferences, takes_checkpoint
from export.formats.table import format_of
from export.golden import GoldenSet
from export.manifest import (
    SUFFIX,
    find_manifests,
    load_manifest,
    manifest_of_content,
    manifest_path,
    manifests_in,
)
from export.quantization.calibration import refuse_calibrated_on
from export.quiet import quiet
from export.recipe import Format
from export.stimuli import Samples
from runtimes.sessions.ptl_elsewhere import open_to_prove
from validation.artifact.checks import VerifyReport
from validation.artifact.foreign import verify_foreign
from validation.artifact.limits import Limits
from validation.artifact.reference import load_reference
from validation.artifact.tables import bare_verdict
from validation.artifact.verify import verify_artifact


def verify(
    *paths: Path | str,
    images: Path | str | None = None,
    checkpoint: Path | str | None = None,
    module: str | None = None,
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
        module: With ``images``: the code that the network is from (``file.py:factory``), if it is your own; it is run.
        atol: Allowed absolute error instead of the yardsticks of ``validation.artifact.limits``.
        strict: Tighter limits.
        threads: Threads of each runtime.
        progress: Where steps are shown; nowhere by default.
        verbose: Let the runtimes' output through to stderr.

    Returns:
        One report per artifact. What is wrong with an artifact is in its report and never raises.

    Raises:
        UsageError: No such path, nothing to verify there, photos that cannot be used, or a ``checkpoint`` for nothing.
        CheckpointError: ``checkpoint`` is not the file that the artifacts were exported from.
    """
    for option, value in (("--checkpoint", checkpoint), ("--module", module)):
        if value is not None and images is None:
            raise UsageError(f"{option} is only used to compare on --images", hint="add --images DIR")
    progress, limits = progress or Progress(quiet=True), Limits(atol=atol, strict=strict)
    references = _references(images, checkpoint, module, progress)
    found = targets([Path(path) for path in paths] or [Path("artifacts")])
    if checkpoint is not None:
        _refuse_idle_checkpoint([path for path, _ in found])
    reports = []
    for path, artifact in found:
        name = artifact.name if artifact else path.name.removesuffix(SUFFIX)
        with progress.step(f"verifying {name}") as step, quiet(verbose=verbose):
            extra = None if references is None else partial(_photos, path, references)
            report = verify_artifact(
                path, opener=open_to_prove, artifact=artifact, limits=limits, extra=extra, threads=threads
            )
            step.result = bare_verdict(report)
        reports.append(report)
    return reports


def verify_against(
    *paths: Path | str,
    reference: Path | str,
    names: Mapping[str, str] | None = None,
    atol: float | None = None,
    strict: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
    verbose: bool = False,
) -> list[VerifyReport]:
    """Hold files from elsewhere (another converter's), which need no manifest, against a reference.

    Args:
        paths: Files, or directories of them.
        reference: An artifact of this tool with its manifest, whose golden inputs, answers and yardsticks are used, or
            a golden set (``.npz``; see ``export.plain_golden``).
        names: The reference's names of inputs and outputs by the files', where names and shapes do not tell.
        atol: Allowed absolute error instead of yardsticks; needed where the reference has none.
        strict: Tighter limits.
        threads: Threads of each runtime.
        progress: Where steps are shown; nowhere by default.
        verbose: Let the runtimes' output through to stderr.

    Returns:
        One report per file. What is wrong with a file is in its report and never raises.

    Raises:
        UsageError: No such path, or one without a file of a known format; a reference without a yardstick.
        ArtifactError: The reference cannot be used.
    """
    progress, limits = progress or Progress(quiet=True), Limits(atol=atol, strict=strict)
    files = [(file, format_of(file)) for path in paths for file in _foreign_files(Path(path))]
    with progress.step(f"reading the reference {Path(reference).name}"):
        held_against = load_reference(Path(reference))
    held_against.limits(limits)
    reports = []
    for file, format in files:
        with progress.step(f"verifying {file.name}") as step, quiet(verbose=verbose):
            report = verify_foreign(
                file, format, held_against, opener=open_to_prove, limits=limits, names=names, threads=threads
            )
            step.result = bare_verdict(report)
        reports.append(report)
    return reports


def _references(
    images: Path | str | None, checkpoint: Path | str | None, module: str | None, progress: Progress
) -> PhotoReferences | None:
    """What the photos are compared with, if there are photos."""
    if images is None:
        return None
    return PhotoReferences(Path(images), None if checkpoint is None else Path(checkpoint), progress.note, module)


def _refuse_idle_checkpoint(manifests: Sequence[Path]) -> None:
    """Refuse a weights file that no artifact came from; what cannot be read is told as that artifact's fault."""
    specs = []
    for path in manifests:
        with suppress(ArtifactError):
            specs.append(load_manifest(path).spec)
    if specs and not any(map(takes_checkpoint, specs)):
        first = f"{specs[0].name}: {specs[0].weights.describe()}"
        raise UsageError(f"--checkpoint: no artifact here came from a weights file ({first})", hint="leave it out")


def _foreign_files(path: Path) -> list[Path]:
    files = _artifacts(path) if path.is_dir() else [path]
    if not files or not (path.exists() or path.is_symlink()):
        raise UsageError(f"{path}: no such file" if not path.is_dir() else f"no artifact in {path}")
    return files


def _photos(path: Path, references: PhotoReferences) -> GoldenSet:
    """The photos for an artifact that is what its manifest says."""
    manifest = load_manifest(path)
    photos = references.of(manifest.spec, manifest.bytes)
    if manifest.quantization is not None:
        used = manifest.quantization.images
        refuse_calibrated_on(used, Samples(photos.labels, photos.inputs), f"--images for {manifest.file}")
    return photos


def targets(paths: Sequence[Path]) -> list[tuple[Path, Path | None]]:
    """The manifests at ``paths``, each with the file to judge where that is not the one that it names.

    An artifact without a manifest of its own may be known by its content to that of another name beside it; where none
    knows it, the manifest that it should have stands for it: that must not pass.

    Raises:
        UsageError: No such path, or a directory that holds neither manifest nor artifact.
    """
    found: dict[tuple[Path, Path | None], None] = {}
    for path in paths:
        lonely = [file for file in _artifacts(path) if not manifest_path(file).exists()]
        if not lonely:
            found.update(dict.fromkeys((manifest, None) for manifest in find_manifests([path])))
        elif path.is_dir():
            found.update(dict.fromkeys((manifest, None) for manifest in manifests_in(path)))
        found.update(dict.fromkeys(_known_or_not(file) for file in lonely))
    return list(found)


def _known_or_not(file: Path) -> tuple[Path, Path | None]:
    """The target of an artifact without a manifest of its own; a manifest whose file is gone finds this one itself."""
    known = manifest_of_content(file)
    if known is None:
        return manifest_path(file), None
    return known, file if (file.parent / load_manifest(known).file).exists() else None


def _artifacts(path: Path) -> list[Path]:
    """The artifacts directly in a directory, or the one that ``path`` is, by their suffix."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix.removeprefix(".") in list(Format) and file.is_file()]
