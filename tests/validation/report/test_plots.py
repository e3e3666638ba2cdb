"""Plots and the page: drawn for real, then read back as pixels, XML and HTML."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations, pairwise

import pytest
from matplotlib.path import Path
from PIL import Image

from validation.report import plots
from validation.report.files import ReportFormat, render_report
from validation.report.html import report_html
from validation.report.paper import paper_beside, paper_report_tables
from validation.report.plots import ALONE, NARROW, WIDE, Canvas, plot_png, plot_svg, shortened
from validation.report.rows import (
    Accuracy,
    Conditions,
    Cost,
    Metric,
    Quantity,
    ReportData,
    ReportRow,
    ReportTable,
    with_standings,
)
from validation.report.svg import TONES

XLINK = "{http://www.w3.org/1999/xlink}href"
NASTY = "<script>alert(1)</script> & \"a\" 'b' $x^$"


def paper(slug: str) -> ReportTable:
    return next(table for table in paper_report_tables() if table.slug == slug)


def measured(*rows: tuple[str, float, float | None, float, str]) -> ReportTable:
    made = [
        ReportRow(
            model=model, latency_ms=Quantity(mean=mean, sd=sd), latency_status=status,
            accuracy=Accuracy(metric=Metric.TOP1, value=value, kind="stated"),
            reasons=() if status == "valid" else (f"latency {status}: {NASTY}",),
        )
        for model, mean, sd, value, status in rows
    ]  # fmt: skip
    return ReportTable(
        slug="phone", title=f"Phone {NASTY}", origin="measured", conditions=Conditions(device="d", input="224x224"),
        metric=Metric.TOP1, plots=(Cost.LATENCY,), rows=with_standings(made),
    )  # fmt: skip


SMALL = measured(
    ("edgevit-s", 84.0, 1.0, 81.0, "valid"),
    ("edgevit-xs", 52.0, None, 77.5, "noisy"),
    ("wrong", 1.0, 0.1, 99.0, "failed"),
    (NASTY, 90.0, 120.0, 70.0, "valid"),
)


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("slug", "cost"), [("paper-table-2", Cost.LATENCY), ("paper-table-3", Cost.ENERGY), ("paper-table-7", Cost.ENERGY)]
)
def test_labels_of_the_papers_plots_do_not_overlap_and_stay_inside(slug: str, cost: Cost, canvas: Canvas) -> None:
    table = paper(slug)
    with plots._style(canvas, salt="t"):
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
    on_front = {row.model for row in table.rows if (place := row.standing(cost)) and place.on_front}
    assert on_front <= set(boxes)


def test_every_point_has_its_error_bar_and_failed_ones_are_not_drawn() -> None:
    with plots._style(WIDE, salt="t"):
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
    with plots._style(WIDE, salt="t"):
        axes = plots._draw(SMALL, Cost.LATENCY, beside, WIDE).axes[0]
    steps = {line.get_label(): list(line.get_xdata()) for line in axes.lines if not line.get_label().startswith("_")}
    assert steps["Pareto front"] == [52.0, 84.0]
    assert steps["reported by the paper, on its own device"] == [23.0, 32.8, 52.1, 54.1, 71.3, 85.3]


@pytest.mark.parametrize(
    ("metric", "size", "expected"),
    [
        (Metric.TOP1, "224x224", "paper-classification"),
        (Metric.AP, "800x800", "paper-table-7"),
        (Metric.MIOU, "512x512", "paper-table-8"),
        (Metric.TOP1, "256x256", None),
        (Metric.AP, "224x224", None),
    ],
)
def test_the_paper_stands_only_beside_the_same_task_and_size(metric: Metric, size: str, expected: str | None) -> None:
    beside = paper_beside(metric, size)
    assert (beside.slug if beside else None) == expected


def test_png_has_the_size_it_says_and_is_the_same_every_time() -> None:
    png = plot_png(paper("paper-table-3"), Cost.ENERGY, None)
    image = Image.open(BytesIO(png))
    assert image.size == (int(ALONE.width_in * 144), int(ALONE.height_in * 144))
    assert len(png) < 150_000
    assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 50
    assert plot_png(paper("paper-table-3"), Cost.ENERGY, None) == png


@pytest.mark.parametrize("standalone", [True, False])
def test_svg_is_well_formed_described_and_complete(standalone: bool) -> None:
    svg = plot_svg(SMALL, Cost.LATENCY, None, WIDE, name="n", standalone=standalone)
    root = ET.fromstring(svg)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name is not None and name.startswith("n-") for name in ids)
    assert set((root.get("aria-labelledby") or "").split()) <= set(ids)
    used = {element.get(XLINK, "#")[1:] for element in root.iter() if element.get(XLINK)}
    used |= set(re.findall(r"url\(#([^)]+)\)", svg))
    assert used and used <= set(ids)
    texts = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"edgevit-s", "edgevit-xs (noisy)"} <= texts
    assert root.get("viewBox") and root.get("width") is None
    assert ("<?xml" in svg, "prefers-color-scheme" in svg) == (standalone, standalone)
    assert "<!DOCTYPE" not in svg and "<metadata" not in svg


def test_every_colour_that_is_drawn_has_a_dark_one() -> None:
    for table, cost in ((SMALL, Cost.LATENCY), (paper("paper-table-3"), Cost.ENERGY)):
        svg = plot_svg(table, cost, paper_beside(Metric.TOP1, "224x224"), WIDE, name="n", standalone=False)
        colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg))
        assert colours <= {tone.light for tone in TONES}
        assert not re.search(r"(?:fill|stroke)[:=]\s*\"?(?:black|#000\b)", svg)


def test_long_names_keep_both_ends() -> None:
    assert shortened("edgevit-xxs-features-512x512.tflite", 20) == "edgevit-x…512.tflite"
    assert len(shortened("x" * 50, 20)) == 20
    assert shortened("short", 20) == "short"


class Reader(HTMLParser):
    """What a page holds: tags with attributes, ids, text outside of style."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "path", "use", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "use", "rect"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    beside = paper_beside(Metric.TOP1, "224x224")
    assert beside is not None
    data = ReportData(
        title=NASTY, created_utc="2026-01-01", tool="test", sources=(NASTY,), notes=(NASTY,), problems=(NASTY,),
        tables=(SMALL, beside), paper={SMALL.slug: beside.slug},
    )  # fmt: skip
    return report_html(data)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_loads_nothing_and_runs_nothing(page: str, read: Reader) -> None:
    assert not {tag for tag, _ in read.tags} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    for tag, attributes in read.tags:
        for name in ("href", "xlink:href", "src", "srcset", "poster"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert "default-src 'none'" in page


def test_the_page_escapes_what_comes_from_files(page: str, read: Reader) -> None:
    assert "<script" not in page
    assert "".join(read.text).count("alert(1)") >= 8


def test_the_page_is_balanced_with_unique_ids_and_semantic_tables(read: Reader) -> None:
    assert read.open == []
    ids = Counter(attributes["id"] for _, attributes in read.tags if attributes.get("id"))
    assert {name for name, count in ids.items() if count > 1} == set()
    anchors = {(a["href"] or "")[1:] for tag, a in read.tags if tag == "a"}
    assert anchors and anchors <= set(ids)
    kinds = Counter(tag for tag, _ in read.tags)
    assert kinds["table"] == kinds["caption"] == 2
    assert kinds["svg"] == 2
    for tag, attributes in read.tags:
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-labelledby"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "td":
            assert attributes["data-label"]
    assert ("html", {"lang": "en"}) in read.tags
    assert any(a.get("name") == "viewport" for tag, a in read.tags if tag == "meta")


def test_rows_are_marked_by_what_they_are(page: str) -> None:
    rows = dict(re.findall(r'<tr role="row" class="([^"]*)"><th role="rowheader" scope="row">([^<]+)', page))
    assert {"front", "front unsound", "failed"} <= set(rows)
    assert rows["failed"] == "wrong"
    assert rows["front unsound"] == "edgevit-xs"


def test_markdown_shows_the_plots_that_are_written_beside_it() -> None:
    data = ReportData(title="t", created_utc="", tool="", tables=(SMALL,))
    both = render_report(data, (ReportFormat.MD, ReportFormat.SVG))
    assert list(both) == ["plots/phone-latency.svg", "report.md"]
    assert b"](plots/phone-latency.svg)" in both["report.md"]
    assert b"](plots" not in render_report(data, (ReportFormat.MD,))["report.md"]
