"""Tables on any width: no line wider, no number and no name broken, nothing lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from edgevit_export.layout import Line, Table, folded, lay_out

COLUMNS = ("artifact", "threads", "median ms", "95 % interval", "verdict", "why")
RIGHT = frozenset(COLUMNS[1:4])


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


def shown(table: Table, width: int, *, fold: bool = True) -> list[str]:
    return [text_of(line) for line in lay_out(table, width, fold=fold)]


def table_of(*rows: tuple[str, ...], alike: frozenset[str] = frozenset()) -> Table:
    return Table(COLUMNS, rows, right=RIGHT, alike=alike, title="All")


WHY = "there is no golden set"
ROWS = (
    ("edgevit-xxs-224x224.onnx", "1", "12.345", "12.100 to 12.600", "valid", ""),
    ("edgevit-xxs-224x224.tflite", "1", "12345678901234", "7.07e-06 to 9.81e+12", "not verified", WHY),
)


def test_what_fits_is_a_plain_table() -> None:
    lines = shown(table_of(*ROWS), 200)
    assert lines[:2] == [
        "All",
        "artifact                    threads       median ms         95 % interval  verdict       why",
    ]
    assert set(lines[2]) == {"─"} and lines[3].split() == " ".join(ROWS[0]).split()
    assert len(lines) == 5


def test_sentences_are_folded_first() -> None:
    lines = shown(table_of(*ROWS), 110)
    assert all(name in "\n".join(lines) for name in ("not verified", "edgevit-xxs-224x224.tflite", "12345678901234"))
    assert len(lines) == 6


def test_several_rows_stand_in_bands_with_their_names_again() -> None:
    lines = shown(table_of(*ROWS), 80)
    heads = [line.split("  ")[0] for line in lines]
    assert heads.count("artifact") == 2 and heads.count("edgevit-xxs-224x224.tflite") == 2
    assert max(map(len, lines)) <= 80 and "" in lines


def test_every_band_says_which_row_it_is() -> None:
    rows = (ROWS[0], (ROWS[0][0], "4", *ROWS[0][2:]))
    table = Table(COLUMNS, rows, right=RIGHT, names=frozenset({"artifact", "threads"}))
    lines = shown(table, 70)
    assert len([line for line in lines if re.match(r"edgevit-xxs-224x224.onnx +4  ", line)]) == 2


def test_a_single_row_is_a_list() -> None:
    lines = shown(table_of(ROWS[1]), 60)
    assert lines[1:] == [
        "artifact       edgevit-xxs-224x224.tflite", "threads        1", "median ms      12345678901234",
        "95 % interval  7.07e-06 to 9.81e+12", "verdict        not verified", "why            there is no golden set",
    ]  # fmt: skip


def test_what_all_rows_share_is_said_once_where_there_is_no_room() -> None:
    table = table_of(*ROWS, alike=frozenset({"threads", "verdict"}))
    assert shown(table, 80)[1] == "in all rows: threads 1"
    assert "in all rows" not in "".join(shown(table, 200))
    assert "in all rows" not in "".join(shown(table_of(ROWS[0], alike=frozenset({"threads"})), 60))


def test_a_word_wider_than_the_terminal_is_folded_where_it_has_joints() -> None:
    name = "backbone.stages/block-one_two/attention.weight=1.5e-06," * 3
    lines = folded(name, 40)
    assert "".join(lines) == name and max(map(len, lines)) <= 40
    assert all(line[-1] in "-_/,:;=&?" for line in lines[:-1])
    assert "".join(folded("x" * 90, 40)) == "x" * 90
    assert folded(name, 40, fold=False) == [name]


def test_wide_characters_count_as_what_they_take() -> None:
    rows = (("模型" * 5, "1", "1.0", "1 to 2", "valid", "説明 " * 12), ("m", "1", "1.0", "1 to 2", "valid", ""))
    for width in (40, 60, 80):
        assert max(map(cell_len, shown(table_of(*rows), width))) <= width


WORD = st.text(alphabet="abé模1-_/.,[]", min_size=1, max_size=50)
NUMBER = st.from_regex(r"[0-9]{1,14}(\.[0-9]{1,4})?(e[-+][0-9]{2})?( ± [0-9]{1,6})?", fullmatch=True)
SENTENCE = st.lists(WORD, max_size=12).map(" ".join)
ROW = st.tuples(WORD, NUMBER, NUMBER, NUMBER, st.sampled_from(["valid", "not verified: runtime"]), SENTENCE)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=4), st.sampled_from([40, 60, 80, 100, 120]), st.booleans())
def test_no_line_is_wider_and_nothing_is_lost(rows: list[tuple[str, ...]], width: int, alike: bool) -> None:
    table = table_of(*rows, alike=frozenset({"threads", "why"}) if alike else frozenset())
    lines = shown(table, width)
    assert max(map(cell_len, lines)) <= width
    whole, letters = "\n".join(lines), "".join("".join(lines).split())
    assert all(verdict in whole for row in rows for verdict in ("valid", "not verified") if row[4].startswith(verdict))
    for row in rows:
        for at, cell in enumerate(row):
            pieces = [cell] if at in (1, 2, 3) else cell.split(" ")
            for piece in pieces:
                assert piece in whole or (cell_len(piece) > width - 20 and piece in letters)


@pytest.mark.parametrize("width", [10, 20, 30])
def test_very_narrow_terminals_end_as_well(width: int) -> None:
    assert max(map(cell_len, shown(table_of(*ROWS), width))) <= width
