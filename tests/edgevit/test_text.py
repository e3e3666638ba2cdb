"""Text from files: every encoding that editors write, nothing that hangs, and nothing that steers a terminal."""

from __future__ import annotations

import codecs
import json
import os
import socket
import time
import tracemalloc
from pathlib import Path

import pytest

from edgevit.errors import ArtifactError, UsageError
from edgevit.text import MAX_DEPTH, decode, encodable, encoding_of, parse_json, parse_toml, printable, read_bytes

WORDS = "name,größe\n猫,1\n"
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
def test_with_a_byte_order_mark(encoding: str) -> None:
    assert decode(MARKS[encoding] + WORDS.encode(encoding), origin="f") == WORDS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [WORDS, '{"channels": [24]}', "x", "tench\n一\nzebra\n"])
def test_without_a_byte_order_mark(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding), origin="f") == text


def test_empty_is_empty() -> None:
    assert decode(b"", origin="f") == ""
    assert encoding_of(b"") == ("utf-8", 0)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bytes_of_another_encoding_are_named_with_byte_and_line(end: str) -> None:
    data = f"one{end}two{end}gr".encode() + b"\xf6\xdfe"
    with pytest.raises(ArtifactError, match=rf"f is no UTF-8 text: byte {len(data) - 2} \(line 3\) is 0xf6"):
        decode(data, origin="f")


def test_half_a_unit_of_utf_16_is_named() -> None:
    with pytest.raises(UsageError, match=r"no UTF-16-LE text: byte 9 \(line 2\)"):
        decode(codecs.BOM_UTF16_LE + "ab\n".encode("utf-16-le") + b"c", origin="f", failure=UsageError)


def test_nul_is_no_text() -> None:
    with pytest.raises(ArtifactError, match="line 2 holds a NUL"):
        decode(b"abcdefgh\nab\0cdefgh", origin="f")


def test_read_bytes_of_a_file_and_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_bytes(link, what="labels", limit_bytes=5) == b"12345"
    with pytest.raises(ArtifactError, match=r"labels .*f has 5 bytes, expected at most 4"):
        read_bytes(path, what="labels", limit_bytes=4)
    with pytest.raises(UsageError, match=r"cannot read labels .*none: No such file"):
        read_bytes(tmp_path / "none", what="labels", failure=UsageError)
    with pytest.raises(ArtifactError, match=r"labels a\\x00b: its name holds a NUL"):
        read_bytes(Path("a\0b"), what="labels")


def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ArtifactError, match="expected at most"):
        read_bytes(path, what="labels")


def test_what_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ArtifactError, match="it is a pipe"):
        read_bytes(pipe, what="labels")
    with pytest.raises(ArtifactError, match="it is a device"):
        read_bytes(Path("/dev/zero"), what="labels")
    with pytest.raises(ArtifactError, match="it is a directory"):
        read_bytes(tmp_path, what="labels")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(ArtifactError, match="cannot read labels"):
            read_bytes(tmp_path / "s", what="labels")


def test_json_in_any_encoding() -> None:
    value = {"größe": [1, 2.5, None, True, "猫"]}
    for encoding, mark in MARKS.items():
        assert parse_json(mark + json.dumps(value, ensure_ascii=False).encode(encoding), origin="f") == value
    assert parse_json(json.dumps(value), origin="f") == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON: Expecting value: line 1"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "larger than float64"),
        (f"[{2**64}]", "more than 64 bits"),
        (f"[-{'9' * 5000}]", "not valid JSON"),
        (r'["\ud800"]', "lone surrogate"),
        (r'{"\udfff": 1}', "lone surrogate"),
        ("[" * 100_000, "nested too deep"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 64"),
        ('["\x1b[31m', "not valid JSON"),
    ],
)
def test_json_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_json(text.encode(), origin="f", failure=UsageError)
    assert caught.value.message.isprintable()


def test_the_widest_numbers_and_the_deepest_nesting_pass() -> None:
    numbers = [2**64 - 1, -(2**63), 1.7e308]
    assert parse_json(json.dumps(numbers), origin="f") == numbers
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(parse_json(deep, origin="f")) == deep


def test_toml_in_any_encoding_and_with_any_ends_of_lines() -> None:
    for encoding, mark in MARKS.items():
        data = mark + '"größe" = "猫"\r\n[t]\rx = 1\n'.encode(encoding)
        assert parse_toml(data, origin="f") == {"größe": "猫", "t": {"x": 1}}
    assert parse_toml("a = inf", origin="f") == {"a": float("inf")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\na = 2\n", "not valid TOML"),
        (f"a = {'9' * 30}", "more than 64 bits"),
        (f"a = {'9' * 5000}", "not valid TOML"),
        (f"a = {'[' * 20_000}", "nested too deep"),
        ("a." * 70 + "a = 1", "more than 64 parts"),
        ("x = {" + "a." * 70 + "a = 1}", "more than 64 parts"),
        ("#" * (2**20 + 1), "expected at most 1,048,576"),
    ],
)
def test_toml_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_toml(text.encode(), origin="f", failure=UsageError)


@pytest.mark.parametrize("text", ["a." * 500_000 + "b = 1", "[" + '"a".' * 200_000 + "b]", "a = [" + "1," * 400_000])
def test_long_lines_take_no_long_time(text: str) -> None:
    since = time.process_time()
    with pytest.raises(ArtifactError):
        parse_toml(text, origin="f")
    assert time.process_time() - since < 5  # the square of a line's length would be minutes


def test_a_key_that_stands_twice_among_many_takes_no_long_time() -> None:
    keys = [*(f"k{number}" for number in range(100_000)), "k99999"]
    since = time.process_time()
    with pytest.raises(ArtifactError, match="'k99999' stands twice"):
        parse_json("{" + ",".join(f'"{key}":1' for key in keys) + "}", origin="f")
    assert time.process_time() - since < 5  # comparing each with each would be minutes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 猫 🐈", "größe 猫 🐈"),
        ("a\x1b[31m\nb\r\t", r"a\x1b[31m\nb\r\t"),
        ("\x9b\x7f", r"\x9b\x7f"),
        ("a\u202eb\u200b\u2028", r"a\u202eb\u200b\u2028"),
        (os.fsdecode(b"mod\xe8le.pth"), r"mod\xe8le.pth"),
        ("\ud800\U000e0001", r"\ud800\U000e0001"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).encode()


def test_a_small_file_takes_no_more_memory_under_a_large_limit(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 1000)
    tracemalloc.start()
    assert read_bytes(tmp_path / "small", what="text", limit_bytes=2**30) == b"x" * 1000
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_encodable_changes_nothing_but_surrogates() -> None:
    assert encodable("a\x1b\n猫") == "a\x1b\n猫"
    assert encodable(os.fsdecode(b"mod\xe8le\n")) == "mod\\xe8le\n"
