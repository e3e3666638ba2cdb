"""``report``: tables and Pareto plots from result files, or from the paper's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import ArtifactError, EdgevitExportError, UsageError, unknown_choice
from edgevit_export.commands.options import DEFAULT_OUTPUT, AsJson, split_list
from edgevit_export.console import Progress, print_line, print_note, print_table

if TYPE_CHECKING:
    from export.artifact import Manifest
    from validation.report.accuracy import AccuracyBook
    from validation.report.entries import ModelFacts
    from validation.report.files import ReportFormat
    from validation.report.results import Results
    from validation.report.rows import ReportData, ReportTable

DEFAULT_RESULTS = Path("results")
DEFAULT_REPORT = Path("report")
PAPER_TITLE = "EdgeViT: the paper's figures"

_ACCURACY = "NAME=PERCENT, or a .toml, .json or .csv file; repeatable."
_ARTIFACTS = "Manifests, for parameters and multiply-adds; repeatable.  [default: artifacts]"
_PAPER = "All the paper's tables, too (alone: only these); or not even beside comparable figures."
_FORMAT = "html, md, csv, png, svg; repeatable or comma-separated.  [default: all]"


@dataclass(frozen=True)
class ReportOptions:
    """What stands on the command line. ``paper`` is None where the user said nothing of the paper's figures."""

    results: tuple[Path, ...]
    accuracy: tuple[str, ...]
    artifacts: tuple[Path, ...]
    paper: bool | None
    formats: tuple[str, ...]
    output: Path
    title: str | None
    as_json: bool

    @property
    def paper_only(self) -> bool:
        """``--paper`` without results: the paper's own figures and nothing else."""
        return self.paper is True and not self.results


def report(
    results: Annotated[list[Path] | None, typer.Argument(help="Results, or directories.  [default: results]")] = None,
    accuracy: Annotated[list[str] | None, typer.Option("--accuracy", "-a", help=_ACCURACY)] = None,
    artifacts: Annotated[list[Path] | None, typer.Option(help=_ARTIFACTS)] = None,
    paper: Annotated[bool | None, typer.Option("--paper/--no-paper", help=_PAPER)] = None,
    format: Annotated[list[str] | None, typer.Option("--format", "-f", help=_FORMAT)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the report.")] = DEFAULT_REPORT,
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw results as tables and Pareto plots.

    \b
    One HTML page that opens offline, Markdown, CSV, PNG and SVG from what `bench` and `energy` left.
    Only what was measured on one device, in one runtime, with the same threads and input size is compared.
    Accuracy is what you state, by artifact name, name without suffix, or pattern.
    Examples:
      edgevit-export report results/ --accuracy 'edgevit-s-224x224=81.0'
      edgevit-export report results/ --accuracy accuracy.toml --format md,csv
      edgevit-export report --paper
    """
    run(
        ReportOptions(
            results=tuple(results or ()), accuracy=tuple(accuracy or ()), artifacts=tuple(artifacts or ()),
            paper=paper, formats=tuple(split_list(format)), output=output, title=title, as_json=as_json,
        )
    )  # fmt: skip


def run(options: ReportOptions) -> None:
    """Write the report and print its tables and files.

    Raises:
        UsageError: No results, a wrong option, or an accuracy for a model that is not there.
        ArtifactError: Some results could not be read; the report of the others is written first.
        MissingDependencyError: A format needs a package that is not installed.
    """
    from validation.report.files import render_report, require_formats, write_report

    formats = parse_report_formats(options.formats)
    require_formats(formats)
    if options.paper_only and (options.accuracy or options.artifacts):
        raise UsageError(
            "--accuracy and --artifacts belong to measured results, but --paper without RESULTS has none",
            hint=f"edgevit-export report {DEFAULT_RESULTS} --paper",
        )
    data = _paper_report(options) if options.paper_only else _measured(options)
    progress = Progress(quiet=options.as_json)
    written = write_report(render_report(data, formats, progress.note), options.output)
    _print(data, written, as_json=options.as_json)
    if data.problems:
        raise ArtifactError(
            f"{len(data.problems)} result file{'s' if len(data.problems) > 1 else ''} could not be read: "
            f"{'; '.join(data.problems)}",
            hint="the report holds all the others; measure these again, or remove them",
        )


def parse_report_formats(names: Sequence[str]) -> tuple[ReportFormat, ...]:
    """The formats by name; all of them when none is given.

    Raises:
        UsageError: No such format.
    """
    from validation.report.files import ReportFormat

    aliases = {"markdown": "md", "htm": "html"}
    chosen = []
    for name in names:
        word = aliases.get(name.lower(), name.lower())
        if word not in list(ReportFormat):
            raise unknown_choice("report format", name, ReportFormat)
        chosen.append(ReportFormat(word))
    return tuple(dict.fromkeys(chosen)) or tuple(ReportFormat)


def _paper_report(options: ReportOptions) -> ReportData:
    from edgevit.paper import paper_tables
    from validation.report.paper import paper_report_tables

    return _data(options, PAPER_TITLE, (paper_tables().source,), (), (), paper_report_tables(), {})


def _measured(options: ReportOptions) -> ReportData:
    from validation.report.measured import measured_report
    from validation.report.results import read_results

    found = read_results(options.results or (DEFAULT_RESULTS,))
    book = read_book(options.accuracy)
    made = measured_report(found, book, _facts(options, found))
    notes = [*made.notes, *_unused_notes(book, found)]
    if not any(row.accuracy for table in made.tables for row in table.rows):
        notes.append("no accuracy is stated, so there are no fronts and plots: --accuracy NAME=PERCENT")
    tables, paper = _with_paper(made.tables, options.paper)
    sources = tuple(str(path) for path in found.sources)
    return _data(options, "Measured on device", sources, tuple(notes), tuple(found.problems), tuple(tables), paper)


def _data(
    options: ReportOptions,
    title: str,
    sources: tuple[str, ...],
    notes: tuple[str, ...],
    problems: tuple[str, ...],
    tables: tuple[ReportTable, ...],
    paper: dict[str, str],
) -> ReportData:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from validation.report.rows import ReportData

    return ReportData(
        title=options.title or title,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=f"edgevit-export {version('edgevit-export')}",
        sources=sources,
        notes=notes,
        problems=problems,
        tables=tables,
        paper=paper,
    )


def read_book(values: Sequence[str]) -> AccuracyBook:
    """Files of accuracies and ``NAME=PERCENT`` as one book; what stands on the command line itself wins.

    Raises:
        UsageError: Neither a file nor NAME=PERCENT, or a file that cannot be read.
    """
    from validation.report.accuracy import AccuracyBook, read_accuracies, stated_on_command_line

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


def _facts(options: ReportOptions, found: Results) -> dict[str, ModelFacts]:
    """What the manifests say, by SHA-256 of the artifacts."""
    from export.artifact import Manifest
    from export.recipe import Format

    for path in options.artifacts:
        if not path.exists():
            raise UsageError(f"--artifacts {path}: no such directory", hint="--artifacts artifacts")
    places = options.artifacts or (DEFAULT_OUTPUT, *(path for path in found.sources if path.is_dir()))
    facts: dict[str, ModelFacts] = {}
    for place in places:
        manifests = [place] if place.is_file() else [p for form in Format for p in place.rglob(f"*.{form}.json")]
        for path in manifests:
            try:
                manifest = Manifest.load(path)
            except ArtifactError:
                if path in options.artifacts:
                    raise
                continue  # a JSON file of that name that is no manifest
            facts[manifest.sha256] = facts_of_manifest(manifest)
    return facts


def facts_of_manifest(manifest: Manifest) -> ModelFacts:
    """Size, cost and inputs of a manifest's model; size and cost are known for EdgeViTs."""
    from edgevit.network.complexity import complexity
    from edgevit.network.describe import ModelRequest
    from edgevit.rebuild import configuration_of
    from validation.report.entries import ModelFacts

    spec = manifest.spec
    weights = spec.weights.describe() if spec.weights.source == "random" else None
    inputs = tuple(manifest.inputs)
    try:
        _, channels, height, width = spec.inputs[0].shape
        request = ModelRequest(
            config=configuration_of(spec), task=spec.task, num_classes=spec.num_classes, in_channels=channels,
            input_size=(height, width), batch=1,
        )  # fmt: skip
        counted = complexity(request)
    except (EdgevitExportError, ValueError):  # no EdgeViT: the tables leave these cells out
        return ModelFacts(inputs=inputs, weights=weights)
    return ModelFacts(
        parameters=counted.parameters, multiply_adds=counted.multiply_adds, inputs=inputs, weights=weights
    )


def _with_paper(tables: Sequence[ReportTable], wanted: bool | None) -> tuple[list[ReportTable], dict[str, str]]:
    """The measured tables, behind them the paper's that stand beside one of them (with ``--paper``: all)."""
    from validation.report.paper import paper_beside, paper_report_tables

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


def _print(data: ReportData, written: Sequence[Path], *, as_json: bool) -> None:
    from validation.report.tables import columns_of, table_reasons

    if as_json:
        print_line(data.to_json().rstrip())
        return
    for table in data.tables:
        columns = columns_of(table)
        rows = [[column.cells[index] for column in columns] for index in range(len(table.rows))]
        titles = [column.title for column in columns]
        right = [column.title for column in columns if column.number]
        print_table(titles, rows, title=f"{table.title} ({table.origin})", right=right)
        print_line()
    for path in written:
        print_line(str(path))
    for text in (*(reason for table in data.tables for reason in table_reasons(table)), *data.notes):
        print_note(text)
