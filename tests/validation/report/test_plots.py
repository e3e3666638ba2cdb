"""Plots: drawn for real, then read back as pixels and XML."""

import xml.etree.ElementTree as ET
from io import BytesIO
from itertools import combinations, pairwise

import msgspec
import pytest
from matplotlib.path import Path
from PIL import Image
from report_records import SMALL, measured

from validation.report import plots
from validation.report.paper import paper_beside, paper_report_tables
from validation.report.plots import ALONE, NARROW, WIDE, Canvas, describe, plot_png, plot_svg, shortened
from validation.report.rows import Cost, Metric, ReportTable, with_dominance
from validation.report.tables import plot_title


def paper(slug: str) -> ReportTable:
    return next(table for table in paper_report_tables() if table.slug == slug)


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("slug", "cost"), [("paper-table-2", Cost.LATENCY), ("paper-table-3", Cost.ENERGY), ("paper-table-7", Cost.ENERGY)]
)
def test_labels_of_the_papers_plots_do_not_overlap_and_stay_inside(slug: str, cost: Cost, canvas: Canvas) -> None:
    table = paper(slug)
    with plots.style(canvas, salt="t"):
        figure = plots._draw(table, cost, None, canvas)
        texts = figure.axes[0].texts
        boxes = {text.get_text(): text.get_window_extent() for text in texts}
    frame = figure.bbox
    for name, box in boxes.items():
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1, name
    overlapping = [(a, b) for (a, one), (b, other) in combinations(boxes.items(), 2) if one.overlaps(other)]
    assert overlapping == []
    for line in (line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"):
        path = line.get_transform().transform_path(line.get_path())
        corners = [(x, y) for (x0, y0), (x1, y1) in pairwise(path.vertices) for x, y in ((x0, y0), (x1, y0), (x1, y1))]
        struck = [name for name, box in boxes.items() if Path(corners).intersects_bbox(box, filled=False)]
        assert struck == []
    on_front = {row.model for row in table.rows if row.on_front(cost)}
    assert on_front <= set(boxes)


def test_every_point_has_its_error_bar_and_failed_ones_are_not_drawn() -> None:
    with plots.style(WIDE, salt="t"):
        axes = plots._draw(SMALL, Cost.LATENCY, None, WIDE).axes[0]
    drawn = {container.lines[0].get_ydata()[0]: container for container in axes.containers}
    assert sorted(drawn) == [70.0, 77.5, 81.0]
    ((left, right),) = ((s[0][0], s[1][0]) for s in drawn[81.0].lines[2][0].get_segments())
    assert (left, right) == pytest.approx((83.0, 85.0))
    ((left, _),) = ((s[0][0], s[1][0]) for s in drawn[70.0].lines[2][0].get_segments())
    assert left > 0
    assert drawn[77.5].lines[0].get_markerfacecolor() == "none"


def test_the_papers_series_is_separate_and_changes_no_front() -> None:
    beside = paper_beside(Metric.TOP1, "224x224")
    assert beside is not None
    with plots.style(WIDE, salt="t"):
        axes = plots._draw(SMALL, Cost.LATENCY, beside, WIDE).axes[0]
    steps = {line.get_label(): list(line.get_xdata()) for line in axes.lines if not line.get_label().startswith("_")}
    assert steps["Pareto front"] == [52.0, 84.0]
    assert steps["reported by the paper, on its own device"] == [23.0, 32.8, 52.1, 54.1, 71.3, 85.3]


def test_png_has_the_size_it_says_and_is_the_same_every_time() -> None:
    png = plot_png(paper("paper-table-3"), Cost.ENERGY, None)
    image = Image.open(BytesIO(png))
    assert image.size == (int(ALONE.width_in * 144), int(ALONE.height_in * 144))
    assert len(png) < 150_000
    assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 50
    assert plot_png(paper("paper-table-3"), Cost.ENERGY, None) == png


def test_svg_is_well_formed_described_and_searchable() -> None:
    svg = plot_svg(SMALL, Cost.LATENCY, None)
    root = ET.fromstring(svg)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == plot_title(SMALL, Cost.LATENCY)
    description = root.find(".//{http://purl.org/dc/elements/1.1/}description")
    assert description is not None and "Failed and not drawn: wrong." in (description.text or "")
    texts = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"edgevit-s", "edgevit-xs (noisy)"} <= texts
    assert svg.count("'DejaVu Sans'") == svg.count("'DejaVu Sans', Verdana, sans-serif") >= len(texts)
    assert plot_svg(SMALL, Cost.LATENCY, None) == svg


def test_a_drawing_in_words_names_the_front_by_rising_cost() -> None:
    words = describe(SMALL, Cost.LATENCY, paper("paper-table-2"))
    assert words.startswith("3 models. Pareto front by rising latency: edgevit-xs, edgevit-s.")
    assert "Failed and not drawn: wrong." in words
    assert "from another device" in words


def test_long_names_keep_both_ends() -> None:
    assert shortened("edgevit-xxs-features-512x512.tflite", 20) == "edgevit-x…512.tflite"
    assert len(shortened("x" * 50, 20)) == 20
    assert shortened("short", 20) == "short"


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("first", "last"), [(20.0, 90.0), (101.0, 390.0), (1000.0, 1400.0), (1.0, 9000.0), (0.011, 0.019), (3.0, 100.0)]
)
def test_numbers_on_the_axis_keep_apart_and_there_are_at_least_two(first: float, last: float, canvas: Canvas) -> None:
    table = measured(*((f"m{i}", first + (last - first) * i / 4, None, 70.0 + i, "valid") for i in range(5)))
    with plots.style(canvas, salt="t"):
        figure = plots._draw(table, Cost.LATENCY, None, canvas)
        axes = figure.axes[0]
        figure.draw_without_rendering()
        low, high = axes.get_xlim()
        ticks = zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
        boxes = [label.get_window_extent() for label, place in ticks if low <= place <= high]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_sizes_are_drawn_without_deviations_and_without_the_papers_figures() -> None:
    rows = [msgspec.structs.replace(row, size_bytes=(at + 2) * 4_000_000) for at, row in enumerate(SMALL.rows)]
    table = msgspec.structs.replace(SMALL, plots=(Cost.SIZE,), rows=with_dominance(rows))
    beside = paper_beside(Metric.TOP1, "224x224")
    with plots.style(WIDE, salt="t"):
        axes = plots._draw(table, Cost.SIZE, beside, WIDE).axes[0]
    steps = {line.get_label(): list(line.get_xdata()) for line in axes.lines if not line.get_label().startswith("_")}
    assert steps == {"Pareto front": [8.0]}
    assert axes.get_xlabel() == "size in MB"
    words = describe(table, Cost.SIZE, beside)
    assert "by rising size: edgevit-s." in words and "another device" not in words and "wrong" in words
    assert ET.fromstring(plot_svg(table, Cost.SIZE, beside)) is not None
