"""Draw accuracy against cost with matplotlib: error bars, fronts, dominated models in grey, readable labels."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edgevit.errors import MissingDependencyError
from validation.report.labels import Box, Label, place_labels
from validation.report.rows import FAILED, SOUND, Cost, ReportRow, ReportTable, comparable
from validation.report.svg import FONT, FRONT, GRID, GROUND, INK, MUTED, REPORTED, Tone, finish_svg
from validation.report.tables import plot_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_DPI = 72  # one pixel is one point while labels are placed
_PNG_DPI = 144
_LOG_FROM = 4.0  # largest over smallest cost
_HALF_MARKER = 4.0
_TITLE_CHARACTERS = 92
_TICKS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


@dataclass(frozen=True)
class Canvas:
    """Size and type of one drawing; ``longest`` is the number of characters that a label may have."""

    width_in: float
    height_in: float
    font_pt: float
    longest: int
    titled: bool = False


WIDE = Canvas(9.6, 5.8, 10.0, 34)
NARROW = Canvas(4.0, 4.8, 9.0, 22)
ALONE = Canvas(9.6, 6.2, 10.0, 34, titled=True)


@dataclass(frozen=True)
class _Point:
    """One marker. ``mark`` names the verdict in brackets where something speaks against the figure."""

    name: str
    mark: str
    x: float
    x_sd: float | None
    y: float
    on_front: bool
    tone: Tone

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.mark

    @property
    def reported(self) -> bool:
        """Whether it belongs to the paper's figures beside measured ones."""
        return self.tone is REPORTED


def require_matplotlib() -> None:
    """Refuse early, before any work.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingDependencyError(
            "cannot draw plots: matplotlib is not installed (Markdown and CSV tables need nothing: --format md,csv)",
            hint="pip install 'edgevit-export[report]'",
        )


def plot_svg(
    table: ReportTable, cost: Cost, paper: ReportTable | None, canvas: Canvas, *, name: str, standalone: bool
) -> str:
    """One comparison as SVG.

    Args:
        table: Its rows are drawn with their front.
        cost: What stands on the horizontal axis.
        paper: The paper's figures to draw beside it, as a series of their own with their own front.
        canvas: Size and type.
        name: Prefix of the ids in the drawing.
        standalone: For a file of its own rather than for a page.
    """
    buffer = io.StringIO()
    with _style(canvas, salt=name):
        _draw(table, cost, paper, canvas).savefig(buffer, format="svg", metadata={"Date": None})
    return finish_svg(
        buffer.getvalue(),
        name=name,
        title=plot_title(table, cost),
        description=describe(table, cost, paper),
        standalone=standalone,
    )


def plot_png(table: ReportTable, cost: Cost, paper: ReportTable | None, canvas: Canvas = ALONE) -> bytes:
    """One comparison as PNG on light ground; see ``plot_svg``."""
    buffer = io.BytesIO()
    with _style(canvas, salt=table.slug):
        figure = _draw(table, cost, paper, canvas)
        figure.savefig(
            buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None, "Title": plot_title(table, cost)}
        )
    return buffer.getvalue()


def describe(table: ReportTable, cost: Cost, paper: ReportTable | None) -> str:
    """What a drawing says, in words."""
    placed = [row for row in table.rows if row.standing(cost) is not None]
    on_front = sorted((row for row in placed if _on_front(row, cost)), key=lambda row: _mean(row, cost))
    text = f"{len(placed)} models. Pareto front by rising {cost}: {', '.join(row.model for row in on_front)}."
    if failed := [row.model for row in table.rows if row.status(cost) == FAILED]:
        text += f" Failed and not drawn: {', '.join(failed)}."
    if paper is not None:
        text += " The paper's figures, from another device, are drawn as a separate series."
    return text


def _mean(row: ReportRow, cost: Cost) -> float:
    quantity = row.cost(cost)
    return 0.0 if quantity is None else quantity.mean


def _on_front(row: ReportRow, cost: Cost) -> bool:
    standing = row.standing(cost)
    return standing is not None and standing.on_front


def _style(canvas: Canvas, *, salt: str) -> Any:
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": salt,
            "font.family": FONT,
            "font.size": canvas.font_pt,
            "text.color": INK.light,
            "text.parse_math": False,  # names of files may hold dollars
            "axes.labelcolor": INK.light,
            "axes.edgecolor": GRID.light,
            "axes.facecolor": "none",
            "figure.facecolor": GROUND.light,
            "figure.dpi": _DPI,
            "grid.color": GRID.light,
            "xtick.color": MUTED.light,
            "ytick.color": MUTED.light,
        }
    )


def _draw(table: ReportTable, cost: Cost, paper: ReportTable | None, canvas: Canvas) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(canvas.width_in, canvas.height_in), layout=layout)
    surface = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    scale = 1e3 if _unit(table, cost) in ("s", "J") else 1.0
    points = _points(table, cost, scale, FRONT)
    reported = _points(paper, cost, scale, REPORTED) if paper is not None else []
    _draw_points(axes, points, "Pareto front" if table.origin == "measured" else "Pareto front, as reported")
    _draw_points(axes, reported, "reported by the paper, on its own device")
    _axes(axes, table, cost, [*points, *reported])
    if canvas.titled:
        title = textwrap.fill(plot_title(table, cost), _TITLE_CHARACTERS)  # matplotlib's own wrapping reads mathematics
        axes.set_title(title, loc="left", fontsize=canvas.font_pt + 1)
    _legend(figure, [*points, *reported], canvas)
    _label(surface, axes, [*points, *reported], canvas)
    return figure


def _unit(table: ReportTable, cost: Cost) -> str:
    return table.latency_unit if cost is Cost.LATENCY else table.energy_unit


def _points(table: ReportTable, cost: Cost, scale: float, tone: Tone) -> list[_Point]:
    """What takes part in the comparison; failed figures mean nothing and are not drawn."""
    reported = tone is REPORTED
    points = []
    for row in table.rows:
        quantity, status = row.cost(cost), row.status(cost) or ""
        if quantity is None or row.accuracy is None or not comparable(row, cost):
            continue
        on_front = _on_front(row, cost)
        points.append(
            _Point(
                name=row.model,
                mark="" if status in SOUND else f" ({status})",
                x=quantity.mean / scale,
                x_sd=None if quantity.sd is None else quantity.sd / scale,
                y=row.accuracy.value,
                on_front=on_front,
                tone=tone if on_front or reported else MUTED,
            )
        )
    return points


def _draw_points(axes: Axes, points: Sequence[_Point], label: str) -> None:
    """Markers with their error bars, and the front as steps: what is attained at that cost."""
    on_front = sorted((p for p in points if p.on_front), key=lambda p: p.x)
    for point in points:
        colour = point.tone.light
        sides = (
            None if point.x_sd is None else [[min(point.x_sd, 0.95 * point.x)], [point.x_sd]]
        )  # log axes end above 0
        axes.errorbar(
            point.x, point.y, xerr=sides, fmt="D" if point.reported else "o", color=colour,
            ecolor=colour, markerfacecolor=colour if point.sound and not point.reported else "none",
            markersize=_HALF_MARKER if point.reported else 2 * _HALF_MARKER - 1,
            elinewidth=0.5 if point.reported else 0.9, capsize=0 if point.reported else 2.5, capthick=0.9,
            zorder=4 if point.on_front else 3,
        )  # fmt: skip
    if on_front:
        tone = on_front[0].tone
        axes.plot(
            [p.x for p in on_front], [p.y for p in on_front], drawstyle="steps-post", color=tone.light,
            linestyle="--" if tone is REPORTED else "-", linewidth=0.9 if tone is REPORTED else 1.4, label=label,
            zorder=2,
        )  # fmt: skip


def _axes(axes: Axes, table: ReportTable, cost: Cost, points: Sequence[_Point]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set_xlabel(f"{cost} in {_unit(table, cost)}, mean ± deviation")
    axes.set_ylabel(str(table.metric or "accuracy"))
    smallest, largest = min(p.x for p in points), max(p.x for p in points)
    if smallest > 0 and largest / smallest >= _LOG_FROM:
        axes.set_xscale("log")
        subs = _TICKS if largest / smallest < 30 else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"{axes.get_xlabel()} (log scale)")
    axes.margins(x=0.09, y=0.12)
    axes.grid(linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure, points: Sequence[_Point], canvas: Canvas) -> None:
    """Only what occurs in the drawing, below it."""
    from matplotlib.lines import Line2D

    axes = figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    own = [point for point in points if not point.reported]
    entries = (
        (any(not point.on_front for point in own), MUTED, MUTED.light, "dominated"),
        (any(not point.sound for point in own), INK, "none", "with reservations, see table"),
    )
    for occurs, tone, face, text in entries:
        if occurs:
            handle = Line2D([], [], linestyle="none", marker="o", color=tone.light, markerfacecolor=face)
            handles, labels = [*handles, handle], [*labels, text]
    columns = len(labels) if canvas.width_in > 6 else 1
    figure.legend(
        handles, labels, loc="outside lower left", ncols=columns, frameon=False, fontsize=canvas.font_pt - 0.5
    )


def _label(surface: FigureCanvasAgg, axes: Axes, points: Sequence[_Point], canvas: Canvas) -> None:
    """Name the points: all of the table's own front, the others where there is room beside them."""
    surface.figure.draw_without_rendering()
    surface.figure.set_layout_engine("none")  # labels are placed on this layout
    named = [point for point in points if point.on_front or not point.reported]
    texts = [_text(axes, point, canvas) for point in named]
    renderer = surface.get_renderer()
    sizes = [text.get_window_extent(renderer) for text in texts]
    pixels = axes.transData.transform([(point.x, point.y) for point in named])
    labels = [
        Label(x, y, size.width + 2, size.height, required=point.on_front and not point.reported)
        for (x, y), size, point in zip(pixels, sizes, named, strict=True)
    ]
    frame = axes.get_window_extent(renderer)
    bounds = Box(frame.x0, frame.y0, frame.x1, frame.y1)
    places = place_labels(labels, _obstacles(axes, points), bounds, gap=_HALF_MARKER + 2)
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
    boxes = [*_steps(axes, points, REPORTED), *_steps(axes, points, None)]
    for point in points:
        x, y = axes.transData.transform((point.x, point.y))
        boxes.append(Box(x - _HALF_MARKER, y - _HALF_MARKER, x + _HALF_MARKER, y + _HALF_MARKER))
        if point.x_sd:
            low, _ = axes.transData.transform((max(point.x - point.x_sd, 0.05 * point.x), point.y))
            high, _ = axes.transData.transform((point.x + point.x_sd, point.y))
            boxes.append(Box(low, y - 1, high, y + 1))
    return boxes


def _steps(axes: Axes, points: Sequence[_Point], tone: Tone | None) -> list[Box]:
    """The lines of one front: the reported one, or with None the table's own."""
    chosen = [p for p in points if p.on_front and p.reported == (tone is REPORTED)]
    if not chosen:
        return []
    corners = [(float(x), float(y)) for x, y in axes.transData.transform(sorted((p.x, p.y) for p in chosen))]
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        boxes += [Box(x0, y0 - 1, x1, y0 + 1), Box(x1 - 1, min(y0, y1), x1 + 1, max(y0, y1))]
    return boxes


def _annotate(axes: Axes, point: _Point, text: str, label: Label, place: Box, font_pt: float) -> None:
    """The label at its place, with a line to its point where it stands away from it."""
    centre = (place.x0 + place.x1) / 2 - label.x, (place.y0 + place.y1) / 2 - label.y
    nearest_x = min(max(label.x, place.x0), place.x1) - label.x
    nearest_y = min(max(label.y, place.y0), place.y1) - label.y
    away = (nearest_x**2 + nearest_y**2) ** 0.5 > 3 * _HALF_MARKER
    tone = INK if point.on_front and not point.reported else point.tone
    line = {"arrowstyle": "-", "color": MUTED.light, "linewidth": 0.6, "shrinkA": 0, "shrinkB": _HALF_MARKER}
    axes.annotate(
        text, (point.x, point.y), xytext=centre, textcoords="offset points", ha="center", va="center", color=tone.light,
        fontsize=font_pt, zorder=5, arrowprops=line if away else None,
    )  # fmt: skip
