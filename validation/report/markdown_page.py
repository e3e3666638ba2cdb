"""The whole report as Markdown. Needs neither matplotlib nor jinja2."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from validation.latency.tables import markdown
from validation.report.contents import artifact_columns, delegation_words
from validation.report.ranking import ranking_columns
from validation.report.rows import Cost, Ranking, ReportData, ReportTable
from validation.report.tables import LEGEND, Column, columns_of, one_line, plot_title, ranking_reasons, table_reasons


def report_markdown(
    data: ReportData, plots: Callable[[ReportTable, Cost], str | None] = lambda table, cost: None
) -> str:
    """The whole report as Markdown.

    Args:
        data: The report.
        plots: The path of the plot of one comparison, relative to the Markdown file; None where there is none.
    """
    lines = [f"# {data.title}", "", f"{data.tool}, {data.created_utc}", ""]
    for heading, texts in (("Not read", data.problems), ("Notes", data.notes)):
        if texts:
            lines += [f"**{heading}**", "", *(f"- {one_line(text)}" for text in texts), ""]
    for ranking in data.rankings:
        lines += _ranked(data, ranking)
    lines += _artifacts(data)
    for table in data.shown_tables():
        lines += _section(table, plots)
    return "\n".join([*lines, *(f"- {text}" for text in LEGEND), ""])


def _section(table: ReportTable, plots: Callable[[ReportTable, Cost], str | None]) -> list[str]:
    lines = [f"## {one_line(table.title)}", ""]
    lines += [f"{table.caption} ({table.origin})" if table.caption else f"({table.origin})", ""]
    for cost in table.plots:
        if (path := plots(table, cost)) is not None:
            lines += [f"![{plot_title(table, cost)}]({path})", ""]
    lines += [_grid(columns_of(table), len(table.rows))]
    return [*lines, *(f"- {one_line(reason)}" for reason in table_reasons(table)), ""]


def _ranked(data: ReportData, ranking: Ranking) -> list[str]:
    lines = [f"## {one_line(ranking.title)}", "", *(f"- {one_line(text)}" for text in ranking.fastest), ""]
    lines += [_grid(ranking_columns(ranking), len(ranking.rows))]
    return [*lines, *(f"- {one_line(reason)}" for reason in ranking_reasons(data, ranking)), ""]


def _artifacts(data: ReportData) -> list[str]:
    if not data.artifacts:
        return []
    taken = [(row.artifact, row.delegation) for row in data.artifacts if row.delegation is not None]
    return [
        "## Artifacts",
        "",
        _grid(artifact_columns(data.artifacts), len(data.artifacts)),
        *(f"- {one_line(f'{name}: {delegation_words(delegation)}')}" for name, delegation in taken),
        "",
    ]


def _grid(columns: Sequence[Column], count: int) -> str:
    rows = [[one_line(column.cells[index]) for column in columns] for index in range(count)]
    return markdown([c.title for c in columns], rows, [c.title for c in columns if c.number])
