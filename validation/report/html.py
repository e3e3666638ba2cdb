"""The report as one HTML page that needs no network: style, drawings and all are in the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from edgevit.errors import MissingDependencyError
from validation.latency.tables import ABSENT
from validation.report.plots import NARROW, WIDE, describe, plot_svg
from validation.report.rows import FAILED, Cost, ReportData, ReportRow, ReportTable
from validation.report.svg import dark_rules
from validation.report.tables import LEGEND, Column, columns_of, is_sound, plot_title, table_reasons

if TYPE_CHECKING:
    from markupsafe import Markup

_LONG_COLUMNS = ("latency front", "energy front", "verdict")


@dataclass(frozen=True)
class _Figure:
    wide: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True)
class _Cell:
    text: str
    label: str
    classes: str


@dataclass(frozen=True)
class _Row:
    classes: str
    cells: tuple[_Cell, ...]


@dataclass(frozen=True)
class _Section:
    table: ReportTable
    figures: tuple[_Figure, ...]
    columns: tuple[Column, ...]
    rows: tuple[_Row, ...]
    reasons: tuple[str, ...]


def require_jinja2() -> None:
    """Refuse early, before any work.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    from importlib.util import find_spec

    if find_spec("jinja2") is None:
        raise MissingDependencyError(
            "cannot write HTML: jinja2 is not installed (Markdown and CSV tables need nothing: --format md,csv)",
            hint="pip install 'edgevit-export[report]'",
        )


def report_html(data: ReportData) -> str:
    """The whole report as one page. Text from files and records is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_packaged("report.html"))
    return template.render(
        data=data,
        css=Markup(_packaged("report.css")),  # our own file
        dark_rules=Markup(dark_rules()),
        sections=[_section(data, table) for table in data.tables],
        legend=LEGEND,
    )


def _packaged(name: str) -> str:
    return files("validation.report").joinpath(name).read_text(encoding="utf-8")


def _section(data: ReportData, table: ReportTable) -> _Section:
    columns = tuple(replace(column, title=_unbroken(column.title)) for column in columns_of(table))
    return _Section(
        table=table,
        figures=tuple(_figure(table, cost, data.paper_table(table)) for cost in table.plots),
        columns=columns,
        rows=tuple(_row(row, table.plots or tuple(Cost), index, columns) for index, row in enumerate(table.rows)),
        reasons=tuple(table_reasons(table)),
    )


def _unbroken(title: str) -> str:
    """``top-1`` with a hyphen that lines do not break at."""
    return title.replace("top-1", "top\N{NON-BREAKING HYPHEN}1")


def _figure(table: ReportTable, cost: Cost, paper: ReportTable | None) -> _Figure:
    """The drawing twice: for screens and, with larger type, for phones; the style shows one of them."""
    from markupsafe import Markup

    wide, narrow = (
        Markup(plot_svg(table, cost, paper, canvas, name=f"{table.slug}-{cost}-{word}", standalone=False))
        for canvas, word in ((WIDE, "wide"), (NARROW, "narrow"))
    )
    return _Figure(wide, narrow, f"{plot_title(table, cost)}. {describe(table, cost, paper)}")


def _row(row: ReportRow, costs: tuple[Cost, ...], index: int, columns: tuple[Column, ...]) -> _Row:
    cells = tuple(_cell(column, column.cells[index]) for column in columns)
    return _Row(classes=" ".join(_row_classes(row, costs)), cells=cells)


def _cell(column: Column, text: str) -> _Cell:
    classes = ["number"] if column.number else []
    if column.title in _LONG_COLUMNS:
        classes.append("long")
    if column.title == "verdict":
        classes.append("verdict")
    if text == ABSENT:
        classes.append("none")
    return _Cell(text=text, label=column.title, classes=" ".join(classes))


def _row_classes(row: ReportRow, costs: tuple[Cost, ...]) -> list[str]:
    standings = [standing for cost in costs if (standing := row.standing(cost)) is not None]
    classes = []
    if any(standing.on_front for standing in standings):
        classes.append("front")
    elif standings:
        classes.append("dominated")
    if FAILED in (row.latency_status, row.energy_status):
        classes.append("failed")
    elif not is_sound(row):
        classes.append("unsound")
    return classes
