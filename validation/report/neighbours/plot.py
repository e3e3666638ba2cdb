"""Draw the paper's ratios against those measured, both on logarithmic axes: on the diagonal both are the same."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from edgevit.neighbours import BASE
from validation.report.labels import Box, Label, place_labels
from validation.report.plots import ALONE, BLUE, HALF_MARKER, INK, MUTED, ORANGE, Canvas, as_png, as_svg, style
from validation.report.rows import Agreement, PaperComparison, PaperRatio, Ratio
from validation.report.tables import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {Agreement.HOLDS: BLUE, Agreement.FAILS: ORANGE, Agreement.UNDECIDED: MUTED}
_WORDS = {
    Agreement.HOLDS: "order as in the paper",
    Agreement.FAILS: "order turned round",
    Agreement.UNDECIDED: "order not decided",
}
_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0)
_MARGIN = 1.18  # times beyond the outermost point; chosen: room for a label
_TITLE_CHARACTERS = 92  # as many as fit above a drawing of ``ALONE``
_CLEARANCE = 2.0  # pixels that no label comes closer to a line


def drawn_rows(comparison: PaperComparison) -> list[tuple[PaperRatio, Ratio, Ratio]]:
    """Networks with a ratio there and here: (row, reported, measured)."""
    return [(row, row.reported, row.measured) for row in comparison.rows if row.reported and row.measured]


def ratio_title(comparison: PaperComparison) -> str:
    """What the drawing shows."""
    return f"Latency over {BASE}'s, here and in the paper: {comparison.title.partition(': ')[2]}"


def describe_ratios(comparison: PaperComparison) -> str:
    """What the drawing says, in words."""
    drawn = [row for row, _, _ in drawn_rows(comparison)]
    parts = [f"{counted(len(drawn), 'network')}."]
    for agreement, words in _WORDS.items():
        if models := [row.model for row in drawn if row.agreement is agreement]:
            parts.append(f"{words[0].upper()}{words[1:]}: {', '.join(models)}.")
    return " ".join(parts)


def ratio_svg(comparison: PaperComparison, canvas: Canvas = ALONE) -> str:
    """The drawing as SVG whose text stays text."""
    with style(canvas, salt=comparison.slug):
        return as_svg(_draw(comparison, canvas), ratio_title(comparison), describe_ratios(comparison))


def ratio_png(comparison: PaperComparison, canvas: Canvas = ALONE) -> bytes:
    """The drawing as PNG."""
    with style(canvas, salt=comparison.slug):
        return as_png(_draw(comparison, canvas), ratio_title(comparison))


def _draw(comparison: PaperComparison, canvas: Canvas) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(canvas.width_in, canvas.height_in), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    axes = figure.add_subplot()
    rows = drawn_rows(comparison)
    _axes(axes, rows)
    for row, reported, measured in rows:
        colour = _colour(row)
        axes.errorbar(
            reported.value, measured.value, xerr=_sides(reported), yerr=_sides(measured), fmt="o", color=colour,
            ecolor=colour, markersize=2 * HALF_MARKER - 1, elinewidth=0.9, capsize=0, zorder=3,
        )  # fmt: skip
    if canvas.titled:
        title = textwrap.fill(ratio_title(comparison), _TITLE_CHARACTERS)
        axes.set_title(title, loc="left", fontsize=canvas.font_pt + 1)
    _legend(figure, rows, canvas)
    _label(figure, axes, rows, canvas)
    return figure


def _colour(row: PaperRatio) -> str:
    return MUTED if row.agreement is None else _COLOURS.get(row.agreement, MUTED)


def _sides(ratio: Ratio) -> list[list[float]]:
    return [[ratio.value - ratio.low], [ratio.high - ratio.value]]


def _axes(axes: Axes, rows: list[tuple[PaperRatio, Ratio, Ratio]]) -> None:
    """Both axes alike, the diagonal, and the lines of EdgeViT-XXS itself."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    ends = [end for _, reported, measured in rows for ratio in (reported, measured) for end in (ratio.low, ratio.high)]
    low, high = min([1.0, *ends]) / _MARGIN, max([1.0, *ends]) * _MARGIN
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([tick for tick in _TICKS if low <= tick <= high]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("ratio reported by the paper (log scale)")
    axes.set_ylabel("ratio here (log scale)")
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1.0, linestyle="--", zorder=1)
    axes.axhline(1.0, color=INK, linewidth=0.7, zorder=1)
    axes.axvline(1.0, color=INK, linewidth=0.7, zorder=1)
    axes.grid(linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _legend(figure: Figure, rows: list[tuple[PaperRatio, Ratio, Ratio]], canvas: Canvas) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", color=_COLOURS[agreement], label=words)
        for agreement, words in _WORDS.items()
        if any(row.agreement is agreement for row, _, _ in rows)
    ]
    handles.append(Line2D([], [], linestyle="--", linewidth=1.0, color=MUTED, label="the same ratio"))
    columns = len(handles) if canvas.width_in > 6 else 1
    figure.legend(
        handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize=canvas.font_pt - 0.5
    )


def _label(figure: Figure, axes: Axes, rows: list[tuple[PaperRatio, Ratio, Ratio]], canvas: Canvas) -> None:
    """Name every point, with a line to it where its name stands away."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels are placed on this layout
    texts = [axes.text(there.value, here.value, row.model, fontsize=canvas.font_pt - 1) for row, there, here in rows]
    sizes = [text.get_window_extent() for text in texts]
    pixels = axes.transData.transform([(there.value, here.value) for _, there, here in rows])
    labels = [
        Label(x, y, size.width + 2, size.height, required=True) for (x, y), size in zip(pixels, sizes, strict=True)
    ]
    bounds = Box(*axes.get_window_extent().extents)
    places = place_labels(labels, _obstacles(axes, rows), bounds, gap=HALF_MARKER + 2)
    for (row, there, here), text, label, place in zip(rows, texts, labels, places, strict=True):
        text.remove()
        if place is not None:
            _annotate(axes, row, (there.value, here.value), label, place, canvas.font_pt - 1)


def _obstacles(axes: Axes, rows: list[tuple[PaperRatio, Ratio, Ratio]]) -> list[Box]:
    """Markers, error bars, the diagonal and the lines of EdgeViT-XXS, in pixels."""
    boxes = []
    for _, there, here in rows:
        left, bottom = axes.transData.transform((there.low, here.low))
        right, top = axes.transData.transform((there.high, here.high))
        x, y = axes.transData.transform((there.value, here.value))
        boxes += [Box(left, y - 1, right, y + 1), Box(x - 1, bottom, x + 1, top)]
        boxes.append(Box(x - HALF_MARKER, y - HALF_MARKER, x + HALF_MARKER, y + HALF_MARKER))
    frame = axes.get_window_extent()
    one_x, one_y = axes.transData.transform((1.0, 1.0))
    boxes += [
        Box(frame.x0, one_y - _CLEARANCE, frame.x1, one_y + _CLEARANCE),
        Box(one_x - _CLEARANCE, frame.y0, one_x + _CLEARANCE, frame.y1),
    ]
    steps = 100  # boxes along the diagonal; chosen: each is a few pixels
    for step in range(steps):
        x, y = frame.x0 + frame.width * step / steps, frame.y0 + frame.height * step / steps
        boxes.append(Box(x, y, x + frame.width / steps, y + frame.height / steps))
    return boxes


def _annotate(
    axes: Axes, row: PaperRatio, point: tuple[float, float], label: Label, place: Box, font_pt: float
) -> None:
    centre = (place.x0 + place.x1) / 2 - label.x, (place.y0 + place.y1) / 2 - label.y
    nearest_x = min(max(label.x, place.x0), place.x1) - label.x
    nearest_y = min(max(label.y, place.y0), place.y1) - label.y
    away = (nearest_x**2 + nearest_y**2) ** 0.5 > 3 * HALF_MARKER
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": HALF_MARKER}
    axes.annotate(
        row.model, point, xytext=centre, textcoords="offset points", ha="center", va="center", color=INK,
        fontsize=font_pt, zorder=5, arrowprops=line if away else None,
    )  # fmt: skip
