"""Drawings of power traces: drawn for real, then read back as pixels and XML."""

from __future__ import annotations

import dataclasses
import importlib.util
import xml.etree.ElementTree as ET
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from edgevit.errors import MissingDependencyError, UsageError
from edgevit.installation import install_extra
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import Simulation, simulate
from runtimes.power.trace import LOST
from validation.energy import plot
from validation.energy.analysis import analyze_energy, examine
from validation.energy.plot import draw_energy, require_plot
from validation.energy.report import EnergyReport
from validation.energy.tables import headline


@pytest.fixture(scope="module")
def made() -> Simulation:
    """Two lengths and controls, a load that keeps the schedule, and a burst of which half is lost."""
    made = simulate(scenario_named("locked-load"), 2)
    start = int(made.truth.starts_s[9] * made.trace.rate_hz)
    power, flags = made.trace.power_mw.copy(), made.trace.flags.copy()
    power[start + 40 : start + 220], flags[start + 40 : start + 220] = np.nan, LOST
    trace = dataclasses.replace(made.trace, power_mw=power, flags=flags, current_ma=None, voltage_v=None)
    return dataclasses.replace(made, trace=trace)


@pytest.fixture(scope="module")
def report(made: Simulation) -> EnergyReport:
    return analyze_energy(made.trace, stamps=made.stamps, source="/somewhere/a$b$_1\udcff.csv")


def texts(drawing: bytes) -> list[str]:
    words = ET.fromstring(drawing.decode()).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(each.itertext()) for each in words]


def test_a_drawing_says_figure_verdict_reasons_and_what_was_left_out(made: Simulation, report: EnergyReport) -> None:
    said = texts(draw_energy(report, made.trace, made.stamps, ".svg"))
    assert headline(report) in said
    assert any(text.startswith("a$b$_1?.csv · simulation") for text in said)
    below = " ".join(said)
    assert report.reasons
    for reason in report.reasons:
        assert reason in " ".join(below.split())
    for lane in ("windows (49)", "excluded (1)", "controls (10)", "sync pulses (6)", "idle used (2)", "regions (50)"):
        assert lane in said
    left_out = made.truth.counts[9]
    kinds = [f"bursts of {count} ({made.truth.counts.count(count) - (count == left_out)})" for count in (1, 3)]
    for name in ("background", *kinds, "the same, enlarged"):
        assert name in said


def test_nothing_written_overlaps_or_leaves_the_page(made: Simulation, report: EnergyReport) -> None:
    many = msgspec.structs.replace(report, reasons=tuple(f"reason {n} " + "because of this " * 20 for n in range(30)))
    with plot._style():
        figure = plot._figure(many, made.trace, examine(made.trace, made.stamps))
        figure.draw_without_rendering()
        page = figure.bbox
        frames = [axes.get_tightbbox() for axes in figure.axes]
        written = [*figure.subfigs[0].texts, *figure.subfigs[1].texts]
        boxes = [text.get_window_extent() for text in written if text.get_text()]
    boxes += [frame for frame in frames if frame is not None]
    for box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    below = figure.subfigs[1].texts[0].get_text().splitlines()
    assert len(below) == plot._MOST_LINES and below[-1] == "… and more: see the report"
    rows = sorted(boxes, key=lambda box: -box.y1)
    pairs = [(a, b) for index, a in enumerate(rows) for b in rows[index + 1 :]]
    assert [(a, b) for a, b in pairs if a.shrunk(0.98, 0.94).overlaps(b.shrunk(0.98, 0.94))] == []


def test_every_suffix_is_a_file_of_its_kind(made: Simulation, report: EnergyReport) -> None:
    with Image.open(BytesIO(draw_energy(report, made.trace, made.stamps, ".PNG"))) as image:
        assert image.format == "PNG" and image.width == 11 * 144
    assert draw_energy(report, made.trace, made.stamps, ".pdf").startswith(b"%PDF")


def test_without_stamps_there_are_the_trace_and_its_regions(made: Simulation, report: EnergyReport) -> None:
    bare = msgspec.structs.replace(report, method="regions", aligned=None, alignment=None, background=None, tail=None)
    said = texts(draw_energy(bare, made.trace, None, ".svg"))
    assert "regions (50)" in said and "a closer look" in " ".join(said)
    assert not any("windows (" in text or "laid over" in text or text == "background" for text in said)
    assert bare.regions is not None
    wrong = msgspec.structs.replace(bare.regions, found=3, starts_s=(5.0, 6.0, 7.0), durations_ms=(), energies_mj=())
    said = texts(draw_energy(msgspec.structs.replace(bare, regions=wrong), made.trace, None, ".svg"))
    assert "regions' starts (3)" in said
    assert texts(draw_energy(msgspec.structs.replace(bare, regions=None), made.trace, None, ".svg"))


def test_what_cannot_be_drawn_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    require_plot(Path("a.SVG"))
    for name in ("a.jpg", "a", "a.svg.gz"):
        with pytest.raises(UsageError, match=r"expected a name that ends in \.png, \.svg, \.pdf"):
            require_plot(Path(name))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    with pytest.raises(MissingDependencyError) as caught:
        require_plot(Path("a.png"))
    assert caught.value.hint == install_extra("report")
