"""``report``: tables and Pareto plots from result files, or from the paper's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import ArtifactError, UsageError, parse_choice
from edgevit_export.commands.options import AsJson, Quiet, split_list
from edgevit_export.console import Progress, print_line, print_note, print_record, print_table, print_text

if TYPE_CHECKING:
    from validation.report.files import ReportFormat
    from validation.report.rows import PaperComparison, ReportData
    from validation.report.tables import Column

DEFAULT_REPORT = Path("report")

_ACCURACY = "NAME=PERCENT, or a .toml, .json or .csv file; repeatable."
_ARTIFACTS = "Manifests, for parameters and multiply-adds; repeatable.  [default: artifacts]"
_PAPER = "All the paper's tables, too (alone: only these); or not even beside comparable figures."
_FORMAT = "html, md, csv, png, svg; repeatable or comma-separated.  [default: all]"


@dataclass(frozen=True)
class ReportOptions:
    """The options of ``report``. ``paper`` is None where the user said nothing of the paper's figures."""

    results: Annotated[list[Path] | None, typer.Argument(help="Results, or directories.  [default: results]")] = None
    accuracy: Annotated[list[str] | None, typer.Option("--accuracy", "-a", help=_ACCURACY)] = None
    artifacts: Annotated[list[Path] | None, typer.Option(help=_ARTIFACTS)] = None
    paper: Annotated[bool | None, typer.Option("--paper/--no-paper", help=_PAPER)] = None
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help=_FORMAT)] = None
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the report.")] = DEFAULT_REPORT
    title: Annotated[str | None, typer.Option(help="Title of the report.")] = None
    as_json: AsJson = False
    quiet: Quiet = False


def report(options: ReportOptions) -> None:
    r"""Draw results as tables and Pareto plots.

    \b
    One HTML page that opens offline, Markdown, CSV, PNG and SVG from what `bench` and `energy` left.
    First the fastest formats, runtimes and threads on each device, and what each artifact is made of.
    Fronts hold only what was measured on one device, in one runtime, with the same threads and input size.
    Accuracy is what you state, by artifact name, name without suffix, or pattern.

    \b
    Examples:
      edgevit-export report results/ --accuracy 'edgevit-s-224x224=81.0'
      edgevit-export report results/ --accuracy accuracy.toml --format md,csv
      edgevit-export report --paper
    """
    from export.staging import check_output
    from validation.report.files import render_report, require_formats, write_report

    formats = parse_report_formats(split_list(options.formats))
    require_formats(formats)
    data = _gathered(options)
    check_output(options.output, 0)
    written = write_report(render_report(data, formats, Progress().note), options.output)
    if options.as_json:
        print_record(data)
    else:
        _print(data, written)
    if data.problems:
        raise ArtifactError(
            f"{len(data.problems)} result file{'s' if len(data.problems) > 1 else ''} could not be read: "
            f"{'; '.join(data.problems)}",
            hint="the report holds all the others; measure these again, or remove them",
        )


def _gathered(options: ReportOptions) -> ReportData:
    """What the report is to show. ``--paper`` without results is the paper's own figures and nothing else."""
    from edgevit_export.workflows.report import DEFAULT_RESULTS, gather_paper, gather_results

    if not options.paper or options.results:
        return gather_results(
            options.results or [DEFAULT_RESULTS],
            accuracy=options.accuracy or (),
            artifacts=options.artifacts or (),
            paper=options.paper,
            title=options.title,
        )
    if options.accuracy or options.artifacts:
        raise UsageError(
            "--accuracy and --artifacts belong to measured results, but --paper without RESULTS has none",
            hint=f"edgevit-export report {DEFAULT_RESULTS} --paper",
        )
    return gather_paper(options.title)


def parse_report_formats(names: Sequence[str]) -> tuple[ReportFormat, ...]:
    """The formats by name; all of them when none is given.

    Raises:
        UsageError: No such format.
    """
    from validation.report.files import ReportFormat

    aliases = {"markdown": "md", "htm": "html"}
    chosen = [parse_choice("report format", ReportFormat, aliases.get(name.lower(), name)) for name in names]
    return tuple(dict.fromkeys(chosen)) or tuple(ReportFormat)


def _print(data: ReportData, written: Sequence[Path]) -> None:
    from validation.report import contents, ranking
    from validation.report.tables import columns_of, ranking_reasons, table_reasons

    for ranked in data.rankings:
        columns, alike = ranking.brief_columns(ranked)
        _print_columns(columns, ranked.title)
        for text in (*([alike] if alike else []), *(f"fastest {text}" for text in ranked.fastest)):
            print_text(text)
        print_line()
    if data.artifacts:
        _print_columns(contents.brief_columns(data.artifacts), "Artifacts")
        print_line()
    print_comparisons(data.comparisons)
    for table in data.shown_tables():
        _print_columns(columns_of(table), f"{table.title} ({table.origin})")
        print_line()
    for path in written:
        print_line(str(path))
    reasons = [reason for each in data.rankings for reason in ranking_reasons(data, each)]
    for text in (*reasons, *(text for table in data.shown_tables() for text in table_reasons(table)), *data.notes):
        print_note(text)


def print_comparisons(comparisons: Sequence[PaperComparison]) -> None:
    """The paper's claims and ratios beside those measured, with what is to be known of them; a note stands once."""
    from validation.report.neighbours.columns import brief_ratio_columns, claim_columns, comparison_reasons

    for comparison in comparisons:
        _print_columns(claim_columns(comparison), comparison.title)
        print_line()
        _print_columns(brief_ratio_columns(comparison), "Latency over EdgeViT-XXS's, with 95 % intervals")
        print_line()
    reasons = [f"{each.format}: {reason}" for each in comparisons for reason in comparison_reasons(each)]
    for text in dict.fromkeys([*(note for each in comparisons for note in each.notes), *reasons]):
        print_note(text)


def _print_columns(columns: Sequence[Column], title: str) -> None:
    rows = list(zip(*(column.cells for column in columns), strict=True))
    print_table([c.title for c in columns], rows, title=title, right=[c.title for c in columns if c.number])
