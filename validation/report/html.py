"""The report as one HTML page that needs no network: style, drawings and all are in the file."""

from __future__ import annotations

from base64 import b64encode
from importlib.resources import files

from validation.latency.tables import ABSENT
from validation.report.contents import artifact_columns, delegation_words
from validation.report.neighbours.columns import claim_columns, comparison_reasons, ratio_columns
from validation.report.neighbours.plot import describe_ratios, drawn_rows, ratio_svg, ratio_title
from validation.report.plots import NARROW, WIDE, Canvas, describe, plot_svg
from validation.report.ranking import ranking_columns
from validation.report.rows import (
    FAILED,
    SOUND,
    Agreement,
    Cost,
    PaperComparison,
    RankedRow,
    ReportData,
    ReportRow,
    ReportTable,
)
from validation.report.strip import strip_svg
from validation.report.tables import (
    LEGEND,
    Column,
    columns_of,
    counted,
    is_sound,
    plot_title,
    ranking_reasons,
    table_reasons,
)

_LONG_COLUMNS = ("latency front", "energy front", "size front", "verdict")


def report_html(data: ReportData) -> str:
    """The whole report as one page. Text from files and records is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def drawing(table: ReportTable, cost: Cost, canvas: Canvas) -> str:
        svg = plot_svg(table, cost, data.paper_table(table), canvas)
        return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"

    def ratios(comparison: PaperComparison, canvas: Canvas) -> str:
        return f"data:image/svg+xml;base64,{b64encode(ratio_svg(comparison, canvas).encode()).decode()}"

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_packaged("report.html")).render(
        data=data,
        css=Markup(_packaged("report.css")),  # our own file
        legend=LEGEND,
        columns_of=columns_of,
        ranking_columns=ranking_columns,
        ranking_reasons=ranking_reasons,
        artifact_columns=artifact_columns,
        delegation_words=delegation_words,
        strip=lambda delegation: Markup(strip_svg(delegation)),  # escapes what comes from files
        counted=counted,
        ranked_classes=_ranked_classes,
        reasons_of=table_reasons,
        title_of=plot_title,
        size=Cost.SIZE,
        describe=describe,
        drawing=drawing,
        claim_columns=claim_columns,
        ratio_columns=ratio_columns,
        comparison_reasons=comparison_reasons,
        drawn_rows=drawn_rows,
        ratio_title=ratio_title,
        describe_ratios=describe_ratios,
        ratios=ratios,
        agreement_class=_agreement_class,
        wide=WIDE,
        narrow=NARROW,
        row_classes=_row_classes,
        cell_classes=_cell_classes,
    )


def _packaged(name: str) -> str:
    return files("validation.report").joinpath(name).read_text(encoding="utf-8")


def _cell_classes(column: Column, text: str) -> str:
    held = {
        "number": column.number,
        "long": column.title in _LONG_COLUMNS,
        "verdict": column.title == "verdict",
        "none": text == ABSENT,
    }
    return " ".join(name for name, holds in held.items() if holds)


def _agreement_class(agreement: Agreement | None) -> str:
    return {Agreement.HOLDS: "front", Agreement.FAILS: "unsound"}.get(agreement, "") if agreement else ""


def _ranked_classes(row: RankedRow) -> str:
    if row.verdict == FAILED:
        return "failed"
    unsound = [] if row.verdict in SOUND else ["unsound"]
    return " ".join([*(["front"] if row.place == 1 else []), *unsound])


def _row_classes(row: ReportRow, table: ReportTable) -> str:
    costs = table.plots or tuple(Cost)
    classes = []
    if any(row.on_front(cost) for cost in costs):
        classes.append("front")
    elif any(row.dominance(cost) for cost in costs):
        classes.append("dominated")
    if FAILED in (row.latency_status, row.energy_status):
        classes.append("failed")
    elif not is_sound(row):
        classes.append("unsound")
    return " ".join(classes)
