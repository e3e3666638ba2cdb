"""One export: from a model to artifacts that were proven before they took their names, one format after the other."""

from __future__ import annotations

import dataclasses
import fcntl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec.structs import replace

from edgevit.errors import ArtifactError, EdgevitExportError
from edgevit.records import Record
from edgevit.spec import ModelSpec
from edgevit_export.console import Progress
from edgevit_export.workflows.export_request import (
    GivenImages,
    check_network,
    check_request,
    read_images,
    refuse_idle_limits,
    whole_recipes,
    with_calibration,
)
from export.artifact import Delegation, Manifest, ParityResult, PassLog
from export.build import StagedArtifact, StagedGolden, export_artifact, make_manifest, room_needed_bytes, stage_golden
from export.formats.table import FORMATS
from export.golden import GoldenSet, load_golden, make_golden
from export.int8.record import QuantizationRecord
from export.manifest import load_manifest, manifest_path
from export.quantization.calibration import CalibrationImages
from export.quiet import notes_of, quiet
from export.recipe import Format, Precision, Recipe
from export.side_process import SideProcess, can_fork
from export.staging import commit, is_full, staging, translate
from runtimes.sessions.ptl_elsewhere import open_to_prove
from runtimes.sessions.session import Session
from validation.artifact.audit import audit
from validation.artifact.beside_float import delegation_beside
from validation.artifact.limits import Limits
from validation.artifact.tables import bare_verdict, reason_lines
from validation.artifact.verify import KnownArtifact, verify_artifact

if TYPE_CHECKING:
    from torch import nn

    from export.program import Program
    from export.stimuli import Samples

REJECTED = "rejected"
_ONE_AT_A_TIME = threading.RLock()
"""Capture, float64 and the console's streams belong to the whole process: a second thread's export waits."""

Converted = TypeVar("Converted")
Verdict = Literal["passed", "failed", "not verified", "error"]


class FormatOutcome(Record):
    """What became of one format. ``file`` is None when nothing was written; ``verdict`` is in words.

    ``reasons`` are those of the verdict; ``shortfalls`` say what was not optimised or delegated as asked, and why.
    """

    recipe: Recipe
    verdict: Verdict
    exit_code: int
    seconds: float
    file: str | None = None
    bytes: int | None = None
    operators: int | None = None
    delegation: Delegation | None = None
    parity: ParityResult | None = None
    passes: tuple[PassLog, ...] = ()
    reasons: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()
    quantization: QuantizationRecord | None = None


class ExportReport(Record):
    """What one export did, format by format."""

    schema_version: Literal[3] = 3
    spec: ModelSpec
    directory: str
    outcomes: tuple[FormatOutcome, ...]

    @property
    def exit_code(self) -> int:
        """0 all well; a format that could not be finished gives its error's code, else 1 for a failed verdict."""
        return max((outcome.exit_code for outcome in self.outcomes), default=0)

    @property
    def passed(self) -> bool:
        """True only if every format was written and passed its verification."""
        return bool(self.outcomes) and all(outcome.verdict == "passed" for outcome in self.outcomes)


@dataclass(frozen=True)
class _References:
    """The golden set as staged, and the reference of the user's own photos."""

    golden: StagedGolden
    photos: GoldenSet | None


@dataclass(frozen=True)
class _How:
    """Where the artifacts go, and how they are judged and told of."""

    output: Path
    limits: Limits
    verify: bool
    command: tuple[str, ...]
    verbose: bool


@dataclass
class _Job:
    """What all formats of one export share. ``conversions`` are those under way in processes of their own."""

    program: Program
    references: SideProcess[_References]
    stage: Path
    how: _How
    progress: Progress
    calibration: CalibrationImages | None = None
    conversions: dict[Recipe, SideProcess[StagedArtifact]] = field(default_factory=dict)

    @cached_property
    def golden(self) -> GoldenSet:
        """The golden set as a user will read it: from its file, once for all formats."""
        staged = self.references.result().golden
        return load_golden(staged.path, staged.reference)

    def golden_of(self, staged: StagedArtifact) -> tuple[StagedGolden, GoldenSet]:
        """The golden set of one artifact: that of all, with what torch answers where another precision rounds."""
        if not staged.rounded:
            return self.references.result().golden, self.golden
        golden = dataclasses.replace(self.golden, rounded=staged.rounded)
        written = stage_golden(golden, staged.spec, self.stage)
        return written, load_golden(written.path, written.reference)


def export(
    model: nn.Module,
    spec: ModelSpec,
    formats: Iterable[Recipe | Format | str] | Recipe | str,
    *,
    output: Path | str = "artifacts",
    verify: bool = True,
    images: Path | str | None = None,
    calibration_data: Path | str | CalibrationImages | None = None,
    atol: float | None = None,
    strict: bool = False,
    command: tuple[str, ...] | None = None,
    progress: Progress | None = None,
    verbose: bool = False,
    side_by_side: bool = False,
) -> ExportReport:
    """Export ``model`` to each format, prove each artifact, and move those that pass into ``output``.

    A format that fails does not stop the others; what fails its audit or parity goes to ``output/rejected`` instead.

    Args:
        model: Any module in eval mode whose forward takes ``spec.inputs`` and returns ``spec.outputs``.
        spec: The model's contract.
        formats: Recipes, or formats for which the default recipe serves; one of them, or ``"onnx,tflite"``, does too.
        output: Directory of the artifacts.
        verify: Prove each artifact in its own runtime before it is committed.
        images: A directory of photos to compare on as well; they do not go into the golden set.
        calibration_data: A directory of photos or an ``.npz`` (``export.quantization.calibration``) that the ranges of
            int8 recipes are taken on, which makes them static.
        atol: Allowed absolute error instead of the yardsticks of ``validation.artifact.limits``.
        strict: Tighter limits.
        command: What the manifest names as the command; this process's own by default.
        progress: Where steps are shown; nowhere by default.
        verbose: Let the converters' output through to stderr.
        side_by_side: Use a second core: fork the reference and the slow converters (``export.side_process``).

    Raises:
        UsageError: The request cannot be met (unknown format, unwritable directory, images that cannot be read).
        MissingDependencyError: A converter or runtime is not installed.
        ExportError: The model cannot be captured or evaluated; the disk is full.
    """
    how = _How(Path(output), Limits(atol=atol, strict=strict), verify, command or tuple(sys.argv), verbose)
    recipes, progress = whole_recipes(formats), progress or Progress(quiet=True)
    refuse_idle_limits(how.limits, images, verify=verify)
    check_network(model, spec)
    room, calibrated = room_needed_bytes(model, len(recipes)), calibration_data is not None
    check_request(recipes, how.output, verify=verify, calibrated=calibrated, needed_bytes=room)
    given = read_images(images, calibration_data, spec, progress.note)
    return _export(model, spec, with_calibration(recipes, given.calibration), given, how, progress, side_by_side)


def _export(
    model: nn.Module,
    spec: ModelSpec,
    recipes: tuple[Recipe, ...],
    given: GivenImages,
    how: _How,
    progress: Progress,
    side_by_side: bool,
) -> ExportReport:
    """``export`` of a request that can be met."""
    forked = side_by_side and can_fork()
    with _ONE_AT_A_TIME, staging(how.output) as stage, ExitStack() as sides:
        work = partial(_references, model, spec, given.photos, stage, verbose=how.verbose)
        references = _start_references(work, stage / "reference", progress, sides, forked=forked)
        program = _captured(model, spec, progress, verbose=how.verbose)
        job = _Job(program, references, stage, how, progress, given.calibration)
        outcomes = _export_all(recipes, job, sides, forked=forked)
    return ExportReport(spec=spec, directory=str(how.output), outcomes=outcomes)


def _start_references(
    work: Callable[[], _References], answer: Path, progress: Progress, sides: ExitStack, *, forked: bool
) -> SideProcess[_References]:
    """Compute the references; where ``forked``, beside the rest until ``sides`` ends."""
    title = "computing the reference in float64"
    if not forked:
        with progress.step(title):
            return SideProcess(work, answer, title, forked=False)
    progress.note(f"{title} beside the rest")
    started = SideProcess(work, answer, title, forked=True)
    sides.callback(started.stop)
    return started


def _references(
    model: nn.Module, spec: ModelSpec, photos: Samples | None, stage: Path, *, verbose: bool
) -> _References:
    """Compute the golden set and stage it; the answers to the user's photos stay in memory."""
    with quiet(verbose=verbose):
        if photos is None:
            return _References(stage_golden(make_golden(model, spec), spec, stage), None)
        both = make_golden(model, spec, photos)
        count = len(both) - len(photos.labels)
        return _References(stage_golden(both[:count], spec, stage), both[count:])


def _captured(model: nn.Module, spec: ModelSpec, progress: Progress, *, verbose: bool) -> Program:
    from export.program import capture

    with progress.step("capturing the model"), quiet(verbose=verbose):
        return capture(model, spec)


def _start_slow(recipes: tuple[Recipe, ...], job: _Job, sides: ExitStack) -> dict[Recipe, SideProcess[StagedArtifact]]:
    """Start the slow converters in processes of their own, which take turns."""
    started = {}
    for recipe in (recipe for recipe in recipes if FORMATS[recipe.format].slow):
        job.progress.note(f"{_title(recipe)}: converting beside the rest")
        convert = partial(_convert, recipe, job)
        work = partial(_in_turn, job.stage / "converting", convert)
        answer, what = job.stage / f"converted-{recipe.file_name('model')}", f"converting to {recipe.format}"
        started[recipe] = SideProcess(work, answer, what, forked=True)
        sides.callback(started[recipe].stop)
    return started


def _title(recipe: Recipe) -> str:
    """``TFLite``, ``TFLite int8``."""
    return FORMATS[recipe.format].title + recipe.title.removeprefix(recipe.format)


def _convert(recipe: Recipe, job: _Job) -> StagedArtifact:
    return export_artifact(job.program, recipe, job.stage, calibration=job.calibration, verbose=job.how.verbose)


def _in_turn(turn: Path, convert: Callable[[], Converted]) -> Converted:
    """Convert when no other process of this export holds ``turn``.

    Two slow converters beside the rest held 1.55 GB and more for EdgeViT-S, beyond the 1.5 GB that an export may take.
    All are forked early nevertheless, before runtimes start threads, which a fork would lose.
    """
    with turn.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return convert()


def _export_all(recipes: tuple[Recipe, ...], job: _Job, sides: ExitStack, *, forked: bool) -> tuple[FormatOutcome, ...]:
    """One format after the other, those that are converted beside the rest last; outcomes in the order asked for."""
    job.conversions = _start_slow(recipes, job, sides) if forked else {}
    precisions = list(Precision)  # float32 first: the others are compared with its delegation
    slow_last = sorted(recipes, key=lambda each: (each in job.conversions, precisions.index(each.precision)))
    done = {recipe: _export_one(recipe, job) for recipe in slow_last}
    return tuple(done[recipe] for recipe in recipes)


def _export_one(recipe: Recipe, job: _Job) -> FormatOutcome:
    """Convert, audit, verify and commit one format; what goes wrong with it becomes its outcome."""
    start_s = time.perf_counter()
    try:
        with job.progress.step(f"{_title(recipe)}: converting"):
            if recipe in job.conversions:
                staged = job.conversions[recipe].result()
                start_s = time.perf_counter() - staged.seconds
            else:
                staged = _convert(recipe, job)
        return _prove(staged, job, start_s)
    except (EdgevitExportError, OSError) as raised:
        if job.references.failed or (isinstance(raised, OSError) and not is_full(raised)):
            raise  # no format can be judged: the error is the whole export's
        error = translate(raised, job.how.output) if isinstance(raised, OSError) else raised
        reasons = (error.message, *((f"hint: {error.hint}",) if error.hint else ()), *notes_of(raised))
        return FormatOutcome(
            recipe=recipe, verdict="error", exit_code=error.exit_code, reasons=reasons,
            seconds=time.perf_counter() - start_s,
        )  # fmt: skip


def _prove(staged: StagedArtifact, job: _Job, start_s: float) -> FormatOutcome:
    """Judge a staged artifact, then commit it to where the verdict says."""
    if job.references.running:
        with job.progress.step("waiting for the reference in float64"):
            job.references.result()
    audited = audit(staged.facts, staged.recipe, staged.quantization)
    beside, golden = job.golden_of(staged)
    manifest = make_manifest(staged, beside, audit=audited, command=job.how.command)
    if not job.how.verify:
        verdict: Verdict = "not verified" if audited.passed else "failed"
        return _commit(manifest, staged, beside.path, job, verdict, audited.violations, start_s)
    taken: list[Delegation | None] = []

    def opener(path: Path, format: Format, *, threads: int = 1) -> Session:
        session = open_to_prove(path, format, threads=threads)
        taken.append(session.delegation())
        return session

    with job.progress.step(f"{_title(staged.recipe)}: verifying") as step, quiet(verbose=job.how.verbose):
        report = verify_artifact(
            manifest_path(staged.path),
            opener=opener,
            known=KnownArtifact(manifest, staged.facts, golden),
            limits=job.how.limits,
            extra=job.references.result().photos,
        )
        step.result = bare_verdict(report)
    parity = report.parity.summary() if report.parity else None
    manifest = replace(manifest, parity=parity, delegation=taken[-1] if taken else None)
    verdict = "passed" if report.passed else "failed"
    return _commit(manifest, staged, beside.path, job, verdict, tuple(reason_lines(report)), start_s)


def _replaced(file: Path, spec: ModelSpec) -> str | None:
    """What is told where ``file`` is another network's, or has other weights: its name says neither."""
    try:
        old = load_manifest(manifest_path(file)).spec
    except ArtifactError:
        return None
    if (old.variant, old.weights, old.options) == (spec.variant, spec.weights, spec.options):
        return None
    return f"{file} replaces that of {old.variant} with weights {old.weights.describe()}"


def _commit(
    manifest: Manifest,
    staged: StagedArtifact,
    golden: Path,
    job: _Job,
    verdict: Verdict,
    reasons: tuple[str, ...],
    start_s: float,
) -> FormatOutcome:
    """Move the files to where the verdict says: what failed is kept apart, and nothing is replaced by it."""
    directory = job.how.output
    if verdict == "failed":
        directory = job.how.output / REJECTED
        final = job.how.output / manifest.file
        stands = "is as it was" if final.exists() else "was not written"
        reasons = (*reasons, f"kept for inspection as {directory / manifest.file}; {final} {stands}")
    if (replaced := _replaced(directory / manifest.file, manifest.spec)) is not None:
        job.progress.note(replaced)
    commit(manifest, staged.path, golden, directory)
    return FormatOutcome(
        recipe=staged.recipe,
        verdict=verdict,
        exit_code=int(verdict == "failed"),
        seconds=time.perf_counter() - start_s,
        file=str(directory / manifest.file),
        bytes=manifest.bytes,
        operators=staged.facts.operator_count,
        delegation=manifest.delegation,
        parity=manifest.parity,
        passes=manifest.passes,
        reasons=reasons,
        shortfalls=(*manifest.shortfalls(), *delegation_beside(directory / manifest.file, manifest)),
        quantization=manifest.quantization,
    )
