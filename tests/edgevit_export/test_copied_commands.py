"""Hints and messages that are commands: names in them are quoted, so that copying one runs nothing else."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevit_export.__main__ import run

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")
QUOTING = {"quoted", "command_line"}
PROGRAM = re.compile(r"\b(edgevit-export [a-z\0-]|pip3? install|(mv|rm|cp|chmod|sudo|cd) \S|adb (-|[a-z]+ \0))")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+[ =]\0")
SAFE = {
    "near[-1]": "a size in pixels",
    "option": "an option's name",
    "options": "names of options",
    "some": "numbers of cores",
    "example": "options or columns of this program with their units",
    "role": "a column of this program",
    "name": "a column of this program",
    "unit": "a unit of a table",
    "known": "a unit of a table",
    "meant": "words behind the command",
    "most": "a number",
    "controls * BURSTS_PER_CONTROL": "a number",
    "math.ceil(least_ms / (1 - spread))": "a number",
    "address.port": "a number",
    "context.invoked_subcommand": "a command of this program",
    "DEFAULT_RESULTS": "fixed",
    "DEFAULT_ARTIFACTS": "fixed",
    "','.join(topics)": "topics of a table",
    "owning[-1]": "a format",
    "variant": "a variant of this program",
    "close": "a command of this program",
    "named": "a command of this program",
    "group": "a group of commands of this program",
    "self.format.value": "a format",
    "package": "a package of a table",
    "environment": "made of words that are quoted, one by one",
    "address.host": "in a sentence before the command",
    "serial": "in a sentence before the command",
    "what": "in a sentence before the command",
    "names": "positional parameters of a script, by number",
    "len(planned.clear)": "a number",
    "version('edgevit-export')": "a version, and no command",
    "number": "a version, and no command",
    "half": "numbers: 0.5 for each channel",
}
"""What is filled in without quotes, and why it needs none."""


def texts(tree: ast.AST) -> Iterator[tuple[ast.JoinedStr, str]]:
    """Every f-string with its text; what is filled in is NUL."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node, "".join(str(p.value) if isinstance(p, ast.Constant) else "\0" for p in node.values)


def filled(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What is put into commands as it is: line and expression."""
    hints = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "hint"
        for part in ast.walk(node.value)
    }  # fmt: skip
    for node, text in texts(tree):
        if PROGRAM.search(text) or (id(node) in hints and OPTION.search(text)):
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    value = part.value
                    if not (isinstance(value, ast.Call) and getattr(value.func, "id", "") in QUOTING):
                        yield node.lineno, ast.unparse(value)


def sources() -> list[Path]:
    return [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


def test_whatever_is_filled_into_a_command_is_quoted_or_needs_no_quotes() -> None:
    unquoted = [
        f"{path.relative_to(ROOT)}:{line}: {expression}"
        for path in sources()
        for line, expression in filled(ast.parse(path.read_text(encoding="utf-8")))
        if expression not in SAFE
    ]
    assert not unquoted


def test_the_list_of_what_needs_no_quotes_holds_nothing_else() -> None:
    used = {each for path in sources() for _, each in filled(ast.parse(path.read_text(encoding="utf-8")))}
    assert set(SAFE) <= used


@pytest.mark.parametrize(
    "code",
    ['f"edgevit-export verify {path}"', 'f"free space, then: mv {a}/* x"', 'Error("x", hint=f"--device {serial}")',
     'f"adb disconnect {serial}"', 'f"pip install {x}"'],
)  # fmt: skip
def test_an_unquoted_name_is_found(code: str) -> None:
    assert len(list(filled(ast.parse(code)))) == 1


NASTY = ("q dir; $(touch PWNED)", "-x 'y'", 'it\'s "it"')


def hint_of(words: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    assert run(words) != 0
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("hint: "))
    return line.removeprefix("hint: ")


@pytest.mark.parametrize("name", NASTY)
def test_a_directory_that_is_inspected(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                       capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    *command, told = shlex.split(hint_of(["inspect", "--", name], capfd))
    assert command == ["edgevit-export", "verify"]
    assert Path(told) == Path(name) and not told.startswith("-")


@pytest.mark.parametrize("name", NASTY)
def test_a_directory_of_files_without_manifests(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    assert "--variant s writes" in hint_of(["bench", "-d", "host", "--", name], capfd)
    assert "--variant s writes" in hint_of(["verify", "--", name], capfd)
    Path(name, "a b.onnx").touch()
    hint = hint_of(["bench", "-d", "host", "--", name], capfd)
    assert Path(shlex.split(hint.partition(": ")[2])[-1]) == Path(name, "a b.onnx")


@pytest.mark.parametrize("name", NASTY)
def test_a_simulated_trace_says_how_it_is_judged(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(["energy", "simulate", f"--output={name}"]) == 0
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("next: "))
    program, *words = shlex.split(line.removeprefix("next: "))
    assert program == "edgevit-export"
    assert run([*words, "--json"]) in (0, 1), "the command as printed finds its files"
