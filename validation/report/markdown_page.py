"""The whole report as Markdown. Needs neither matplotlib nor jinja2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from validation.latency.tables import markdown, plain_markdown
from validation.report.contents import artifact_columns, delegation_words
from validation.report.neighbours.columns import claim_columns, comparison_reasons, ratio_columns
from validation.report.neighbours.plot import describe_ratios, ratio_title
from validation.report.ranking import ranking_columns
from validation.report.rows import Cost, PaperComparison, Ranking, ReportData, ReportTable
from validation.report.tables import LEGEND, Column, columns_of, plot_name, plot_title, ranking_reasons, table_reasons

Plots = Callable[[str], str | None]


def report_markdown(data: ReportData, plots: Plots = lambda name: None) -> str:
    """The whole report as Markdown.

    Args:
        data: The report.
        plots: The path of a plot by the stem of its file, relative to the Markdown file; None where there is none.
    """
    lines = [f"# {plain_markdown(data.title)}", "", plain_markdown(f"{data.tool}, {data.created_utc}"), ""]
    for heading, texts in (("Not read", data.problems), ("Notes", data.notes)):
        if texts:
            lines += [f"**{heading}**", "", *(f"- {plain_markdown(text)}" for text in texts), ""]
    for ranking in data.rankings:
        lines += _ranked(data, ranking)
    lines += _artifacts(data)
    for comparison in data.comparisons:
        lines += _compared(comparison, plots)
    for table in data.shown_tables():
        lines += _section(table, plots)
    return "\n".join([*lines, *(f"- {text}" for text in LEGEND), ""])


def _compared(comparison: PaperComparison, plots: Plots) -> list[str]:
    notes = [f"- {plain_markdown(text)}" for text in comparison.notes]
    lines = [f"## {plain_markdown(comparison.title)}", "", *notes, ""]
    lines += [_grid(claim_columns(comparison), len(comparison.claims))]
    if (path := plots(comparison.slug)) is not None:
        lines += [f"![{plain_markdown(ratio_title(comparison))}]({quote(path)})", ""]
        lines += [plain_markdown(describe_ratios(comparison)), ""]
    lines += [_grid(ratio_columns(comparison), len(comparison.rows))]
    return [*lines, *(f"- {plain_markdown(reason)}" for reason in comparison_reasons(comparison)), ""]


def _section(table: ReportTable, plots: Plots) -> list[str]:
    lines = [f"## {plain_markdown(table.title)}", ""]
    lines += [plain_markdown(f"{table.caption} ({table.origin})".lstrip()), ""]
    for cost in table.drawn:
        if (path := plots(plot_name(table, cost))) is not None:
            lines += [f"![{plain_markdown(plot_title(table, cost))}]({quote(path)})", ""]
    if table.sizes_in:
        lines += [plain_markdown(f"{plot_title(table, Cost.SIZE)}: see {table.sizes_in}"), ""]
    lines += [_grid(columns_of(table), len(table.rows))]
    return [*lines, *(f"- {plain_markdown(reason)}" for reason in table_reasons(table)), ""]


def _ranked(data: ReportData, ranking: Ranking) -> list[str]:
    lines = [f"## {plain_markdown(ranking.title)}", "", *(f"- {plain_markdown(text)}" for text in ranking.fastest), ""]
    lines += [_grid(ranking_columns(ranking), len(ranking.rows))]
    return [*lines, *(f"- {plain_markdown(reason)}" for reason in ranking_reasons(data, ranking)), ""]


def _artifacts(data: ReportData) -> list[str]:
    if not data.artifacts:
        return []
    taken = [(row.artifact, row.delegation) for row in data.artifacts if row.delegation is not None]
    return [
        "## Artifacts",
        "",
        _grid(artifact_columns(data.artifacts), len(data.artifacts)),
        *(f"- {plain_markdown(f'{name}: {delegation_words(delegation)}')}" for name, delegation in taken),
        "",
    ]


def _grid(columns: Sequence[Column], count: int) -> str:
    rows = [[column.cells[index] for column in columns] for index in range(count)]
    return markdown([c.title for c in columns], rows, [c.title for c in columns if c.number])
