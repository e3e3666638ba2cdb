"""A report as files: everything is rendered before the first file is written, and each is moved into place."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path

from edgevit.errors import FailureError, MissingDependencyError, UsageError
from edgevit.records import atomic_path, writing
from edgevit.text import encodable
from validation.report.markdown_page import report_markdown
from validation.report.rows import PaperComparison, ReportData, ReportTable
from validation.report.tables import plot_name, report_csv


class ReportFormat(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    MD = "md"
    CSV = "csv"
    PNG = "png"
    SVG = "svg"


_NEEDED = (
    ("matplotlib", "draw plots", {ReportFormat.HTML, ReportFormat.PNG, ReportFormat.SVG}),
    ("jinja2", "write HTML", {ReportFormat.HTML}),
)


def require_formats(formats: Collection[ReportFormat]) -> None:
    """Refuse early what cannot be rendered here.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed.
    """
    for package, what, needing in _NEEDED:
        if not needing.isdisjoint(formats) and importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"cannot {what}: {package} is not installed (Markdown and CSV tables need nothing: --format md,csv)",
                extra="report",
            )


def render_report(
    data: ReportData, formats: Collection[ReportFormat], progress: Callable[[str], None] = lambda text: None
) -> dict[str, bytes]:
    """The files of a report by their path relative to its directory; the page comes last.

    Args:
        data: The report.
        formats: What to render.
        progress: Told what is drawn next.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed.
    """
    require_formats(formats)
    rendered: dict[str, bytes] = {}
    if ReportFormat.CSV in formats:
        rendered["report.csv"] = encodable(report_csv(data)).encode()
    for comparison in data.comparisons:
        rendered |= _ratio_plots(comparison, formats, progress)
    for table in data.tables:
        rendered |= _plots(data, table, formats, progress)
    if ReportFormat.MD in formats:
        page = report_markdown(data, lambda name: _shown(name, rendered))
        rendered["report.md"] = encodable(page).encode()
    if ReportFormat.HTML in formats:
        from validation.report.html import report_html

        progress("drawing report.html")
        rendered["report.html"] = encodable(report_html(data)).encode()
    return rendered


def _plots(
    data: ReportData, table: ReportTable, formats: Collection[ReportFormat], progress: Callable[[str], None]
) -> dict[str, bytes]:
    if {ReportFormat.PNG, ReportFormat.SVG}.isdisjoint(formats):
        return {}
    from validation.report.plots import plot_png, plot_svg

    rendered, paper = {}, data.paper_table(table)
    for cost in table.drawn:
        progress(f"drawing {table.slug}-{cost}")
        if ReportFormat.PNG in formats:
            rendered[_plot_path(plot_name(table, cost), ReportFormat.PNG)] = plot_png(table, cost, paper)
        if ReportFormat.SVG in formats:
            drawn = encodable(plot_svg(table, cost, paper)).encode()
            rendered[_plot_path(plot_name(table, cost), ReportFormat.SVG)] = drawn
    return rendered


def _ratio_plots(
    comparison: PaperComparison, formats: Collection[ReportFormat], progress: Callable[[str], None]
) -> dict[str, bytes]:
    """The paper's ratios against those measured; nothing where no network has both."""
    if {ReportFormat.PNG, ReportFormat.SVG}.isdisjoint(formats):
        return {}
    from validation.report.neighbours.plot import drawn_rows, ratio_png, ratio_svg

    if not drawn_rows(comparison):
        return {}
    rendered = {}
    progress(f"drawing {comparison.slug}")
    if ReportFormat.PNG in formats:
        rendered[_plot_path(comparison.slug, ReportFormat.PNG)] = ratio_png(comparison)
    if ReportFormat.SVG in formats:
        rendered[_plot_path(comparison.slug, ReportFormat.SVG)] = encodable(ratio_svg(comparison)).encode()
    return rendered


def _plot_path(name: str, suffix: ReportFormat) -> str:
    return f"plots/{name}.{suffix}"


def _shown(name: str, rendered: Mapping[str, bytes]) -> str | None:
    """The plot that Markdown shows: PNG is what every viewer draws."""
    paths = (_plot_path(name, suffix) for suffix in (ReportFormat.PNG, ReportFormat.SVG))
    return next((path for path in paths if path in rendered), None)


def write_report(rendered: Mapping[str, bytes], output: Path) -> list[Path]:
    """Write rendered files below ``output``; files of an earlier report are replaced one by one.

    Raises:
        UsageError, FailureError: The directory or a file cannot be written; names those that were.
    """
    written: list[Path] = []
    for name, content in rendered.items():
        try:
            with writing(output / name) as path, atomic_path(path) as temporary:
                temporary.write_bytes(content)
        except (UsageError, FailureError) as error:
            told = f"written before it: {', '.join(map(str, written))}" if written else "no file was written"
            raise type(error)(f"{error.message}; {told}", hint=error.hint) from error
        written.append(path)
    return written
