"""The Python API: from a model to verified artifacts, and verification of what stands on disk.

    from edgevit_export import build_model, export, verify

    model, spec = build_model("s")
    report = export(model, spec, ["ptl", "onnx", "tflite"], output="artifacts")
    assert report.passed

``export`` takes any ``nn.Module`` with the ``ModelSpec`` that describes it; nothing behind it knows EdgeViT.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.records import Record
from edgevit.spec import ModelSpec
from edgevit_export.console import Progress
from export.artifact import Delegation, Manifest, ParityResult
from export.build import (
    StagedArtifact,
    StagedGolden,
    export_artifact,
    make_manifest,
    room_needed_bytes,
    stage_golden,
)
from export.formats.table import FORMATS, check_recipe, parse_format, require_export
from export.golden import GoldenSet, make_golden
from export.manifest import find_manifests, manifest_path
from export.quiet import notes_of, quiet
from export.recipe import DEFAULT_OPSET, Format, Recipe
from export.side_process import SideProcess, can_fork
from export.staging import check_output, commit, staging
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session, require_runtime
from validation.artifact.audit import audit
from validation.artifact.parity import Limits
from validation.artifact.verify import verify_artifact
from validation.artifact.verify_report import VerifyReport
from validation.artifact.verify_tables import reason_lines

if TYPE_CHECKING:
    from torch import nn

    from export.program import Program

REJECTED = "rejected"


class Outcome(Record):
    """What became of one format. ``file`` is None when nothing was written; ``verdict`` is in words."""

    recipe: Recipe
    verdict: Literal["passed", "failed", "not verified", "error"]
    exit_code: int
    seconds: float
    file: str | None = None
    bytes: int | None = None
    operators: int | None = None
    delegation: Delegation | None = None
    parity: ParityResult | None = None
    reasons: tuple[str, ...] = ()


class ExportReport(Record):
    """What one export did, format by format."""

    schema_version: Literal[1] = 1
    spec: ModelSpec
    directory: str
    outcomes: tuple[Outcome, ...]

    @property
    def exit_code(self) -> int:
        """0 all well; a format that could not be finished gives its error's code, else 1 for a failed verdict."""
        codes = [outcome.exit_code for outcome in self.outcomes]
        return max(codes, default=0)

    @property
    def passed(self) -> bool:
        """True only if every format was written and passed its verification."""
        return bool(self.outcomes) and all(outcome.verdict == "passed" for outcome in self.outcomes)


@dataclass
class _Job:
    """What all formats of one export share. ``conversions`` are those under way in processes of their own."""

    program: Program
    reference: SideProcess[tuple[StagedGolden, GoldenSet | None]]
    stage: Path
    output: Path
    limits: Limits
    verify: bool
    command: tuple[str, ...]
    progress: Progress
    verbose: bool
    conversions: dict[Format, SideProcess[StagedArtifact]] = field(default_factory=dict)

    @property
    def golden(self) -> StagedGolden:
        return self.reference.result()[0]

    @property
    def extra(self) -> GoldenSet | None:
        return self.reference.result()[1]


def export(
    model: nn.Module,
    spec: ModelSpec,
    formats: Iterable[Recipe | Format | str],
    *,
    output: Path | str = "artifacts",
    verify: bool = True,
    images: Path | None = None,
    atol: float | None = None,
    strict: bool = False,
    command: tuple[str, ...] | None = None,
    progress: Progress | None = None,
    verbose: bool = False,
    side_by_side: bool = False,
) -> ExportReport:
    """Export ``model`` to each format, prove each artifact, and move those that pass into ``output``.

    A format that fails does not stop the others. An artifact that fails its audit or its parity does not take its
    name: it goes to ``output/rejected`` with its manifest, and what stood in ``output`` before stays.

    Args:
        model: Any module in eval mode whose forward takes ``spec.inputs`` and returns ``spec.outputs``.
        spec: The model's contract.
        formats: Recipes, or formats for which the default recipe serves.
        output: Directory of the artifacts.
        verify: Prove each artifact in its own runtime before it is committed.
        images: A directory of photos to compare on as well; they do not go into the golden set.
        atol: Allowed absolute error instead of 8 float32 yardsticks.
        strict: Tighter limits (``validation.artifact.parity.Limits``).
        command: What the manifest names as the command; this process's own by default.
        progress: Where steps are shown; nowhere by default.
        verbose: Let the converters' output through to stderr.
        side_by_side: Use a second core: fork the reference and the slow converters (``export.side_process``).

    Raises:
        UsageError: The request cannot be met (unknown format, unwritable directory, images that cannot be read).
        MissingDependencyError: A converter or runtime is not installed.
        ExportError: The model cannot be captured or evaluated; the disk is full.
    """
    recipes = tuple(_recipe(item) for item in formats)
    output, progress = Path(output), progress or Progress(quiet=True)
    limits = Limits(atol=atol, strict=strict)
    _refuse_idle_limits(limits, images, verify=verify)
    check_request(recipes, output, verify=verify)
    check_output(output, room_needed_bytes(model, len(recipes)))
    with staging(output) as stage, ExitStack() as sides:
        reference = _start_reference(model, spec, images, stage, progress, verbose, side_by_side and can_fork())
        sides.callback(reference.stop)
        with progress.step("capturing the model"), quiet(verbose=verbose):
            from export.program import capture

            program = capture(model, spec)
        job = _Job(program, reference, stage, output, limits, verify, command or tuple(sys.argv), progress, verbose)
        job.conversions = _start_slow(recipes, job, sides) if side_by_side and can_fork() else {}
        slow_last = sorted(recipes, key=lambda recipe: recipe.format in job.conversions)
        done = {recipe.format: _export_one(recipe, job) for recipe in slow_last}
        outcomes = tuple(done[recipe.format] for recipe in recipes)
    return ExportReport(spec=spec, directory=str(output), outcomes=outcomes)


def check_request(recipes: tuple[Recipe, ...], output: Path, *, verify: bool) -> None:
    """Refuse before any work what cannot be finished.

    Raises:
        UsageError: No format, the same format twice, a version that the format cannot be written in, or a directory
            that cannot be written.
        MissingDependencyError: A converter, or with ``verify`` a runtime, is not installed.
    """
    if not recipes:
        raise UsageError(f"no format to export: choose from {', '.join(FORMATS)}")
    names = [recipe.format for recipe in recipes]
    if len(set(names)) != len(names):
        raise UsageError(f"the same format twice in one export: {', '.join(names)}; files of one format share a name")
    for recipe in recipes:
        require_export(recipe.format)
        check_recipe(recipe)
        if verify:
            require_runtime(recipe.format)
    check_output(output, 0)


def _refuse_idle_limits(limits: Limits, images: Path | None, *, verify: bool) -> None:
    """Limits and photos that nothing would be judged by.

    Raises:
        UsageError: They were given, but verification is off.
    """
    given = (("--strict", limits.strict), ("--atol", limits.atol is not None), ("--images", images is not None))
    idle = [option for option, was_given in given if was_given]
    if idle and not verify:
        raise UsageError(
            f"{', '.join(idle)} with --no-verify: nothing would be compared", hint=f"leave {idle[0]} or --no-verify out"
        )


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
        atol: Allowed absolute error instead of 8 float32 yardsticks.
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
    from edgevit_export.workflows.photo_references import PhotoReferences

    if checkpoint is not None and images is None:
        raise UsageError("--checkpoint is only used to compare on --images", hint="add --images DIR")
    progress = progress or Progress(quiet=True)
    references = PhotoReferences(images, checkpoint) if images is not None else None
    reports = []
    for path in _manifests([Path(path) for path in paths] or [Path("artifacts")]):
        with progress.step(f"verifying {path.name.removesuffix('.json')}") as step, quiet(verbose=verbose):
            extra = references.of(path) if references is not None else None
            report = verify_artifact(
                path, opener=open_session, limits=Limits(atol=atol, strict=strict), extra=extra, threads=threads
            )
            step.result = _in_words(report)
        reports.append(report)
    return reports


def _in_words(report: VerifyReport) -> str:
    """How a verification ended, for the line of its step."""
    return {0: "passed", 1: "failed"}.get(report.exit_code, "not verified")


def _manifests(paths: list[Path]) -> tuple[Path, ...]:
    """All manifests, and where they should stand for artifacts in a directory that have none: those must not pass."""
    orphans = [
        manifest_path(file)
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.suffix.removeprefix(".") in list(Format) and file.is_file() and not manifest_path(file).exists()
    ]
    lonely = {path for path in paths if path.is_dir() and any(orphan.parent == path for orphan in orphans)}
    complete = [path for path in paths if path not in lonely and manifest_path(path) not in orphans]
    inside = [
        file
        for path in lonely
        for file in sorted(path.glob("*.json"))
        if file.with_suffix("").suffix[1:] in list(Format)
    ]
    found = find_manifests(complete) if complete else ()
    return tuple(dict.fromkeys([*found, *inside, *orphans]))


def _recipe(item: Recipe | Format | str) -> Recipe:
    """A whole recipe: ONNX has its default opset filled in, so that the manifest says which one was meant."""
    recipe = item if isinstance(item, Recipe) else Recipe(format=parse_format(item))
    if recipe.format is Format.ONNX and recipe.opset is None:
        import msgspec

        return msgspec.structs.replace(recipe, opset=DEFAULT_OPSET)
    return recipe


def _start_reference(
    model: nn.Module,
    spec: ModelSpec,
    images: Path | None,
    stage: Path,
    progress: Progress,
    verbose: bool,
    forked: bool,
) -> SideProcess[tuple[StagedGolden, GoldenSet | None]]:
    """Compute the reference, beside the rest where ``forked``."""
    title = "computing the reference in float64"

    def work() -> tuple[StagedGolden, GoldenSet | None]:
        with quiet(verbose=verbose):
            return _references(model, spec, images, stage)

    if forked:
        progress.note(f"{title} beside the rest")
        return SideProcess(work, stage / "reference", title, forked=True)
    with progress.step(title):
        return SideProcess(work, stage / "reference", title, forked=False)


def _references(
    model: nn.Module, spec: ModelSpec, images: Path | None, stage: Path
) -> tuple[StagedGolden, GoldenSet | None]:
    """The golden set, staged, and one of the user's photos."""
    if images is None:
        return stage_golden(make_golden(model, spec), spec, stage), None
    from export.photos import load_photos

    photos = load_photos(images, spec)
    both = make_golden(model, spec, photos)
    count = len(both) - len(photos.labels)
    return stage_golden(both[:count], spec, stage), both[count:]


def _start_slow(recipes: tuple[Recipe, ...], job: _Job, sides: ExitStack) -> dict[Format, SideProcess[StagedArtifact]]:
    """Start the slow converters in processes of their own."""
    started = {}
    for recipe in (recipe for recipe in recipes if FORMATS[recipe.format].slow):
        job.progress.note(f"{FORMATS[recipe.format].title}: converting beside the rest")
        work = partial(export_artifact, job.program, recipe, job.stage, verbose=job.verbose)
        answer, what = job.stage / f"converted-{recipe.format}", f"converting to {recipe.format}"
        started[recipe.format] = SideProcess(work, answer, what, forked=True)
        sides.callback(started[recipe.format].stop)
    return started


def _export_one(recipe: Recipe, job: _Job) -> Outcome:
    """Convert, audit, verify and commit one format; what goes wrong with it becomes its outcome."""
    start_s = time.perf_counter()
    title = FORMATS[recipe.format].title
    try:
        with job.progress.step(f"{title}: converting"):
            if recipe.format in job.conversions:
                staged = job.conversions[recipe.format].result()
                start_s = time.perf_counter() - staged.seconds
            else:
                staged = export_artifact(job.program, recipe, job.stage, verbose=job.verbose)
        return _prove(staged, job, start_s)
    except EdgevitExportError as error:
        if job.reference.failed:  # no format can be judged: the error is the whole export's
            raise
        reasons = (error.message, *((f"hint: {error.hint}",) if error.hint else ()), *notes_of(error))
        return Outcome(
            recipe=recipe, verdict="error", exit_code=error.exit_code, reasons=reasons,
            seconds=time.perf_counter() - start_s,
        )  # fmt: skip


def _prove(staged: StagedArtifact, job: _Job, start_s: float) -> Outcome:
    """Judge a staged artifact, then commit it to where the verdict says."""
    watch = _Watch()
    if job.reference.running:
        with job.progress.step("waiting for the reference in float64"):
            job.reference.result()
    audited = audit(staged.facts, staged.recipe)
    manifest = make_manifest(staged, job.golden, audit=audited, command=job.command)
    verdict: Literal["passed", "failed", "not verified"] = "not verified"
    reasons: tuple[str, ...] = audited.violations
    if job.verify:
        title = f"{FORMATS[staged.recipe.format].title}: verifying"
        with job.progress.step(title) as step, quiet(verbose=job.verbose):
            draft = manifest_path(staged.path)
            manifest.save(draft)
            report = verify_artifact(draft, opener=watch.open, limits=job.limits, extra=job.extra)
            draft.unlink()
            step.result = _in_words(report)
        verdict = "passed" if report.passed else "failed"
        reasons = tuple(reason_lines(report))
        parity = report.parity.summary() if report.parity else None
        manifest = make_manifest(
            staged, job.golden, audit=audited, command=job.command, parity=parity, delegation=watch.delegation
        )
    elif not audited.passed:
        verdict = "failed"
    return _commit(manifest, staged, job, verdict, reasons, start_s)


def _commit(
    manifest: Manifest,
    staged: StagedArtifact,
    job: _Job,
    verdict: Literal["passed", "failed", "not verified"],
    reasons: tuple[str, ...],
    start_s: float,
) -> Outcome:
    directory = job.output
    if verdict == "failed":
        directory = job.output / REJECTED
        directory.mkdir(exist_ok=True)
        reasons = (*reasons, f"kept for inspection as {directory / manifest.file}; {job.output} is unchanged")
    commit(manifest, staged.path, job.golden.path, directory)
    return Outcome(
        recipe=staged.recipe,
        verdict=verdict,
        exit_code=int(verdict == "failed"),
        seconds=time.perf_counter() - start_s,
        file=str(directory / manifest.file),
        bytes=manifest.bytes,
        operators=staged.facts.operator_count,
        delegation=manifest.delegation,
        parity=manifest.parity,
        reasons=reasons,
    )


@dataclass
class _Watch:
    """Opens sessions, and notes what the delegate took in them."""

    delegation: Delegation | None = field(default=None)

    def open(self, path: Path, format: Format, *, threads: int = 1) -> Session:
        session = open_session(path, format, threads=threads)
        self.delegation = session.delegation()
        return session
