"""Draw a power trace with all that its energy figure rests on, and the inferences laid over each other."""

from __future__ import annotations

import importlib.util
import io
import textwrap
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import MissingDependencyError, UsageError
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.analysis import examine
from validation.energy.evidence import Evidence
from validation.energy.plot_data import Fold, Spans, closer_look, course_of, folds_of, merged, spans_of
from validation.energy.report import EnergyReport
from validation.energy.tables import figure_lines, headline, verdict_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.gridspec import GridSpec

SUFFIXES = (".png", ".svg", ".pdf")
_GROUND, _INK, _MUTED, _GRID = "#fefefe", "#24292f", "#7b838c", "#dde2e7"
_POWER, _BACKGROUND = "#5a9bd4", "#24292f"
_COLOURS = {
    "windows": "#0969da", "regions": "#1a7f37", "regions' starts": "#1a7f37", "controls": "#8250df",
    "warm-up": "#7b838c", "sync pulses": "#b3590a", "idle used": "#57a6a1", "excluded": "#cf222e",
    "lost samples": "#cf222e",
}  # fmt: skip
_FOLDS = ("#0969da", "#b3590a", "#1a7f37", "#cf222e")
_FONT = "DejaVu Sans"  # comes with matplotlib
_WIDTH_IN, _DRAWN_IN, _FOLDED_IN, _LINE_IN, _LANE_IN = 11.0, 5.1, 4.2, 0.19, 0.2
_ENLARGED = 0.1  # of the inferences' power: where tails end, and steps in gaps, show
_PNG_DPI = 144  # twice a page's, for dense screens
_COLUMNS = 1400  # about as many dots as the trace is wide at that resolution
_CHARACTERS = 160  # of a line of reasons: as many as fit below the drawing
_MOST_LINES = 24  # of reasons: the report has them all


def require_plot(path: Path) -> None:
    """Refuse early what cannot be drawn here.

    Raises:
        UsageError: Another suffix than those of ``SUFFIXES``.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {path}: expected a name that ends in {', '.join(SUFFIXES)}", hint="--plot energy.png")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("cannot draw plots: matplotlib is not installed", extra="report")


def draw_energy(report: EnergyReport, trace: PowerTrace, stamps: RunStamps | None, suffix: str) -> bytes:
    """The drawing as a file of the kind that ``suffix`` names.

    Args:
        report: What is said about ``trace``.
        trace: The recording.
        stamps: Of its run; without them only the trace and its regions are drawn.
        suffix: One of ``SUFFIXES``.
    """
    evidence = None if stamps is None else examine(trace, stamps)
    kind, buffer = suffix.lower().removeprefix("."), io.BytesIO()
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a file's name
        figure = _figure(report, trace, evidence)
        figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata={"Title": headline(report)})
    return buffer.getvalue()


def _style() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "font.family": _FONT,
            "font.size": 9.0,
            "text.color": _INK,
            "text.parse_math": False,  # names of files may hold dollars
            "axes.labelcolor": _INK,
            "axes.edgecolor": _GRID,
            "axes.titlesize": 9.0,
            "axes.titlelocation": "left",
            "axes.facecolor": "none",
            "figure.facecolor": _GROUND,
            "grid.color": _GRID,
            "xtick.color": _MUTED,
            "ytick.color": _MUTED,
        }
    )


def _figure(report: EnergyReport, trace: PowerTrace, evidence: Evidence | None) -> Figure:
    from matplotlib.figure import Figure

    spans, words = spans_of(report, trace, evidence), _words(report)
    lanes_in, words_in = _LANE_IN * (len(spans) + 1), _LINE_IN * (len(words) + 0.7)
    height_in = _DRAWN_IN + (_FOLDED_IN if evidence is not None else 0.0) + lanes_in + words_in
    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    parts = figure.add_gridspec(2, 1, height_ratios=(height_in - words_in, words_in))
    drawn, below = figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])
    ratios = [2.4, lanes_in, 1.7, *([_FOLDED_IN / 2] * 2 if evidence is not None else [])]
    grid = drawn.add_gridspec(len(ratios), 2, height_ratios=ratios)
    whole = drawn.add_subplot(grid[0, :])
    lanes = drawn.add_subplot(grid[1, :], sharex=whole)
    _draw_trace(whole, trace, evidence, spans)
    _draw_lanes(lanes, spans, trace.seconds)
    _draw_closer(drawn.add_subplot(grid[2, :]), trace, evidence, spans)
    if evidence is not None:
        _draw_folded(drawn, grid, evidence)
    drawn.suptitle(_title(report), x=0.01, ha="left", fontsize=10.5)
    below.text(0.012, 0.98, "\n".join(words), va="top", fontsize=8.5, linespacing=1.35)
    return figure


def _title(report: EnergyReport) -> str:
    """The figure and its verdict; below, what was measured."""
    subject = report.subject
    names = [subject.artifact, subject.device] if subject else [Path(report.trace.source).name]
    facts = [*names, report.trace.meter, f"{report.trace.seconds:.1f} s at {report.trace.rate_hz:g} Hz"]
    known = " · ".join(fact for fact in facts if fact)
    return f"{headline(report)}\n{textwrap.shorten(_printable(known), _CHARACTERS, placeholder=' …')}"


def _words(report: EnergyReport) -> list[str]:
    """What is written below the drawing, in lines that fit it."""
    said = [*figure_lines(report), verdict_line(report), *(f"- {reason}" for reason in report.reasons)]
    lines = [line for text in said for line in textwrap.wrap(_printable(text), _CHARACTERS, subsequent_indent="  ")]
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], "… and more: see the report"]


def _printable(text: str) -> str:
    """Names of files may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


def _draw_trace(axes: Axes, trace: PowerTrace, evidence: Evidence | None, spans: Sequence[Spans]) -> None:
    _draw_power(axes, trace, evidence, 0.0, trace.seconds)
    _shade(axes, [merged(each, trace.seconds / _COLUMNS) for each in spans])
    shaded = "" if evidence is None else "; stamped windows are shaded"
    axes.set_title(f"power: least to most of each dot{shaded}", color=_MUTED)
    axes.tick_params(labelbottom=False)
    if evidence is not None:
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=2, borderaxespad=0.0)


def _draw_power(axes: Axes, trace: PowerTrace, evidence: Evidence | None, start_s: float, end_s: float) -> None:
    course = course_of(trace, start_s, end_s, _COLUMNS)
    axes.fill_between(
        course.seconds, course.low_mw, course.high_mw, color=_POWER, linewidth=0.8, label="power", zorder=2
    )
    if evidence is not None:
        moments = np.linspace(start_s, end_s, _COLUMNS)
        axes.plot(
            moments, evidence.model.background_mw(moments), color=_BACKGROUND, linewidth=1.3, label="background",
            zorder=3,
        )  # fmt: skip
    axes.set_xlim(start_s, end_s)
    axes.set_ylabel("mW")
    _plain(axes)


def _shade(axes: Axes, spans: Sequence[Spans]) -> None:
    """Windows over the height of the drawing, in the colour of their kind."""
    for each in spans:
        if each.name in ("windows", "excluded", "controls"):
            _bars(axes, each, (0.0, 1.0), alpha=0.18, transform=axes.get_xaxis_transform(), linewidth=0.0, zorder=1)


def _bars(axes: Axes, spans: Spans, rows: tuple[float, float], **style: object) -> None:
    pairs = list(zip(spans.starts_s.tolist(), (spans.ends_s - spans.starts_s).tolist(), strict=True))
    axes.broken_barh(pairs, rows, color=_COLOURS[spans.name], **style)  # type: ignore[arg-type]


def _draw_lanes(axes: Axes, spans: Sequence[Spans], seconds: float) -> None:
    """One lane for each kind of interval, so that none hides another."""
    for row, each in enumerate(spans):
        _bars(axes, merged(each, seconds / _COLUMNS), (row - 0.32, 0.64), linewidth=0.6)
    axes.set_yticks(range(len(spans)), [f"{each.name} ({len(each.starts_s)})" for each in spans])
    axes.set_ylim(max(len(spans), 1) - 0.4, -0.6)
    axes.set_xlabel("s on the trace's clock")
    _plain(axes)
    axes.grid(visible=False, axis="y")


def _draw_closer(axes: Axes, trace: PowerTrace, evidence: Evidence | None, spans: list[Spans]) -> None:
    start_s, end_s, what = closer_look(spans, evidence, trace.seconds)
    _draw_power(axes, trace, evidence, start_s, end_s)
    _shade(axes, spans)
    for each in spans:
        if each.name.startswith("regions"):
            edges = np.concatenate([each.starts_s, each.ends_s])
            for edge in edges[(edges > start_s) & (edges < end_s)]:
                axes.axvline(edge, color=_COLOURS[each.name], linewidth=0.9, linestyle="--", zorder=4)
    axes.set_title(f"a closer look: {what}; dashed: where regions start and end", color=_MUTED)
    axes.set_xlabel("s")


def _draw_folded(drawn: SubFigure, grid: GridSpec, evidence: Evidence) -> None:
    """At the windows' starts and ends: once whole, and once only what lies around the background."""
    for column, edge in enumerate(("start", "end")):
        folds = folds_of(evidence, at_end=edge == "end")
        whole = drawn.add_subplot(grid[3, column])
        near = drawn.add_subplot(grid[4, column], sharex=whole)
        for axes in (whole, near):
            _draw_folds(axes, folds)
        if edge == "end" and evidence.model.tail.over_s > evidence.model.pad_s:
            for axes in (whole, near):
                axes.axvline(evidence.model.tail.over_s * 1e3, color=_MUTED, linestyle=":", label="tail is over")
        near.set_ylim(-_ENLARGED * evidence.power_mw, _ENLARGED * evidence.power_mw)
        near.set_xlabel(f"ms after the {edge}")
        whole.tick_params(labelbottom=False)
        whole.set_title(f"windows laid over each other at their {edge}: mean, and 80 % of them", color=_MUTED)
        near.set_title("the same, enlarged", color=_MUTED)
        if edge == "end":
            whole.legend(frameon=False, loc="upper right")


def _draw_folds(axes: Axes, folds: Sequence[Fold]) -> None:
    for index, fold in enumerate(folds):
        colour = _COLOURS["controls"] if fold.name == "controls" else _FOLDS[index % len(_FOLDS)]
        moments_ms = fold.seconds * 1e3
        axes.fill_between(moments_ms, fold.low_mw, fold.high_mw, color=colour, alpha=0.15, linewidth=0)
        axes.plot(moments_ms, fold.mean_mw, color=colour, linewidth=1.2, label=f"{fold.name} ({fold.windows})")
    axes.axvline(0.0, color=_INK, linewidth=0.8)
    axes.axhline(0.0, color=_INK, linewidth=0.8)
    axes.set_ylabel("mW above background")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.grid(linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
