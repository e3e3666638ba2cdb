"""What a report shows: results, manifests, stated accuracies and the paper's figures, put together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from edgevit.errors import ArtifactError, EdgevitExportError, UsageError, unknown_choice
from edgevit.network.complexity import complexity
from edgevit.network.describe import ModelRequest
from edgevit.paper import paper_tables
from edgevit.rebuild import configuration_of
from edgevit.spec import ModelSpec
from export.artifact import Manifest
from export.recipe import Format
from runtimes.bench.record import now_utc
from validation.report.accuracy import AccuracyBook, read_accuracies, stated_on_command_line
from validation.report.entries import ModelFacts
from validation.report.measured import measured_report
from validation.report.paper import paper_beside, paper_report_tables
from validation.report.results import Results, read_results
from validation.report.rows import ReportData, ReportTable

DEFAULT_RESULTS = Path("results")
DEFAULT_ARTIFACTS = Path("artifacts")


def gather_paper(title: str | None = None) -> ReportData:
    """The paper's own figures and nothing else."""
    return ReportData(
        title=title or "EdgeViT: the paper's figures",
        created_utc=now_utc(),
        tool=_tool(),
        sources=(paper_tables().source,),
        tables=paper_report_tables(),
    )


def gather_results(
    results: Sequence[Path],
    *,
    accuracy: Sequence[str] = (),
    artifacts: Sequence[Path] = (),
    paper: bool | None = None,
    title: str | None = None,
) -> ReportData:
    """What was measured, with what is known of the models beside it.

    Args:
        results: Records, energy reports, or directories of them.
        accuracy: ``NAME=PERCENT``, or files of accuracies.
        artifacts: Manifests, or directories of them, for the models' size and cost; by default ``artifacts`` and the
            directories among ``results``.
        paper: Whether to add all the paper's tables; None adds those that stand beside a measured one.
        title: Of the report.

    Raises:
        UsageError: No results, or an accuracy for a model that is not there.
        ArtifactError: A file that was named itself cannot be read.
    """
    found = read_results(results)
    book = read_book(accuracy)
    made = measured_report(found, book, _facts(artifacts, found))
    notes = [*made.notes, *book.withheld_words(), *_unused_notes(book, found)]
    if not any(row.accuracy for table in made.tables for row in table.rows):
        notes.append("no accuracy is stated, so there are no fronts and plots: --accuracy NAME=PERCENT")
    if silent := [row.artifact for row in made.artifacts if row.operators is None]:
        notes.append(
            f"no manifest of {', '.join(silent)}: --artifacts DIRECTORY tells operators, delegation and parity"
        )
    tables, beside = _with_paper(made.tables, paper)
    return ReportData(
        title=title or "Measured on device",
        created_utc=now_utc(),
        tool=_tool(),
        sources=tuple(str(path) for path in found.sources),
        notes=tuple(notes),
        problems=tuple(found.problems),
        rankings=tuple(made.rankings),
        artifacts=made.artifacts,
        comparisons=() if paper is False else made.comparisons,
        tables=tuple(tables),
        paper=beside,
    )


def _tool() -> str:
    return f"edgevit-export {version('edgevit-export')}"


def read_book(values: Sequence[str]) -> AccuracyBook:
    """Files of accuracies and ``NAME=PERCENT`` as one book; what stands on the command line itself wins.

    Raises:
        UsageError: Neither a file nor NAME=PERCENT, or a file that cannot be read.
    """
    book = AccuracyBook()
    files = [value for value in values if Path(value).is_file() or "=" not in value]
    for value in files:
        book.add(read_accuracies(Path(value)))
    book.add(stated_on_command_line(value) for value in values if value not in files)
    return book


def _unused_notes(book: AccuracyBook, found: Results) -> list[str]:
    """An accuracy given by hand for a model that is not there is a mistake; one in a file may be for other results."""
    names = sorted({run.artifact.name for run in found.runs})
    for entry in book.unused():
        if entry.origin == "--accuracy":
            raise unknown_choice("artifact in --accuracy", entry.pattern, names)
    return [f"{entry.origin}: '{entry.pattern}' is not among the results" for entry in book.unused()]


def _facts(artifacts: Sequence[Path], found: Results) -> dict[str, ModelFacts]:
    """What the manifests say, by SHA-256 of the artifacts."""
    for path in artifacts:
        if not path.exists():
            raise UsageError(f"--artifacts {path}: no such directory", hint=f"--artifacts {DEFAULT_ARTIFACTS}")
    facts: dict[str, ModelFacts] = {}
    for place in artifacts or (DEFAULT_ARTIFACTS, *(path for path in found.sources if path.is_dir())):
        manifests = [place] if place.is_file() else [p for form in Format for p in place.rglob(f"*.{form}.json")]
        for path in manifests:
            try:
                manifest = Manifest.load(path)
            except ArtifactError:
                if path in artifacts:
                    raise
                continue  # a JSON file of that name that is no manifest
            facts[manifest.sha256] = facts_of_manifest(manifest)
    return facts


def facts_of_manifest(manifest: Manifest) -> ModelFacts:
    """What a manifest says of its file and its model; size and cost are known for EdgeViTs."""
    spec = manifest.spec
    parameters, multiply_adds = _size_and_cost(spec)
    return ModelFacts(
        parameters=parameters,
        multiply_adds=multiply_adds,
        inputs=manifest.inputs,
        weights=spec.weights.describe() if spec.weights.source == "random" else None,
        recipe=manifest.recipe,
        size_bytes=manifest.bytes,
        operators=sum(operator.count for operator in manifest.operators),
        delegation=manifest.delegation,
        parity=manifest.parity,
    )


def _size_and_cost(spec: ModelSpec) -> tuple[int, int] | tuple[None, None]:
    """Parameters and multiply-adds; None for what is no EdgeViT."""
    try:
        (image,) = spec.inputs
        _, channels, height, width = image.shape
        request = ModelRequest(
            config=configuration_of(spec), task=spec.task, num_classes=spec.num_classes, in_channels=channels,
            input_size=(height, width), batch=1,
        )  # fmt: skip
        counted = complexity(request)
    except (EdgevitExportError, ValueError):
        return None, None
    return counted.parameters, counted.multiply_adds


def _with_paper(tables: Sequence[ReportTable], wanted: bool | None) -> tuple[list[ReportTable], dict[str, str]]:
    """The measured tables, behind them the paper's that stand beside one of them (with ``--paper``: all)."""
    beside: dict[str, ReportTable] = {}
    if wanted is not False:
        for table in tables:
            reported = paper_beside(table.metric, table.conditions.input) if table.metric and table.plots else None
            if reported is not None:
                beside[table.slug] = reported
    shown = {table.slug: table for table in beside.values()}
    if wanted:
        shown |= {table.slug: table for table in paper_report_tables()}
    return [*tables, *shown.values()], {slug: reported.slug for slug, reported in beside.items()}
