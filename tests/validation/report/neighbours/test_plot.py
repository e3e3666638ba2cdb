"""The drawing of ratio against ratio: drawn for real, then read back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from io import BytesIO
from itertools import combinations

import pytest
from paper_records import paper_run
from PIL import Image

from validation.report import plots
from validation.report.entries import joined_entries
from validation.report.neighbours import plot
from validation.report.neighbours.judge import paper_comparisons
from validation.report.plots import ALONE, NARROW, WIDE, Canvas
from validation.report.results import Results
from validation.report.rows import PaperComparison

HERE_MS = {  # a desk's: ratios to EdgeViT-XXS as seen once in TFLite
    "EdgeViT-XXS": 10.0, "EdgeViT-XS": 17.2, "EdgeViT-S": 28.8, "MobileNet-v2": 5.2, "MobileNet-v3-0.75": 3.6,
    "EfficientNet-B0": 9.3, "MobileViT-XXS": 9.4, "MobileViT-XS": 19.3, "MobileViT-S": 32.9, "PVT-v2-B0": 10.8,
    "PVT-v2-B1": 33.5, "DeiT-Tiny": 17.6, "LeViT-384†": 35.8, "ResNet18": 22.6, "TNT-Tiny": 30.0,
    "Twins-SVT-Tiny*": 14.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def comparison() -> PaperComparison:
    runs = [paper_run(model, latency) for model, latency in HERE_MS.items()]
    (found,) = paper_comparisons(joined_entries(Results(runs=runs), {}))
    return found


@pytest.mark.parametrize("canvas", [ALONE, WIDE, NARROW], ids=["alone", "wide", "narrow"])
def test_every_network_is_named_inside_and_apart(comparison: PaperComparison, canvas: Canvas) -> None:
    with plots.style(canvas, salt="t"):
        figure = plot._draw(comparison, canvas)
        boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert set(boxes) == set(HERE_MS) - {"EdgeViT-XXS", "ResNet18"}
    frame = figure.bbox
    for name, box in boxes.items():
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1, name
    label = figure.axes[0].xaxis.label.get_window_extent()
    assert frame.x0 <= label.x0 and label.x1 <= frame.x1
    assert [pair for pair in combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])] == []


def test_points_stand_where_the_ratios_are(comparison: PaperComparison) -> None:
    with plots.style(WIDE, salt="t"):
        axes = plot._draw(comparison, WIDE).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    points = [(float(c.lines[0].get_xdata()[0]), float(c.lines[0].get_ydata()[0])) for c in axes.containers]
    deit = next(row for row in comparison.rows if row.model == "DeiT-Tiny")
    assert deit.measured is not None
    assert pytest.approx((46.2 / 32.8, deit.measured.value)) in points
    assert len(points) == len(HERE_MS) - 2


def test_the_drawing_says_itself_in_words(comparison: PaperComparison) -> None:
    words = plot.describe_ratios(comparison)
    assert words.startswith("14 networks. Order as in the paper: MobileNet-v3-0.75,")
    assert "Order turned round: MobileNet-v2, EfficientNet-B0, MobileViT-XXS, PVT-v2-B0." in words
    root = ET.fromstring(plot.ratio_svg(comparison))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "LeViT-384†" in texts
    assert plot.ratio_svg(comparison) == plot.ratio_svg(comparison)
    assert Image.open(BytesIO(plot.ratio_png(comparison))).size == (1382, 892)
