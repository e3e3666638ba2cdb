"""The page, read back as HTML."""

import base64
import html
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser

import msgspec
import pytest
from paper_records import COMPARISON
from report_records import NASTY, SHARE, SMALL, artifact_row, ranked

from export.artifact import Piece
from validation.report.html import report_html
from validation.report.paper import paper_beside
from validation.report.ranking import with_places
from validation.report.rows import Cost, Metric, Ranking, ReportData

HOSTILE = msgspec.structs.replace(
    SHARE, delegate=NASTY, pieces=(*SHARE.pieces, Piece(delegated=False, operators=1, names=(NASTY,)))
)
RANKING = Ranking(
    slug="fastest",
    title=NASTY,
    fastest=(NASTY,),
    rows=(
        *with_places([ranked("a.onnx", (1.0, 2.0)), ranked("a.tflite", (3.0, 4.0), verdict="noisy", reasons=(NASTY,))]),
        ranked("b.pte", (1.0, 2.0), verdict="failed"),
    ),
)
INLINE = "data:image/svg+xml;base64,"


class Reader(HTMLParser):
    """What a page holds: tags with attributes, ids, text outside of style."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    beside = paper_beside(Metric.TOP1, "224x224")
    assert beside is not None
    data = ReportData(
        title=NASTY, created_utc="2026-01-01", tool="test", sources=(NASTY,), notes=(NASTY,), problems=(NASTY,),
        tables=(SMALL, beside), rankings=(RANKING,), artifacts=(artifact_row(NASTY, "ab", HOSTILE),),
        paper={SMALL.slug: beside.slug},
    )  # fmt: skip
    return report_html(data)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_loads_nothing_and_runs_nothing(page: str, read: Reader) -> None:
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "embed", "base"}
    for tag, attributes in read.tags:
        assert (attributes.get("href") or "#").startswith("#"), attributes
        for name in ("src", "srcset"):
            assert (attributes.get(name) or INLINE).startswith(INLINE), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in page
    assert "url(" not in page
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
    assert kinds["table"] == kinds["caption"] == 4
    assert kinds["img"] == kinds["source"] == 1
    for tag, attributes in read.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "td":
            assert attributes["data-label"]
    assert ("html", {"lang": "en"}) in read.tags
    assert any(a.get("name") == "viewport" for tag, a in read.tags if tag == "meta")


def test_each_plot_is_drawn_for_desks_and_for_phones(read: Reader) -> None:
    sources = [attributes.get("src") or attributes.get("srcset") or "" for tag, attributes in read.tags]
    drawings = [ET.fromstring(base64.b64decode(each.removeprefix(INLINE))) for each in sources if each]
    assert [root.get("width") for root in drawings] == ["288pt", "691.2pt"]
    assert ("source", "(max-width: 44rem)") in [(tag, attributes.get("media")) for tag, attributes in read.tags]


def test_rows_are_marked_by_what_they_are(page: str) -> None:
    rows = dict(re.findall(r'<tr role="row" class="([^"]*)"><th role="rowheader" scope="row">([^<]+)', page))
    assert {"front", "front unsound", "failed"} <= set(rows)
    assert rows["failed"] == "wrong"
    assert rows["front unsound"] == "edgevit-xs"


def test_cells_are_marked_by_what_they_hold(page: str) -> None:
    cells = re.findall(r'<td[^>]*class="([^"]*)"[^>]*>([^<]*)<', page)
    assert {text for classes, text in cells if "none" in classes.split()} == {"-"}
    assert all("none" in classes.split() for classes, text in cells if text.strip() == "-")
    assert all("number" not in classes.split() for classes, text in cells if text in ("on it", "valid", "noisy"))
    assert all("verdict" in classes.split() for classes, text in cells if text in ("valid", "noisy"))
    assert all("long" in classes.split() for classes, text in cells if text == "on it")


def test_a_plot_of_sizes_that_stands_with_another_table_is_named_instead_of_drawn() -> None:
    shared = msgspec.structs.replace(SMALL, plots=(Cost.LATENCY, Cost.SIZE), sizes_in=NASTY)
    text = report_html(ReportData(title="t", created_utc="", tool="", tables=(shared,)))
    assert text.count("<figure>") == 1
    assert f": see {NASTY}</p>" not in text and f": see {NASTY}</p>" in html.unescape(text)


def test_rows_without_plots_are_marked_by_any_front() -> None:
    table = msgspec.structs.replace(SMALL, plots=())
    text = report_html(ReportData(title="t", created_utc="", tool="", tables=(table,)))
    marks = re.findall(r'<tr role="row" class="([^"]*)"><th role="rowheader" scope="row">', text)
    assert sorted(marks) == ["dominated", "failed", "front", "front unsound"]


def test_the_ranking_answers_first_and_marks_the_fastest(page: str, read: Reader) -> None:
    assert page.index('id="fastest"') < page.index('id="artifacts"') < page.index(f'id="{SMALL.slug}"')
    rows = re.findall(r'<tr role="row" class="([^"]*)"><th role="rowheader" scope="row">[ab]<', page)
    assert rows == ["front", "unsound", "failed"]


def test_strips_are_drawn_in_the_page_and_read_aloud(page: str, read: Reader) -> None:
    (strip,) = (attributes for tag, attributes in read.tags if tag == "svg")
    assert strip["role"] == "img"
    assert NASTY in (strip["aria-label"] or "")
    assert Counter(attributes["class"] for tag, attributes in read.tags if tag == "rect") == {"inside": 2, "outside": 2}


@pytest.mark.parametrize(("models", "words"), [(1, "1 model<"), (2, "2 models<")])
def test_one_model_is_not_many(models: int, words: str) -> None:
    table = msgspec.structs.replace(SMALL, rows=SMALL.rows[:models])
    page = report_html(ReportData(title="t", created_utc="", tool="", tables=(table,)))
    assert words in page
    assert words.replace("<", ". Pareto") in page


def test_the_comparison_with_table_2_stands_with_its_drawing_and_its_reasons() -> None:
    nasty = msgspec.structs.replace(COMPARISON, title=f"Table 2 on this device: {NASTY}", notes=(NASTY,))
    text = report_html(ReportData(title="t", created_utc="", tool="", comparisons=(nasty, COMPARISON)))
    reader = Reader()
    reader.feed(text)
    kinds = Counter(tag for tag, _ in reader.tags)
    assert (kinds["table"], kinds["img"], kinds["script"], reader.open) == (4, 2, 0, [])
    marks = re.findall(r'<tr role="row" class="([^"]*)"><th role="rowheader" scope="row">([^<]*)', text)
    assert marks[:3] == [
        ("unsound", "A is faster than B"), ("", "no network is faster"), ("", "A is faster than D"),
    ]  # fmt: skip
    assert "B: not measured in turns" in text
    unmeasured = msgspec.structs.replace(COMPARISON, rows=COMPARISON.rows[:1])
    assert "<img" not in report_html(ReportData(title="t", created_utc="", tool="", comparisons=(unmeasured,)))
