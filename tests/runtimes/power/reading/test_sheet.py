"""Headings found under every encoding, delimiter and preamble; rows that are not what the heading says."""

from __future__ import annotations

import codecs

import pytest

from edgevit.errors import MeterError
from runtimes.power.reading.sheet import Sheet, find_heading, split, utf8

TEXT = "Zeit (\u00b5s);a;b\n1;2;3\n"


def _is_heading(names: tuple[str, ...]) -> bool:
    return names[:2] == ("a", "b")


def _found(text: str, delimiter: str | None = None) -> Sheet:
    return find_heading(text.encode(), "x.csv", is_heading=_is_heading, delimiter=delimiter, known="a,b")


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("latin-1"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
    ],
)
def test_every_encoding_comes_out_as_utf8_with_plain_ends_of_lines(data: bytes) -> None:
    assert utf8(data, "x.csv").decode() == TEXT


def test_nothing_that_steers_a_terminal_is_left_to_be_quoted() -> None:
    assert utf8("a;\x1b[2J;\u009b\x7f\u00b5\tb\n".encode(), "x.csv").decode() == "a;?[2J;??\u00b5\tb\n"


def test_what_is_no_text_is_refused_by_its_encoding() -> None:
    with pytest.raises(MeterError, match="begins as UTF-16-LE, but is not"):
        utf8(TEXT.encode("utf-16")[:-1], "x.csv")
    with pytest.raises(MeterError, match="begins as UTF-8, but is not"):
        utf8(codecs.BOM_UTF8 + b"a\xff", "x.csv")
    with pytest.raises(MeterError, match=r"x\.csv is no text"):
        utf8(bytes(range(256)), "x.csv")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("above", ["", 'Exported by a tool\n\nunit 12345, "x\n', "# a\n"])
def test_headings_below_a_preamble_are_found_with_their_delimiter(delimiter: str, above: str) -> None:
    sheet = _found(f"{above}a{delimiter} b \n1{delimiter}2\n")
    assert (sheet.names, sheet.delimiter, sheet.body) == (("a", "b"), delimiter, f"1{delimiter}2\n".encode())
    assert sheet.first_line == above.count("\n") + 2
    assert [line for line, _ in sheet.rows()] == [sheet.first_line]


def test_other_delimiters_are_told_by_the_file_or_by_the_user() -> None:
    assert _found("sep=|\na|b\n1|2\n").delimiter == "|"
    assert _found("a|b\n1|2\n", delimiter="|").names == ("a", "b")
    assert _found("# a,b\n1,2").body == b"1,2"
    with pytest.raises(MeterError, match=r"line 1: a heading only where it is split at '\|'") as caught:
        _found("a|b\n1|2\n")
    assert caught.value.hint == "--delimiter '|'"
    with pytest.raises(MeterError) as caught:
        _found("a b\n1 2\n")
    assert caught.value.hint == "--delimiter ' '"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("0.1;2e-3;nan\n", r"begins with numbers \('0\.1', '2e-3', 'nan'\)"),
        ("c;d;e\n1;2;3\n", r"the heading 'c', 'd', 'e' \(split at ';'\) is of no known power trace"),
        ("x\n" * 60 + "a,b\n", "nor is any other of the first 60 lines"),
    ],
)
def test_files_without_a_heading_say_what_there_is(text: str, words: str) -> None:
    with pytest.raises(MeterError, match=words) as caught:
        _found(text)
    assert caught.value.hint is not None and "--delimiter" in caught.value.hint


def test_rows_are_counted_as_in_the_file_and_have_the_cells_of_the_heading() -> None:
    sheet = _found('top\na,b\n1,2\n\n# no row\n"3","4"\n   \n5,6')
    assert list(sheet.rows()) == [(3, ["1", "2"]), (6, ["3", "4"]), (8, ["5", "6"])]
    assert next(iter(sheet.without_first_line().rows())) == (6, ["3", "4"])
    for row in ("1,2,3", "1", "1,2,"):
        with pytest.raises(MeterError, match=f"line 3: '{row}' has {row.count(',') + 1} cells, its heading has 2"):
            list(_found(f"a,b\n1,2\n{row}\n").rows())


def test_quotes_that_do_not_close_are_an_error_with_their_line() -> None:
    with pytest.raises(MeterError, match="line 3: not a row of a CSV file"):
        list(_found('a,b\n1,2\n3,"4\n').rows())
    with pytest.raises(MeterError, match="line 2: not a row of a CSV file"):
        list(_found('a,b\n1,"2"3\n').rows())


def test_lines_are_split_as_csv() -> None:
    assert split(' a ;"b;c"', ";") == ("a", "b;c")
    assert split("", ";") == ()


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_lines_that_only_unicode_ends_are_lines(separator: str) -> None:
    assert utf8(separator.join(["a,b", "1,2", "3,4"]).encode(), "x.csv") == b"a,b\n1,2\n3,4"
    assert utf8(f"a{separator}b\n1,2\n".encode(), "x.csv").count(b"\n") == 2
