"""The strip: a bar for each piece, in order, by width; read back as XML."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import msgspec
import pytest
from report_records import NASTY, SHARE

from export.artifact import Delegation, Piece
from validation.report.strip import strip_svg


def bars(delegation: Delegation) -> list[ET.Element]:
    return list(ET.fromstring(strip_svg(delegation)))


def many(pieces: int) -> Delegation:
    """Alternately delegated and outside, the first much larger than the rest."""
    made = tuple(
        Piece(delegated=index % 2 == 0, operators=1000 if index == 0 else 1, names=("MUL",)) for index in range(pieces)
    )
    return Delegation(delegate="X", delegated=1, total=1, partitions=1, pieces=made)


def test_bars_stand_in_order_and_differ_without_colour() -> None:
    drawn = bars(SHARE)
    assert [bar.get("class") for bar in drawn] == ["inside", "outside", "inside"]
    heights = {bar.get("class"): float(bar.get("height") or 0) for bar in drawn}
    assert heights["outside"] == 2 * heights["inside"]
    assert [bar[0].text for bar in drawn] == [
        "36 operators delegated", "outside: FULLY_CONNECTED in blocks.1", "360 operators delegated",
    ]  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 2, 3, 60, 500])
def test_bars_fill_the_strip_do_not_overlap_and_none_vanishes(pieces: int) -> None:
    drawn = bars(many(pieces))
    spans = [(float(bar.get("x") or 0), float(bar.get("width") or 0)) for bar in drawn]
    assert len(drawn) == pieces
    assert spans[0][0] == 0
    assert sum(spans[-1]) == pytest.approx(1000, abs=0.1)
    assert all(left + width <= right + 0.02 for (left, width), (right, _) in pairwise(spans))
    assert min(width for _, width in spans) >= (6.0 if pieces <= 60 else 0.1)


def test_widths_grow_with_the_operators() -> None:
    first, outside, last = (float(bar.get("width") or 0) for bar in bars(SHARE))
    assert last > 5 * first > 5 * outside


def test_it_says_in_words_what_it_shows_and_escapes_what_files_say() -> None:
    hostile = msgspec.structs.replace(
        SHARE, delegate=NASTY, pieces=(Piece(delegated=False, operators=1, names=(NASTY,), modules=(NASTY,)),)
    )
    root = ET.fromstring(strip_svg(hostile))
    assert root.get("role") == "img"
    assert NASTY in (root.get("aria-label") or "")
    assert root[0][0].text == f"outside: {NASTY} in {NASTY}"
    assert "<script" not in strip_svg(hostile)


def test_without_pieces_there_is_no_strip() -> None:
    assert strip_svg(msgspec.structs.replace(SHARE, pieces=())) == ""


def test_a_delegate_that_tells_no_operators_is_one_bar() -> None:
    foreign = Delegation(
        delegate="QnnBackend", delegated=0, total=0, partitions=1, pieces=(Piece(delegated=True, operators=0),)
    )
    (bar,) = bars(foreign)
    assert float(bar.get("width") or 0) == 1000
