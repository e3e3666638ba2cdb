"""Draw accuracy against cost with matplotlib: error bars, fronts, dominated models in grey, readable labels."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from validation.report.labels import Box, Label, place_labels
from validation.report.rows import FAILED, SOUND, Cost, ReportTable, comparable
from validation.report.tables import counted, plot_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_GROUND, INK, MUTED, _GRID = "#fefefe", "#24292f", "#7b838c", "#dde2e7"
BLUE, ORANGE = "#0969da", "#b3590a"
_FONT = "DejaVu Sans"  # comes with matplotlib
_FONTS_IN_SVG = "'DejaVu Sans', Verdana, sans-serif"  # Verdana has the same widths; phones have narrower letters
_DPI = 72  # one pixel is one point while labels are placed
_PNG_DPI = 144  # twice the pixels, for dense screens
_LOG_FROM = 4.0  # largest over smallest cost; chosen, because below it a linear axis leaves no points crowded
_LOG_TICKS = ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))  # in a decade, ever fewer
_LINEAR_TICKS = (8, 6, 5, 4, 3)  # at most; chosen: from what a desk's width holds down to both ends and a middle
HALF_MARKER = 4.0  # points
_TITLE_CHARACTERS = 92  # as many as fit above the plot of ``ALONE``


@dataclass(frozen=True)
class Canvas:
    """Size and type of one drawing; ``longest`` is the number of characters that a label may have."""

    width_in: float
    height_in: float
    font_pt: float
    longest: int
    titled: bool = False


WIDE = Canvas(9.6, 5.8, 10.0, 34)  # a page on a desk
NARROW = Canvas(4.0, 4.8, 9.0, 22)  # a page on a phone, where the wide drawing's letters are too small to read
ALONE = Canvas(9.6, 6.2, 10.0, 34, titled=True)  # a file of its own


@dataclass(frozen=True)
class _Point:
    """One marker. ``mark`` names the verdict in brackets where something speaks against the figure.

    ``reported`` points are the paper's figures beside measured ones.
    """

    name: str
    mark: str
    x: float
    x_sd: float | None
    y: float
    on_front: bool
    reported: bool

    @property
    def colour(self) -> str:
        """Of the marker and its error bar."""
        if self.reported:
            return ORANGE
        return BLUE if self.on_front else MUTED


def plot_svg(table: ReportTable, cost: Cost, paper: ReportTable | None, canvas: Canvas = ALONE) -> str:
    """One comparison as SVG whose text stays text.

    Args:
        table: Its rows are drawn with their front.
        cost: What stands on the horizontal axis.
        paper: The paper's figures to draw beside it, as a series of their own with their own front.
        canvas: Size and type.
    """
    with style(canvas, salt=table.slug):
        return as_svg(_draw(table, cost, paper, canvas), plot_title(table, cost), describe(table, cost, paper))


def plot_png(table: ReportTable, cost: Cost, paper: ReportTable | None, canvas: Canvas = ALONE) -> bytes:
    """One comparison as PNG; see ``plot_svg``."""
    with style(canvas, salt=table.slug):
        return as_png(_draw(table, cost, paper, canvas), plot_title(table, cost))


def as_svg(figure: Figure, title: str, description: str) -> str:
    """A drawing as SVG, within its ``style``."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": title, "Description": description})
    return buffer.getvalue().replace(f"'{_FONT}'", _FONTS_IN_SVG)


def as_png(figure: Figure, title: str) -> bytes:
    """A drawing as PNG, within its ``style``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None, "Title": title})
    return buffer.getvalue()


def describe(table: ReportTable, cost: Cost, paper: ReportTable | None) -> str:
    """What a drawing says, in words."""
    compared = [row for row in table.rows if row.dominance(cost) is not None]
    on_front = [(quantity.mean, row.model) for row in compared if row.on_front(cost) and (quantity := row.cost(cost))]
    on_front.sort(key=lambda point: point[0])
    text = f"{counted(len(compared), 'model')}. Pareto front by rising {cost}: "
    text += f"{', '.join(model for _, model in on_front)}."
    if failed := [row.model for row in table.rows if row.status(cost) == FAILED]:
        text += f" Failed and not drawn: {', '.join(failed)}."
    if paper is not None and any(comparable(row, cost) for row in paper.rows):
        text += " The paper's figures, from another device, are drawn as a separate series."
    return text


def style(canvas: Canvas, *, salt: str) -> AbstractContextManager[None]:
    """What all drawings have in common; with the same ``salt`` the same drawing is the same file."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": salt,  # the same drawing is the same file
            "font.family": _FONT,
            "font.size": canvas.font_pt,
            "text.color": INK,
            "text.parse_math": False,  # names of files may hold dollars
            "axes.labelcolor": INK,
            "axes.edgecolor": _GRID,
            "axes.facecolor": "none",
            "figure.facecolor": _GROUND,
            "figure.dpi": _DPI,
            "grid.color": _GRID,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
        }
    )


def _draw(table: ReportTable, cost: Cost, paper: ReportTable | None, canvas: Canvas) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(canvas.width_in, canvas.height_in), layout=layout)
    axes = figure.add_subplot()
    scale = 1e3 if _unit(table, cost) in ("s", "J") else 1.0
    points = _points(table, cost, scale)
    reported = [] if paper is None else _points(paper, cost, scale, reported=True)
    _draw_points(axes, points, "Pareto front" if table.origin == "measured" else "Pareto front, as reported")
    _draw_points(axes, reported, "reported by the paper, on its own device")
    _axes(axes, table, cost, [*points, *reported])
    _thin_ticks(figure, axes)
    if canvas.titled:
        title = textwrap.fill(plot_title(table, cost), _TITLE_CHARACTERS)  # matplotlib's own wrapping reads mathematics
        axes.set_title(title, loc="left", fontsize=canvas.font_pt + 1)
    _legend(figure, axes, points, canvas)
    _label(figure, axes, [*points, *reported], canvas)
    return figure


def _unit(table: ReportTable, cost: Cost) -> str:
    return {Cost.LATENCY: table.latency_unit, Cost.ENERGY: table.energy_unit, Cost.SIZE: "MB"}[cost]


def _points(table: ReportTable, cost: Cost, scale: float, *, reported: bool = False) -> list[_Point]:
    """What takes part in the comparison, cost over ``scale``; failed figures mean nothing and are not drawn."""
    points = []
    for row in table.rows:
        quantity, status = row.cost(cost), row.status(cost) or ""
        if quantity is None or row.accuracy is None or not comparable(row, cost):
            continue
        points.append(
            _Point(
                name=row.model,
                mark="" if status in SOUND else f" ({status})",
                x=quantity.mean / scale,
                x_sd=None if quantity.sd is None else quantity.sd / scale,
                y=row.accuracy.value,
                on_front=row.on_front(cost),
                reported=reported,
            )
        )
    return points


def _draw_points(axes: Axes, points: Sequence[_Point], label: str) -> None:
    """Markers with their error bars, and the front as steps: what is attained at that cost."""
    for point in points:
        # log axes end above 0
        sides = None if point.x_sd is None else [[min(point.x_sd, 0.95 * point.x)], [point.x_sd]]
        axes.errorbar(
            point.x, point.y, xerr=sides, fmt="D" if point.reported else "o", color=point.colour,
            ecolor=point.colour, markerfacecolor="none" if point.mark or point.reported else point.colour,
            markersize=HALF_MARKER if point.reported else 2 * HALF_MARKER - 1,
            elinewidth=0.5 if point.reported else 0.9, capsize=0 if point.reported else 2.5, capthick=0.9,
            zorder=4 if point.on_front else 3,
        )  # fmt: skip
    if front := sorted((p for p in points if p.on_front), key=lambda p: p.x):
        reported = front[0].reported
        axes.plot(
            [p.x for p in front], [p.y for p in front], drawstyle="steps-post", color=front[0].colour,
            linestyle="--" if reported else "-", linewidth=0.9 if reported else 1.4, label=label, zorder=2,
        )  # fmt: skip


def _axes(axes: Axes, table: ReportTable, cost: Cost, points: Sequence[_Point]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xlabel(f"{cost} in {_unit(table, cost)}{'' if cost is Cost.SIZE else ', mean ± deviation'}")
    axes.set_ylabel(str(table.metric or "accuracy"))
    smallest, largest = min(p.x for p in points), max(p.x for p in points)
    if smallest > 0 and largest / smallest >= _LOG_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"{axes.get_xlabel()} (log scale)")
    axes.margins(x=0.09, y=0.12)
    axes.grid(linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _thin_ticks(figure: Figure, axes: Axes) -> None:
    """As many ticks as stand beside each other with room between their numbers."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    is_log = axes.get_xscale() == "log"
    for ticks in _LOG_TICKS if is_log else _LINEAR_TICKS:
        axes.xaxis.set_major_locator(
            LogLocator(base=10, subs=ticks) if isinstance(ticks, tuple) else MaxNLocator(ticks)
        )
        figure.draw_without_rendering()
        low, high = axes.get_xlim()
        shown = [
            label.get_window_extent()
            for label, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
            if low <= place <= high
        ]
        if all(left.x1 + HALF_MARKER <= right.x0 for left, right in pairwise(shown)):
            return


def _legend(figure: Figure, axes: Axes, points: Sequence[_Point], canvas: Canvas) -> None:
    """Only what occurs in the drawing, below it."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    entries = (
        (any(not point.on_front for point in points), MUTED, MUTED, "dominated"),
        (any(point.mark for point in points), INK, "none", "with reservations, see table"),
    )
    for occurs, colour, face, text in entries:
        if occurs:
            handles.append(Line2D([], [], linestyle="none", marker="o", color=colour, markerfacecolor=face))
            labels.append(text)
    columns = len(labels) if canvas.width_in > 6 else 1
    figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, frameon=False, fontsize=canvas.font_pt - 0.5
    )


def _label(figure: Figure, axes: Axes, points: Sequence[_Point], canvas: Canvas) -> None:
    """Name the points: all of the table's own front, the others where there is room beside them."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels are placed on this layout
    named = [point for point in points if point.on_front or not point.reported]
    texts = [_text(axes, point, canvas) for point in named]
    sizes = [text.get_window_extent() for text in texts]
    pixels = axes.transData.transform([(point.x, point.y) for point in named])
    labels = [
        Label(x, y, size.width + 2, size.height, required=point.on_front and not point.reported)
        for (x, y), size, point in zip(pixels, sizes, named, strict=True)
    ]
    bounds = Box(*axes.get_window_extent().extents)
    places = place_labels(labels, _obstacles(axes, points), bounds, gap=HALF_MARKER + 2)
    for text, label, place, point in zip(texts, labels, places, named, strict=True):
        text.remove()
        if place is not None:
            _annotate(axes, point, text.get_text(), label, place, canvas.font_pt - 1)


def _text(axes: Axes, point: _Point, canvas: Canvas) -> Text:
    return axes.text(point.x, point.y, shortened(point.name, canvas.longest) + point.mark, fontsize=canvas.font_pt - 1)


def shortened(name: str, longest: int) -> str:
    """A name without its middle where it is too long: starts and ends tell artifacts apart."""
    if len(name) <= longest:
        return name
    head = (longest - 1) // 2
    return f"{name[:head]}…{name[-(longest - 1 - head) :]}"


def _obstacles(axes: Axes, points: Sequence[_Point]) -> list[Box]:
    """What labels should not cover, in pixels: both fronts, markers and error bars."""
    boxes = [box for reported in (True, False) for box in _front_lines(axes, points, reported=reported)]
    for point in points:
        x, y = axes.transData.transform((point.x, point.y))
        boxes.append(Box(x - HALF_MARKER, y - HALF_MARKER, x + HALF_MARKER, y + HALF_MARKER))
        if point.x_sd:
            low, _ = axes.transData.transform((max(point.x - point.x_sd, 0.05 * point.x), point.y))
            high, _ = axes.transData.transform((point.x + point.x_sd, point.y))
            boxes.append(Box(low, y - 1, high, y + 1))
    return boxes


def _front_lines(axes: Axes, points: Sequence[_Point], *, reported: bool) -> list[Box]:
    """The steps of one front, the paper's or the table's own, as boxes in pixels."""
    front = sorted((p.x, p.y) for p in points if p.on_front and p.reported == reported)
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(axes.transData.transform(front) if front else ()):
        boxes += [Box(x0, y0 - 1, x1, y0 + 1), Box(x1 - 1, min(y0, y1), x1 + 1, max(y0, y1))]
    return boxes


def _annotate(axes: Axes, point: _Point, text: str, label: Label, place: Box, font_pt: float) -> None:
    """The label at its place, with a line to its point where it stands away from it."""
    centre = (place.x0 + place.x1) / 2 - label.x, (place.y0 + place.y1) / 2 - label.y
    nearest_x = min(max(label.x, place.x0), place.x1) - label.x
    nearest_y = min(max(label.y, place.y0), place.y1) - label.y
    away = (nearest_x**2 + nearest_y**2) ** 0.5 > 3 * HALF_MARKER
    colour = INK if point.on_front and not point.reported else point.colour
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": HALF_MARKER}
    axes.annotate(
        text, (point.x, point.y), xytext=centre, textcoords="offset points", ha="center", va="center", color=colour,
        fontsize=font_pt, zorder=5, arrowprops=line if away else None,
    )  # fmt: skip
