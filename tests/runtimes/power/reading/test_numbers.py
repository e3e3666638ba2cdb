"""Cells as numbers: what is clear is read in every country's way, what is not is refused."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edgevit.errors import MeterError
from runtimes.power.reading import numbers as numbers_module
from runtimes.power.reading.numbers import read_numbers
from runtimes.power.reading.sheet import Sheet

NAN = float("nan")


def _read(body: str, delimiter: str = ";", *, names: str = "ab", decimal: str | None = None) -> list[list[float]]:
    sheet = Sheet("x.csv", tuple(names), delimiter, body.encode(), 2)
    return read_numbers(sheet, range(2), decimal=decimal).values.tolist()


@pytest.mark.parametrize(
    ("body", "delimiter", "expected"),
    [
        ("1.5;-2e-3\n", ";", [1.5, -0.002]),
        ("1,5;-2E-3\n", ";", [1.5, -0.002]),
        ("0,250;1,200\n", ";", [0.25, 1.2]),
        ("0.250;1.200\n", ";", [0.25, 1.2]),
        ("1.200,5;0,001\n", ";", [1200.5, 0.001]),
        ("1,200.5;0.001\n", ";", [1200.5, 0.001]),
        ("1.234.567,5;3,85\n", ";", [1234567.5, 3.85]),
        ("1,234,567;3.85\n", ";", [1234567.0, 3.85]),
        ("1 200,5;3,85\n", ";", [1200.5, 3.85]),
        ("1\u00a0200,5;1\u202f200,25\n", ";", [1200.5, 1200.25]),
        ("1'200.5;3.85\n", ";", [1200.5, 3.85]),
        ("1,2E-04;1,200E-03\n", ";", [0.00012, 0.0012]),
        ('"1,200.5","3.85"\n', ",", [1200.5, 3.85]),
        ('"0,0002","300,5"\n', ",", [0.0002, 300.5]),
        ('+1.5,"-.5"\n', ",", [1.5, -0.5]),
        ("1,5\t3,85\n", "\t", [1.5, 3.85]),
    ],
)
def test_numbers_of_every_country(body: str, delimiter: str, expected: list[float]) -> None:
    assert _read(body, delimiter) == [expected]


def test_thousands_without_a_fraction_follow_their_column() -> None:
    assert _read('0.1;"1,200.5"\n0.2;"1,201"\n') == [[0.1, 1200.5], [0.2, 1201.0]]
    with pytest.raises(MeterError, match=r"line 2: '1,201' under 'b' can be a thousand or a fraction"):
        _read("0.1;1,201\n0.2;1,202\n")
    assert _read("0.1;1,201\n", decimal=".") == [[0.1, 1201.0]]


def test_a_comma_that_could_be_either_asks_for_the_mark() -> None:
    body = "1,000;1,200\n2,000;1,201\n"
    with pytest.raises(MeterError, match=r"line 2: the comma in '1,000' can be a decimal mark") as caught:
        _read(body)
    assert caught.value.hint is not None and "--decimal" in caught.value.hint
    assert _read(body, decimal=",") == [[1.0, 1.2], [2.0, 1.201]]
    assert _read(body, decimal=".") == [[1000.0, 1200.0], [2000.0, 1201.0]]


@pytest.mark.parametrize(
    ("cell", "mark"),
    [
        ("12,00.5", "."), ("1,2000.5", "."), ("0,200.5", "."), ("1,200,30", "."), ("1.5.2", ","), ("1_000", "."),
        ("inf", "."), ("-Infinity", "."), ("ouch", "."), ("300 mA", "."), ("1 2", "."), ("\u00b2", "."),
        ("1e", "."), ("--1", "."), ("0x10", "."),
        ("\u0661", "."),
    ],
)  # fmt: skip
def test_what_is_no_number_is_an_error_with_its_line(cell: str, mark: str) -> None:
    plain = "0,5" if mark == "," else "0.5"
    with pytest.raises(MeterError, match=r"x\.csv, line 3: .* under 'b'"):
        _read(f"{plain};{plain}\n{plain};{cell}\n")


def test_two_decimal_marks_in_one_file_are_refused() -> None:
    with pytest.raises(MeterError, match=r"line 3: '0,25' has another decimal mark than '0\.5' in line 2"):
        _read("0.5;0.5\n0.5;0,25\n")
    with pytest.raises(MeterError, match=r"line 2: '0\.5' under 'a' is no number"):
        _read("0.5;0.5\n", decimal=",")


def test_numbers_beyond_all_bounds_are_refused() -> None:
    with pytest.raises(MeterError, match="line 3: a number beyond all bounds"):
        _read("0.5;1\n0.6;1e999\n")
    with pytest.raises(MeterError, match="line 2: a number beyond all bounds"):
        _read('"0.5";1e999\n')


def test_empty_cells_are_gaps_and_empty_rows_at_the_end_are_none() -> None:
    np.testing.assert_equal(_read("0.5;\n0.6;nan\n;2\n;\n;\n"), [[0.5, NAN], [0.6, NAN], [NAN, 2.0]])
    assert _read("") == _read("\n\n") == _read(";\n;\n") == _read("  \n") == []


def test_a_delimiter_at_the_end_of_heading_and_rows_holds_nothing() -> None:
    assert _read("1.5,2,\n3,4,\n", ",", names="ab ".replace(" ", "_")) == [[1.5, 2.0], [3.0, 4.0]]
    sheet = Sheet("x.csv", ("a", "b", ""), ",", b"1,2,\n3,4\n", 2)
    with pytest.raises(MeterError, match="line 3: '3,4' has 2 cells, its heading has 3"):
        read_numbers(sheet, range(2))
    surplus = Sheet("x.csv", ("a", "b"), ",", b"1,2,3\n4,5,6\n", 2)
    with pytest.raises(MeterError, match="line 2: '1,2,3' has 3 cells, its heading has 2"):
        read_numbers(surplus, range(2))


def test_text_in_columns_that_nobody_asked_for_is_let_alone() -> None:
    assert _read("0,1;2;on\n0,2;3;off, then on\n", names="abc") == [[0.1, 2.0], [0.2, 3.0]]


def test_in_one_go_and_row_by_row_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is put together from these pieces: the same numbers, or a refusal by both."""
    pieces = random.Random(3)
    words = [
        "1",
        "0.5",
        "0,5",
        "1,200",
        "1.200",
        "1,200.5",
        "12,25",
        "",
        "nan",
        "1e3",
        " 7 ",
        "-4.",
        ".5",
        "1e999",
        "na",
        "1;2",
    ]
    goes = 0
    for _ in range(2000):
        few = pieces.sample(words, 3)
        rows = [";".join(pieces.choice(few) for _ in range(2)) for _ in range(3)]
        delimiter, decimal = pieces.choice(";;,"), pieces.choice([None, None, ".", ","])
        names = ("a", "b", "") if pieces.random() < 0.3 else ("a", "b")
        end = ";\n" if pieces.random() < 0.3 else "\n"
        text = end.join(rows) + end
        sheet = Sheet("x.csv", names, delimiter, text.replace(";", delimiter).encode(), 2)
        told = []
        for fast in (True, False):
            with monkeypatch.context() as patch:
                if not fast:
                    patch.setattr(numbers_module, "_in_one_go", lambda *_: None)
                goes += fast and numbers_module._in_one_go(sheet, range(2), decimal) is not None
                try:
                    read = read_numbers(sheet, range(2), decimal=decimal)
                    told.append((repr(read.values.tolist()), read.lines.tolist()))
                except MeterError as error:
                    told.append(("refused", [len(error.message) > 0]))
        assert told[0] == told[1], (sheet, decimal)
    assert goes > 100


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_points_that_could_all_set_thousands_apart_ask_for_the_mark(delimiter: str) -> None:
    body = "950;1.200\n951;1.201\n".replace(";", delimiter)
    with pytest.raises(MeterError, match=r"line 2: the point in '1\.200' can be a decimal mark or set thousands apart"):
        _read(body, delimiter)
    assert _read(body, delimiter, decimal=",") == [[950.0, 1200.0], [951.0, 1201.0]]
    assert _read(body, delimiter, decimal=".") == [[950.0, 1.2], [951.0, 1.201]]


@pytest.mark.parametrize("sure", ["0.000", "1.5", "1.2000", "1700.123", "1.200e3", "-0.125"])
def test_one_point_that_begins_a_fraction_is_enough(sure: str) -> None:
    assert _read(f"{sure};1.200\n") == [[float(sure), 1.2]]


def test_points_between_commas_are_fractions() -> None:
    assert _read("950,1.200\n", ",") == [[950.0, 1.2]]
    assert _read("950;1.234.567\n") == [[950.0, 1234567.0]], "two points are no fraction"
