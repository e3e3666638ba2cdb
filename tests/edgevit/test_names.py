"""File names of what devices and files say: inside their directory, whatever it is, and two for two words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgevit.names import LONGEST_BYTES, file_name, tensor_names_problem, why_not_beside

ROOM_BYTES = 100  # for ".partial.json", ".energy.npz", a recipe and the marks of temporary files


@pytest.mark.parametrize(
    "text", ["8BC1X0Y1", "emulator-5554", "edgevit-s-224x224.onnx-1a2b3c4d-python-t1", "adb-8B._adb-tls-connect._tcp",
             "модель", "vit_base_patch16_224", "net-20240115"],
)  # fmt: skip
def test_usual_names_stay(text: str) -> None:
    assert file_name(text) == text


def test_an_address_keeps_its_usual_name_and_stays_apart_from_a_serial_that_looks_alike() -> None:
    assert file_name("127.0.0.1:5555") == "127.0.0.1_5555"
    assert file_name("127.0.0.1_5555") not in ("127.0.0.1_5555", file_name("127.0.0.1_5555 "))


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "../x", "/etc/passwd", "a/b", "a\\b", "\0", "a\0b", "a\nb", "\x1b[2J", "-rf", ".git",
             "CON", "con.onnx", "Nul.tar.gz", "COM1", "lpt9.x", "com¹", "a.", "a ", "\ud800", "x" * 4000, "ä" * 300,
             "a:b", "C:\\x", "*", "$(reboot)", "\u202eexe.x"],
)  # fmt: skip
def test_what_no_file_may_be_called(text: str, tmp_path: Path) -> None:
    name = file_name(text)
    assert name != text and file_name(text) == name
    stem = name.partition(".")[0].upper()
    assert stem not in {"CON", "PRN", "AUX", "NUL", "COM1", "COM¹", "LPT9"}
    assert not name.startswith((".", "-")) and not name.endswith((".", " "))
    assert name.isprintable() and not set(name) & set('/\\:*?"<>|$ ')
    assert len(name.encode()) <= LONGEST_BYTES - ROOM_BYTES
    (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("one", "other"),
    [("a:b", "a;b"), ("..", "."), ("..", ""), ("x" * 4000, "x" * 4001), ("\ud800", "\ud801"), ("a/b", "a_b"),
     (file_name("a:b"), "a:b"), (file_name(".."), ".."), ("10.0.0.1:5555", "10.0.0.1_5555")],
)  # fmt: skip
def test_two_words_are_two_names(one: str, other: str) -> None:
    assert file_name(one) != file_name(other)


@given(st.text(alphabet=st.characters(), max_size=300), st.text(max_size=20))
@example("a.b:1000", "a.b_1000")
def test_any_text_stays_in_its_directory(text: str, other: str) -> None:
    name = file_name(text)
    assert Path("results", name).parent == Path("results") and name not in ("", ".", "..")
    assert len(name.encode()) <= LONGEST_BYTES - ROOM_BYTES
    assert (file_name(other) == name) == (other == text)
    assert why_not_beside(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "names no file"), (".", "names no file"), ("..", "names no file"), ("../x", "leads elsewhere"),
     ("/etc/passwd", "leads elsewhere"), ("a/", "leads elsewhere"), ("a\\b", "leads elsewhere"),
     ("a\0b", "cannot be printed"), ("a\nb", "cannot be printed"), ("\x1b[2J.onnx", "cannot be printed"),
     ("\u202exnno.a", "cannot be printed"), ("\ud800", "cannot be printed"), ("x" * 256, "has 256 bytes"),
     ("ä" * 128, "has 256 bytes")],
)  # fmt: skip
def test_names_that_are_no_file_beside_another(name: str, words: str) -> None:
    assert words in (why_not_beside(name) or "")


@pytest.mark.parametrize("name", ["a", "edgevit s (1).onnx", "ä" * 127, ".hidden", "x" * 255, "модель.tflite"])
def test_names_of_files_beside_another(name: str) -> None:
    assert why_not_beside(name) is None


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (["x"], ["y", "a.b/c:0", "é"], None),
        (["x"], ["y", "x"], "'x' is the name of two tensors"),
        (["x", "x"], ["y"], "'x' is the name of two tensors"),
        (["x"], ["a b"], "'a b' is no name of a tensor"),
        (["x\n"], ["y"], r"'x\\n' is no name of a tensor"),
        (["\x1b[31m"], ["y"], r"'\\x1b\[31m' is no name of a tensor"),
        ([""], ["y"], "'' is no name of a tensor"),
    ],
)
def test_names_of_tensors(inputs: list[str], outputs: list[str], words: str | None) -> None:
    found = tensor_names_problem(inputs, outputs)
    assert found is None if words is None else re.match(words, found or "")
